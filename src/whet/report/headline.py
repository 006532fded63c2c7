"""The verdict: one word, one sentence, and the four figures that carry it."""

from __future__ import annotations

from dataclasses import dataclass

from whet.core.evidence import Quality, Trial, Verdict
from whet.report import format as fmt
from whet.report.facts import Facts, judged_on
from whet.report.html import Html, Node, el, join
from whet.report.percentile_words import interval_words, why_another
from whet.search.words.substitution import substitution

__all__ = ["headline", "render_header", "word"]

_WORDS = {
    Verdict.PASSED: ("Contract kept", "ok", "✓"),
    Verdict.FAILED: ("Contract not kept", "bad", "✕"),
    Verdict.UNDECIDED: ("Not enough data to say", "unsure", "?"),
}


def word(verdict: Verdict) -> str:
    """The verdict in two to five words."""
    return _WORDS[verdict][0]


def headline(facts: Facts) -> str:
    """The outcome in one sentence: latency with its bound, speed-up, loss with its bound."""
    chosen = facts.chosen
    if chosen is None:
        return "No candidate could be measured."
    parts = [_latency_words(facts, chosen), _speed_words(facts, chosen), _loss_words(facts, chosen)]
    start = {
        Verdict.PASSED: "",
        Verdict.FAILED: "The nearest miss is " if facts.nearest else "The best that is proven is ",
        Verdict.UNDECIDED: "The best so far is ",
    }[facts.kept]
    subject = f"{start}{chosen.name}"
    said = [part for part in parts if part]
    if not said:
        return f"{subject}."
    joined = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
    verb = ": it " if start else " "
    instead = substitution(chosen.recipe)
    return f"{subject}{verb}{joined}.{instead}"


def _latency_words(facts: Facts, trial: Trial) -> str:
    point = facts.point(trial.latency)
    if point is None:
        return ""
    contract = facts.evidence.contract
    limit, own = contract.limit_ms, point.q == contract.percentile
    if limit is not None and own and point.high_ms is not None:
        known = f"at most {fmt.ms(point.high_ms)}"
    else:  # "at most" would read like the limit that was kept
        known = interval_words(point)
    inside = "; ".join(w for w in (known, why_another(trial.latency, contract.percentile)) if w)
    bound = f" ({inside})" if inside else ""
    asked = (
        f" for a limit of {fmt.limit_ms(limit)}"
        if limit is not None and facts.kept is not Verdict.PASSED
        else ""
    )
    noisy = ", on a machine that was not quiet," if facts.noise_decides else ""
    at = fmt.percentile(point.q)
    return f"answers within {fmt.ms(point.value_ms)} at {at}{bound}{asked}{noisy}"


def _speed_words(facts: Facts, trial: Trial) -> str:
    if facts.same_as_baseline:
        return f"is the untouched original on {_best(facts, 'its best runtime')}"
    words = ""
    if trial.speedup is not None:
        best = _best(facts, "the best untouched runtime")
        words = f"runs {fmt.ratio(trial.speedup.value)} as fast by the median as {best}"
        doubt = fmt.certainty(trial.speedup)
        words += f" ({doubt})" if doubt else ""
    eager = facts.against_eager
    if eager is not None:
        words += f"{', ' if words else 'runs '}{fmt.ratio(eager)} as fast as eager PyTorch"
    return words


def _best(facts: Facts, words: str) -> str:
    """The best untouched runtime, without a claim on those that failed."""
    return f"{words} of those that ran" if facts.gaps else words


def _loss_words(facts: Facts, trial: Trial) -> str:
    quality = facts.quality(trial)
    if facts.untouched(trial) and quality is None:
        return "" if facts.same_as_baseline else "loses no quality"
    if quality is None:
        return "its quality was not judged"
    label = fmt.metric_label(quality.metric)
    bound = fmt.lost(quality.metric, quality.bound)
    verb = "loses" if trial.certify is not None else "seems to lose"
    sure = f"({fmt.given_percent(quality.confidence)} confidence)"
    return f"{verb} at most {bound} of {label} {sure}{_others_words(quality)}"


def _others_words(quality: Quality) -> str:
    """What became of the outputs beside the judged one; nothing where there are none."""
    lost = [c.name for c in quality.outputs if c.verdict is not Verdict.PASSED]
    if lost:
        return f", but {', '.join(lost)} isn't shown to stay the original's"
    others = [c for c in quality.outputs if c.name != quality.output]
    if not others:
        return ""
    return f" with {fmt.plural(len(others), 'other output')} held to the original's"


@dataclass(frozen=True)
class _Tile:
    label: str
    value: str
    detail: tuple[str, ...]
    # Share of the limit that is used up, where there is a limit; above one breaks it.
    used: float | None = None


def render_header(facts: Facts) -> Html:
    """Eyebrow, badge, headline and tiles."""
    name, kind, sign = _WORDS[facts.kept]
    badge = el(
        "p", el("span", sign, class_="sign", aria_hidden="true"), name, class_=f"badge {kind}"
    )
    sentence = facts.evidence.sentence
    tiles = [_render_tile(tile) for tile in _tiles(facts)]
    return el(
        "header",
        el("p", el("b", "whet"), " report · ", facts.evidence.network, class_="eyebrow"),
        badge,
        el("h1", fmt.unbroken(headline(facts))),
        el("p", fmt.unbroken(sentence), class_="lead") if sentence and _adds(facts) else None,
        _warned(facts),
        el("dl", *tiles, class_="tiles") if tiles else None,
        class_=f"top {kind}",
    )


def _warned(facts: Facts) -> Html | None:
    """What takes from the verdict stands beside it: noise, chance, samples asked before."""
    if not facts.warnings:
        return None
    items = [el("li", el("b", n.where), ": ", fmt.unbroken(n.reason)) for n in facts.warnings]
    return el("ul", *items, class_="notes warned")


def _adds(facts: Facts) -> bool:
    """Whether the record's own sentence says more than the headline: the gap, what to try next."""
    return facts.kept is not Verdict.PASSED or facts.same_as_baseline


def _tiles(facts: Facts) -> list[_Tile]:
    chosen = facts.chosen
    if chosen is None:
        return []
    tiles = [
        _latency_tile(facts, chosen),
        *_speed_tiles(facts, chosen),
        _quality_tile(facts, chosen),
    ]
    contract = facts.evidence.contract
    if chosen.footprint is not None:
        size, peak = chosen.footprint.disk_bytes, chosen.footprint.peak_bytes
        before = facts.baseline.footprint if facts.baseline is not None else None
        if before is None or facts.same_as_baseline:
            tiles.append(_limit_tile("size on disk", size, contract.max_bytes, None))
        else:
            tiles.append(_limit_tile("size on disk", size, contract.max_bytes, before.disk_bytes))
        if peak is not None:
            was = before.peak_bytes if before is not None and not facts.same_as_baseline else None
            tiles.append(_limit_tile("peak memory", peak, contract.max_memory_bytes, was))
    return tiles


def _latency_tile(facts: Facts, trial: Trial) -> _Tile:
    point, limit = facts.point(trial.latency), facts.evidence.contract.limit_ms
    if point is None:
        return _Tile("latency", fmt.DASH, ("not measured",))
    interval = fmt.ms_interval(point.low_ms, point.high_ms, point.value_ms)
    asked = f"limit {fmt.limit_ms(limit)}" if limit is not None else "no limit set"
    why = why_another(trial.latency, facts.evidence.contract.percentile)
    detail = tuple(words for words in (interval, why, asked) if words)
    reach = point.high_ms if point.high_ms is not None else point.value_ms
    used = reach / limit if limit else None
    return _Tile(f"latency, {fmt.percentile(point.q)}", fmt.ms(point.value_ms), detail, used)


def _speed_tiles(facts: Facts, trial: Trial) -> list[_Tile]:
    tiles = []
    if trial.speedup is not None and not facts.same_as_baseline:
        best = facts.baseline.name if facts.baseline is not None else trial.speedup.against
        detail = (fmt.ratio_interval(trial.speedup), best)
        tiles.append(_Tile("vs best untouched, p50", fmt.ratio(trial.speedup.value), detail))
    if facts.against_eager is not None and facts.evidence.eager is not None:
        eager = facts.evidence.eager
        median = eager.at(50.0)
        words = f"median {fmt.ms(median.value_ms)}" if median else f"mean {fmt.ms(eager.mean_ms)}"
        tiles.append(_Tile("vs eager PyTorch", fmt.ratio(facts.against_eager), (words,)))
    return tiles


def _quality_tile(facts: Facts, trial: Trial) -> _Tile:
    quality = facts.quality(trial)
    label = f"{fmt.metric_label(facts.metric)} lost" if facts.metric != "auto" else "quality lost"
    if quality is None:
        untouched = facts.untouched(trial)
        return _Tile(
            label, "none" if untouched else fmt.DASH, ("untouched" if untouched else "not judged",)
        )
    split = judged_on(trial)
    detail = (
        f"at most {fmt.lost(quality.metric, quality.bound)}",
        f"allowed {fmt.allowed(quality.metric, quality.allowed)}",
        split,
    )
    used = quality.bound / quality.allowed if quality.allowed > 0 else None
    return _Tile(label, fmt.lost(quality.metric, quality.drop), detail, used)


def _limit_tile(label: str, value: int, limit: int | None, before: int | None) -> _Tile:
    detail = []
    if limit is not None:
        detail.append(f"limit {fmt.bytes_text(limit)}")
    if before is not None:
        detail.append(f"{fmt.bytes_text(before)} untouched")
    return _Tile(label, fmt.bytes_text(value), tuple(detail), value / limit if limit else None)


def _render_tile(tile: _Tile) -> Html:
    words: list[Node] = []
    for part in tile.detail:
        words += [" · " if words else None, el("span", fmt.unbroken(part))]
    return el(
        "div",
        el("dt", tile.label),
        el(
            "dd",
            el("span", tile.value, class_="figure"),
            _meter(tile.used),
            el("span", *words, class_="detail"),
        ),
        class_="tile",
    )


def _meter(used: float | None) -> Html | None:
    """How much of a limit is used: full at the mark, over it beyond."""
    if used is None:
        return None
    share = max(0.0, min(1.25, used))
    kind = "ok" if used <= 1 else "bad"
    bar = join(
        el("rect", x=0, y=0, width=125, height=4, rx=2, class_="groove"),
        el("rect", x=0, y=0, width=share * 100, height=4, rx=2, class_=kind),
        el("rect", x=99.2, y=-2, width=1.6, height=8, class_="mark"),
    )
    says = f"{used:.0%} of the limit"
    return el(
        "svg",
        el("title", says),
        bar,
        class_="meter",
        viewBox="0 -2 125 8",
        preserveAspectRatio="none",
        role="img",
        aria_label=says,
    )

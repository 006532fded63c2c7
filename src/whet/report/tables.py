"""The candidates, a group of rows each: what was measured, and below it why each one lost."""

from __future__ import annotations

from collections.abc import Sequence

from whet.core.evidence import Footprint, Latency, Quality, Status, Trial, Verdict
from whet.report import format as fmt
from whet.report.facts import Facts
from whet.report.html import Html, Node, a11y_table, el, join
from whet.search.decisions.judged import check_words, deciding, settled_by

__all__ = ["render_candidates", "row_ids"]

_VERDICT_SIGNS = {
    Verdict.PASSED: ("✓", "ok", "within the floor"),
    Verdict.FAILED: ("✕", "bad", "below the floor"),
    Verdict.UNDECIDED: ("?", "unsure", "not enough data"),
}
# So many more candidates than contenders are shown at once; more are folded away.
_FOLD = 6
_RECIPE = 140


def row_ids(facts: Facts) -> dict[str, str]:
    """An anchor for each trial, safe in a URL, by the trial's id."""
    return {trial.id: f"c{number}" for number, trial in enumerate(facts.ordered, start=1)}


def render_candidates(facts: Facts, rows: dict[str, str]) -> Html | None:
    """The contenders in a table, the rest in a second one."""
    trials = facts.evidence.trials
    if not trials:
        return None
    rest = [t for t in facts.ordered if not facts.is_contender(t)]
    if len(rest) <= _FOLD:
        return _table(facts, facts.ordered, rows, "Candidates")
    failed = sum(t.status is not Status.OK for t in rest)
    title = f"{fmt.plural(len(rest), 'further candidate')}"
    if failed:
        title += f", {failed} of which did not run"
    return join(
        _table(facts, facts.contenders, rows, "Contenders"),
        el(
            "details",
            el("summary", title),
            _table(facts, rest, rows, "Further candidates"),
        ),
    )


def _table(facts: Facts, trials: Sequence[Trial], rows: dict[str, str], label: str) -> Html:
    q = fmt.percentile(facts.evidence.contract.percentile)
    loss = f"{fmt.metric_label(facts.metric)} lost" if facts.metric != "auto" else "quality lost"
    energy = any(_energy(t) is not None for t in trials)
    heads: list[tuple[str, str]] = [
        ("candidate", "text"),
        (q, "num"),
        ("p50", "num"),
        ("speed-up, p50", "num"),
        ("size", "num"),
        ("peak memory", "num"),
        (f"{loss}, select", "num"),
        (f"{loss}, certify", "num"),
    ]
    if q == "p50":
        heads.pop(2)
    if energy:
        heads.insert(-2, ("energy", "num"))
    head = el("tr", *(el("th", name, scope="col", class_=kind) for name, kind in heads))
    bodies = [
        _rows(facts, trial, rows.get(trial.id), energy, median=q != "p50") for trial in trials
    ]
    return a11y_table(label, el("thead", head), *bodies, class_="candidates")


def _rows(facts: Facts, trial: Trial, anchor: str | None, energy: bool, *, median: bool) -> Html:
    """A candidate's figures in a row, and below them, as wide as all of them, why it lost."""
    figures = [
        _latency_cell(facts, trial.latency),
        *([_median_cell(trial.latency)] if median else []),
        _speed_cell(facts, trial),
        _bytes_cell(trial.footprint.disk_bytes if trial.footprint is not None else None),
        _bytes_cell(trial.footprint.peak_bytes if trial.footprint is not None else None),
        *([_energy_cell(trial.footprint)] if energy else []),
        _quality_cell(facts, trial, trial.select),
        _quality_cell(facts, trial, trial.certify),
    ]
    why = el("td", el("div", _why(facts, trial)), class_="why", colspan=len(figures))
    kinds = [
        k
        for k, holds in [
            ("chosen", trial.id == facts.evidence.chosen),
            ("failed", trial.status is not Status.OK),
        ]
        if holds
    ]
    return el(
        "tbody",
        el("tr", _name_cell(facts, trial), *figures),
        el("tr", why),
        id=anchor,
        class_=" ".join(kinds) or None,
    )


def _name_cell(facts: Facts, trial: Trial) -> Html:
    tags: list[Html] = []
    if trial.id == facts.evidence.chosen:
        tags.append(el("span", "chosen", class_="tag chosen"))
    if trial.id == facts.evidence.baseline:
        tags.append(el("span", "best untouched", class_="tag"))
    if trial.recipe.substitutes:
        tags.append(el("span", "another network", class_="tag"))
    if trial.recipe.ends_early:
        tags.append(el("span", "ends early", class_="tag"))
    if trial.status is not Status.OK:
        tags.append(el("span", trial.status.value, class_="tag bad"))
    elif trial.frontier and trial.id != facts.evidence.chosen:
        tags.append(el("span", "frontier", class_="tag"))
    if trial.variant is not None:
        tags.append(el("span", f"packed: {trial.variant}", class_="tag"))
    recipe = trial.recipe.brief()
    made = f"{_clipped(recipe)} · rung {trial.rung} · {fmt.duration(trial.seconds)}"
    return el(
        "th",
        el("span", trial.name, class_="candidate"),
        el("span", *_spaced(tags), class_="tags") if tags else None,
        el("span", made, class_="sub", title=recipe if _clipped(recipe) != recipe else None),
        scope="rowgroup",
        rowspan=2,
    )


def _clipped(recipe: str) -> str:
    """A recipe may name hundreds of layers; the bundle's evidence holds them all."""
    return recipe if len(recipe) <= _RECIPE else f"{recipe[:_RECIPE]}…"


def _spaced(tags: list[Html]) -> list[Node]:
    found: list[Node] = []
    for tag in tags:
        found += [tag, " "]
    return found[:-1]


def _num(value: str, sub: Html | str = "", *, sort: float | None, title: str | None = None) -> Html:
    """A cell with a figure, its interval below, and the number to sort by."""
    return el(
        "td",
        el("span", value, class_="value"),
        el("span", sub, class_="sub") if sub else None,
        class_="num",
        data_v=f"{sort:.6g}" if sort is not None else None,
        title=title,
    )


def _latency_cell(facts: Facts, latency: Latency | None) -> Html:
    q = facts.evidence.contract.percentile
    if latency is None:
        return _num(fmt.DASH, sort=None)
    exact = latency.at(q)
    load = (
        f"{fmt.plural(latency.queries, 'query', 'queries')} in {fmt.plural(latency.restarts, 'process', 'processes')};"
        f" medians of the processes differ by {fmt.percent(latency.restart_spread, 2)}"
    )
    if exact is None:
        point = facts.point(latency)
        sub = f"{fmt.percentile(point.q)} {fmt.ms(point.value_ms)}" if point is not None else ""
        says = f"too few queries for {fmt.percentile(q)}: {load}"
        return _num(fmt.DASH, sub, sort=None, title=says)
    interval = fmt.ms_interval(exact.low_ms, exact.high_ms, exact.value_ms)
    return _num(fmt.ms(exact.value_ms), interval, sort=exact.value_ms, title=load)


def _median_cell(latency: Latency | None) -> Html:
    median = latency.at(50.0) if latency is not None else None
    if median is None:
        return _num(fmt.DASH, sort=None)
    interval = fmt.ms_interval(median.low_ms, median.high_ms, median.value_ms)
    return _num(fmt.ms(median.value_ms), interval, sort=median.value_ms)


def _speed_cell(facts: Facts, trial: Trial) -> Html:
    if trial.id == facts.evidence.baseline:
        return _num("1×", "by definition", sort=1.0)
    if trial.speedup is None:
        return _num(fmt.DASH, sort=None)
    interval, doubt = fmt.ratio_interval(trial.speedup), fmt.certainty(trial.speedup)
    sub = join(interval, el("br"), doubt) if doubt else interval
    says = f"ratio of the medians (p50) against {trial.speedup.against}"
    return _num(fmt.ratio(trial.speedup.value), sub, sort=trial.speedup.value, title=says)


def _bytes_cell(value: int | None) -> Html:
    return _num(fmt.bytes_text(value), sort=float(value) if value is not None else None)


def _energy(trial: Trial) -> float | None:
    return trial.footprint.energy_mj if trial.footprint is not None else None


def _energy_cell(footprint: Footprint | None) -> Html:
    value = footprint.energy_mj if footprint is not None else None
    return _num(fmt.millijoules(value), sort=value)


def _quality_cell(facts: Facts, trial: Trial, quality: Quality | None) -> Html:
    if quality is None:
        if facts.untouched(trial) and trial.status is Status.OK:
            return _num("0", "untouched", sort=0.0)
        return _num(fmt.DASH, sort=None)
    if (
        quality.same
    ):  # compared number by number: a bound would only tell how few samples there were
        on = f"{quality.method}; {fmt.plural(quality.n, 'sample')}"
        return _num("0", "the original's answers", sort=0.0, title=on)
    sign, kind, says = _VERDICT_SIGNS[quality.verdict]
    held = "; ".join(map(check_words, deciding(quality)))
    samples = settled_by(quality) if not held else None
    needed = f" (about {fmt.plural(samples, 'sample')} would settle it)" if samples else ""
    needed = f"; {held}" if held else needed
    title = (
        f"{fmt.metric_value(quality.metric, quality.reference)} → {fmt.metric_value(quality.metric, quality.candidate)}"
        f" on {fmt.plural(quality.n, 'sample')}; {quality.method}"
    )
    return el(
        "td",
        el(
            "span",
            el("span", sign, class_=f"sign {kind}", aria_hidden="true"),
            el("span", f"{says}{needed}: ", class_="sr"),
            fmt.lost(quality.metric, quality.drop),
            class_="value",
        ),
        el("span", f"≤ {fmt.lost(quality.metric, quality.bound)}", class_="sub"),
        class_="num",
        data_v=f"{quality.drop:.6g}",
        title=title + needed,
    )


def _why(facts: Facts, trial: Trial) -> Html:
    if trial.id == facts.evidence.chosen:
        return el("b", "Chosen." if facts.kept is Verdict.PASSED else "Chosen as the nearest.")
    silent = el("span", "Why it was not chosen: ", class_="sr")
    if trial.lost:
        return join(silent, trial.lost)
    return join(silent, "; ".join(note.reason for note in trial.notes) or fmt.DASH)

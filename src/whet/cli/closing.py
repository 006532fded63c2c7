"""The closing table: the contenders, the verdict, and what to do next; pure."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from whet.cli.console import Paint, clip, plain, width_of
from whet.core.evidence import Evidence, Quality, Trial, Verdict
from whet.core.points import shared_percentile
from whet.core.scope import TRANSFORM
from whet.report import format as fmt
from whet.report.facts import Facts
from whet.report.headline import headline, word
from whet.report.percentile_words import why_another
from whet.search.decisions.judged import deciding
from whet.search.words.gaps import gap_sentence
from whet.search.words.outputs import held_words

__all__ = ["closing", "table"]

_SIGNS = {
    Verdict.PASSED: ("✓", "green"),
    Verdict.FAILED: ("✕", "red"),
    Verdict.UNDECIDED: ("?", "yellow"),
}
_ABOUT = "≈ no clear difference, or too noisy to call"
_SPEED_UP = "× at p50"  # a ratio of medians; see `whet.core.evidence.Ratio`
_NAME = 36
_LEAST_NAME = 24
_NAMES = 14  # of outputs, in the last column
_BETWEEN = 2
# Left out one after another on a terminal that is too narrow for all; the report has them.
_SPARE = ("p50", "size", "lost", "at most")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """Rows under heads; the first ``left`` columns and the last stand left, figures right."""
    last = len(heads) - 1
    cells = [list(heads), *[[plain(cell) for cell in row] for row in rows]]
    widths = [max(width_of(row[k]) for row in cells) for k in range(len(heads))]
    lines = []
    for row in cells:
        parts = []
        for k, cell in enumerate(row):
            pad = " " * (widths[k] - width_of(cell))
            parts.append(cell + pad if k < left or k == last else pad + cell)
        lines.append("  ".join(parts).rstrip())
    return lines


def closing(
    evidence: Evidence,
    *,
    bundle: str | None,
    columns: int,
    paint: Paint,
) -> list[str]:
    """What stands on the screen when a search is over.

    Args:
        evidence: its record.
        bundle: the folder that was written, if any.
        columns: width of the terminal.
        paint: for colour.
    """
    facts = Facts(evidence)
    lines = ["", *_contenders(facts, columns, paint), ""]
    sign, colour = _SIGNS[evidence.kept]
    verdict, *more = wrap(f"{sign} {word(evidence.kept)}. {plain(headline(facts))}", columns)
    head = f"{sign} {word(evidence.kept)}."
    lines += [verdict.replace(head, paint(head, "bold", colour), 1), *more]
    if _explains(facts):
        lines += wrap(plain(evidence.sentence), columns)
    elif facts.gaps:
        lines += wrap(plain(gap_sentence(facts.gaps)), columns)
    lines += _original(facts)
    lines += [plain(n.reason) for n in evidence.notes if n.where == TRANSFORM]
    for note in facts.warnings:
        lines += wrap(f"! {plain(note.where)}: {plain(note.reason)}", columns)
    if bundle is not None:
        lines += ["", f"bundle  {plain(bundle)}", f"report  {plain(bundle)}/report.html"]
    return lines


def _explains(facts: Facts) -> bool:
    """Whether the record's own sentence is told."""
    return facts.evidence.kept is not Verdict.PASSED or facts.same_as_baseline


def _original(facts: Facts) -> list[str]:
    """What the original scores itself: a floor under a poor network proves little."""
    quality = facts.original
    if quality is None:  # nothing was judged: what was seen at the start has to do
        said = [n for n in facts.evidence.notes if n.where == "original"]
        return [f"original: {plain(n.reason)}" for n in said]
    score = fmt.metric_value(quality.metric, quality.reference)
    samples = fmt.plural(quality.n, "sample")
    return [f"original: {fmt.metric_label(quality.metric)} {score} on {samples}"]


def _contenders(facts: Facts, columns: int, paint: Paint) -> list[str]:
    shown = facts.contenders
    if not shown:
        return ["No candidate could be measured."]
    asked = _percentile(facts, shown)
    q = fmt.percentile(asked)
    heads = ["", "candidate", q, "p50", _SPEED_UP, "size", "lost", "at most", ""]
    rows = [_row(facts, trial, asked) for trial in shown]
    if q == "p50":
        heads, rows = _without(3, heads, rows)
    heads, rows = _fitted(heads, rows, (*(s for s in _SPARE if s != q), q), columns)
    lines = [clip(line, columns) for line in table(heads, rows, left=2)]
    lines[0] = paint(lines[0], "dim")
    for number, trial in enumerate(shown, start=1):
        if trial.id == facts.evidence.chosen:
            lines[number] = paint(lines[number], "bold")
    lines += [paint(line, "dim") for line in _held(facts, shown, columns)]
    if any("≈" in cell for row in rows for cell in row):
        lines.append(paint(clip(f"   {_ABOUT}", columns), "dim"))
    if why := _why_another(facts, shown, asked):
        lines.append(paint(clip(f"   {why}", columns), "dim"))
    rest = len(facts.evidence.trials) - len(shown)
    if rest > 0:
        more = f"   and {fmt.plural(rest, 'further candidate')}, in the report"
        lines.append(paint(clip(more, columns), "dim"))
    return lines


def _held(facts: Facts, shown: Sequence[Trial], columns: int) -> list[str]:
    """What outputs held back, where the closing sentence doesn't tell it."""
    said = facts.evidence.sentence if _explains(facts) else ""
    found = [(t.name, words) for t in shown if (words := held_words(t)) and words not in said]
    return [
        line
        for name, words in found
        for line in wrap(
            plain(f"{name}: {words}"), columns, initial_indent=" " * 3, subsequent_indent=" " * 3
        )
    ]


def _fitted(
    heads: list[str], rows: list[list[str]], spare: Sequence[str], columns: int
) -> tuple[list[str], list[list[str]]]:
    """The table without the columns that don't fit, and names as long as there is room for.

    The last column, the verdict, stays whatever the width.
    """
    for left_out in ("", *spare):
        if left_out in heads[2:-1]:
            heads, rows = _without(heads.index(left_out), heads, rows)
        cells = [heads, *rows]
        others = [max(width_of(row[k]) for row in cells) for k in range(len(heads)) if k != 1]
        room = columns - sum(others) - _BETWEEN * len(others)
        if room >= min(_LEAST_NAME, max(width_of(row[1]) for row in cells)):
            break
    most = max(min(_NAME, room), 1)
    return heads, [[row[0], clip(row[1], most), *row[2:]] for row in rows]


def _without(
    column: int, heads: list[str], rows: list[list[str]]
) -> tuple[list[str], list[list[str]]]:
    """The table without one column."""
    kept = [[*row[:column], *row[column + 1 :]] for row in (heads, *rows)]
    return kept[0], kept[1:]


def _percentile(facts: Facts, shown: Sequence[Trial]) -> float:
    """The contract's; where too few queries ran for it in any, the highest that all have."""
    asked = facts.evidence.contract.percentile
    have = [t.latency for t in shown if t.latency is not None]
    if any(latency.at(asked) is not None for latency in have):
        return asked
    return shared_percentile((latency.percentiles for latency in have), asked)


def _why_another(facts: Facts, shown: Sequence[Trial], q: float) -> str:
    """Why the column isn't that of the contract's percentile; empty where it is."""
    asked = facts.evidence.contract.percentile
    if q == asked:
        return ""
    have = [t.latency for t in shown if t.latency is not None and t.latency.at(asked) is None]
    most = max(have, key=lambda latency: latency.queries, default=None)
    why = why_another(most, asked)
    return (
        f"{fmt.percentile(q)} is shown: {why}{' at most' if len(have) > 1 else ''}" if why else ""
    )


def _row(facts: Facts, trial: Trial, asked: float) -> list[str]:
    latency = trial.latency
    point = latency.at(asked) if latency is not None else None
    median = latency.at(50.0) if latency is not None else None
    untouched = facts.untouched(trial)
    quality = facts.quality(trial)
    drop, bound = _loss(quality, untouched)
    speed = (
        "1×"
        if trial.id == facts.evidence.baseline
        else fmt.ratio(trial.speedup.value if trial.speedup else None)
    )
    if trial.speedup is not None and trial.id != facts.evidence.baseline:
        # As in the lines told during the search: the interval doesn't settle it.
        speed = f"≈{speed}" if fmt.certainty(trial.speedup) else speed
    return [
        "▸" if trial.id == facts.evidence.chosen else " ",
        plain(trial.name),
        fmt.ms(point.value_ms if point is not None else None),
        fmt.ms(median.value_ms if median is not None else None),
        speed,
        fmt.bytes_text(trial.footprint.disk_bytes if trial.footprint is not None else None),
        drop,
        bound,
        _role(facts, trial),
    ]


def _loss(quality: Quality | None, untouched: bool) -> tuple[str, str]:
    if quality is None:
        return ("0", "0") if untouched else (fmt.DASH, fmt.DASH)
    return fmt.lost(quality.metric, quality.drop), fmt.lost(quality.metric, quality.bound)


def _role(facts: Facts, trial: Trial) -> str:
    if trial.id == facts.evidence.chosen:
        return "chosen"
    if trial.id == facts.evidence.baseline:
        return "best untouched"
    if trial.certify is not None:
        role = {
            Verdict.PASSED: "certified",
            Verdict.FAILED: "failed",
            Verdict.UNDECIDED: "not proven",
        }[trial.certify.verdict]
        outputs = [f"'{plain(check.name)}'" for check in deciding(trial.certify)]
        return f"{role}: {clip(', '.join(outputs), _NAMES)}" if outputs else role
    return "frontier" if trial.frontier else ""

"""The closing table: the contenders, the verdict, and what to do next; pure."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from whet.cli.console import Paint, clip, plain, width_of
from whet.core.evidence import Evidence, Quality, Trial, Verdict
from whet.report import format as fmt
from whet.report.facts import Facts
from whet.report.headline import headline, word

__all__ = ["closing", "table"]

_SIGNS = {
    Verdict.PASSED: ("✓", "green"),
    Verdict.FAILED: ("✕", "red"),
    Verdict.UNDECIDED: ("?", "yellow"),
}
_NAME = 36


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
    if evidence.kept is not Verdict.PASSED or facts.same_as_baseline:
        lines += wrap(plain(evidence.sentence), columns)
    if bundle is not None:
        lines += ["", f"bundle  {plain(bundle)}", f"report  {plain(bundle)}/report.html"]
    return lines


def _contenders(facts: Facts, columns: int, paint: Paint) -> list[str]:
    shown = facts.contenders
    if not shown:
        return ["No candidate could be measured."]
    q = fmt.percentile(facts.evidence.contract.percentile)
    heads = ["", "candidate", q, "p50", "speed-up", "size", "lost", "at most", ""]
    rows = [_row(facts, trial) for trial in shown]
    if q == "p50":
        heads.pop(3)
        for row in rows:
            row.pop(3)
    lines = [clip(line, columns) for line in table(heads, rows, left=2)]
    lines[0] = paint(lines[0], "dim")
    for number, trial in enumerate(shown, start=1):
        if trial.id == facts.evidence.chosen:
            lines[number] = paint(lines[number], "bold")
    rest = len(facts.evidence.trials) - len(shown)
    if rest > 0:
        more = f"   and {fmt.plural(rest, 'further candidate')}, in the report"
        lines.append(paint(clip(more, columns), "dim"))
    return lines


def _row(facts: Facts, trial: Trial) -> list[str]:
    latency = trial.latency
    point = latency.at(facts.evidence.contract.percentile) if latency is not None else None
    median = latency.at(50.0) if latency is not None else None
    untouched = facts.untouched(trial)
    quality = facts.quality(trial)
    drop, bound = _loss(quality, untouched)
    speed = (
        "1×"
        if trial.id == facts.evidence.baseline
        else fmt.ratio(trial.speedup.value if trial.speedup else None)
    )
    return [
        "▸" if trial.id == facts.evidence.chosen else " ",
        clip(plain(trial.name), _NAME),
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
        return {
            Verdict.PASSED: "certified",
            Verdict.FAILED: "failed",
            Verdict.UNDECIDED: "not proven",
        }[trial.certify.verdict]
    return "frontier" if trial.frontier else ""

"""The cascade: its stages, where rows leave, and what it gains and costs."""

from __future__ import annotations

from whet.core.evidence import CascadeTrial, StageTrial
from whet.report import format as fmt
from whet.report.cascade_words import cascade_words
from whet.report.facts import Facts
from whet.report.html import Html, a11y_table, el, join

__all__ = ["render_cascade"]

_MEASURES = {
    "top": "largest probability",
    "margin": "largest probability less the second",
}


def render_cascade(facts: Facts) -> Html | None:
    """The stages in a table, and sentences on the mean, the tail and the quality."""
    found = facts.evidence.cascade
    if found is None:
        return None
    heads = [
        ("stage", "text"),
        ("mean", "num"),
        ("leaves at", "num"),
        ("temperature", "num"),
        ("rows that leave", "num"),
    ]
    head = el("tr", *(el("th", name, scope="col", class_=kind) for name, kind in heads))
    executed = found.certify is not None
    body = [_row(facts, stage, executed=executed) for stage in found.stages]
    confidence = _MEASURES[found.confidence.measure]
    return join(
        el("p", _fate(found)),
        a11y_table("Stages", el("thead", head), el("tbody", *body), class_="layers"),
        *(el("p", words) for words in cascade_words(found.means, found.tail)),
        el("p", _quality(found)),
        el(
            "p",
            f"A row leaves where the {confidence} of its answer, at the stage's temperature, is the"
            " threshold or more; the last stage answers all others.",
            class_="note",
        ),
    )


def _fate(found: CascadeTrial) -> str:
    if found.variant is not None:
        return (
            f"Packed as '{found.variant}', beside the default variant, which the contract's"
            " percentile chose."
        )
    return f"Not packed: {found.lost}." if found.lost else "Not packed."


def _quality(found: CascadeTrial) -> str:
    certified = found.certify is not None
    q = found.certify or found.select
    on = "certify" if certified else "select"
    return (
        f"{fmt.metric_label(q.metric)} lost on the {on} samples: {fmt.lost(q.metric, q.drop)}, at most"
        f" {fmt.lost(q.metric, q.bound)}; {fmt.lost(q.metric, q.allowed)} allowed: {q.verdict.value}."
    )


def _row(facts: Facts, stage: StageTrial, *, executed: bool) -> Html:
    trial = facts.by_id.get(stage.trial)
    latency = trial.latency if trial is not None else None
    gate = stage.gate
    cells = [
        fmt.ms(latency.mean_ms) if latency is not None else fmt.DASH,
        fmt.significant(gate.threshold) if gate is not None else "whatever gets here",
        fmt.significant(gate.temperature) if gate is not None else fmt.DASH,
        fmt.percent(stage.exit_share) if executed else fmt.DASH,
    ]
    name = trial.name if trial is not None else stage.trial
    return el("tr", el("th", name, scope="row"), *(el("td", cell, class_="num") for cell in cells))

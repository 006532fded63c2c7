"""Which outputs were compared, and how."""

from __future__ import annotations

from whet.core.evidence import OutputCheck, Quality, Verdict
from whet.core.units import drop_words
from whet.report import format as fmt
from whet.report.facts import Facts
from whet.report.html import Html, a11y_table, el, join

__all__ = ["render_outputs"]

_RULES = {
    "distance": "distance from the original's answer, as a share of its variation",
    "equality": "share of values that differ",
    "constant": "distance too, since a constant would nearly keep the metric's floor",
}
_WORDS = {
    Verdict.PASSED: "kept",
    Verdict.FAILED: "failed",
    Verdict.UNDECIDED: "not enough data",
}


def render_outputs(facts: Facts) -> Html | None:
    """The judged output of the chosen one and every other; nothing where there is only one."""
    chosen = facts.chosen
    quality = (chosen.certify or chosen.select) if chosen is not None else None
    if quality is None:
        return None
    if quality.same:
        return el(
            "p",
            f"Every output was compared number by number on {fmt.plural(quality.n, 'sample')}:"
            " it is the original's, but for rounding.",
            class_="note",
        )
    if not quality.outputs and not quality.ignored:
        return None
    heads = [
        ("output", "text"),
        ("judged by", "text"),
        ("lost", "num"),
        ("at most", "num"),
        ("allowed", "num"),
        ("verdict", "text"),
    ]
    head = el("tr", *(el("th", h, scope="col", class_=k) for h, k in heads))
    rows = [_judged(quality), *(_other(c) for c in quality.outputs)]
    return join(
        a11y_table("Outputs", el("thead", head), el("tbody", *rows), class_="classes"),
        el("p", f"Not compared, as was asked: {', '.join(quality.ignored)}.", class_="note")
        if quality.ignored
        else None,
    )


def _judged(q: Quality) -> Html:
    held = q.bound <= q.allowed
    figures = (
        fmt.lost(q.metric, q.drop),
        fmt.lost(q.metric, q.bound),
        fmt.allowed(q.metric, q.allowed),
    )
    words = _WORDS[Verdict.PASSED] if held else "not kept"
    return _row(q.output, fmt.metric_label(q.metric), figures, words, hurt=not held)


def _other(c: OutputCheck) -> Html:
    figures = tuple(map(drop_words, (c.loss, c.bound, c.allowed)))
    words = f"not finite on {fmt.plural(c.broken, 'row')}" if c.broken else _WORDS[c.verdict]
    return _row(
        c.name, _RULES.get(c.rule, c.rule), figures, words, hurt=c.verdict is not Verdict.PASSED
    )


def _row(name: str, rule: str, figures: tuple[str, ...], words: str, *, hurt: bool) -> Html:
    return el(
        "tr",
        el("th", name, scope="row"),
        el("td", rule),
        *(el("td", text, class_="num") for text in figures),
        el("td", words),
        class_="hurt" if hurt else None,
    )

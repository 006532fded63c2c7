"""Feasibility and per-class changes."""

from __future__ import annotations

from whet.core.evidence import ClassChange, Feasibility
from whet.report import format as fmt
from whet.report.facts import Facts
from whet.report.html import Html, a11y_table, el, join

__all__ = ["render_classes", "render_feasibility"]

_SIGNIFICANT = 0.05
_MOST_CLASSES = 20


def render_feasibility(found: Feasibility, limit_ms: float | None) -> Html:
    """The answer of rung 0, and its bounds and probes as bars beside the limit."""
    rows = [(name, "lower bound", value) for name, value in found.bounds_ms.items()]
    rows += [(name, "measured", value) for name, value in found.probes_ms.items()]
    rows.sort(key=lambda row: row[2])
    sentence = el("p", found.sentence)
    if not rows:
        return sentence
    longest = max([value for _, _, value in rows] + ([limit_ms] if limit_ms else []))
    heads = [("what", "text"), ("how", "text"), ("latency", "num"), ("", "bar")]
    head = el(
        "tr",
        *(el("th", h or el("span", "bar", class_="sr"), scope="col", class_=k) for h, k in heads),
    )
    body = [_bar_row(name, how, value, longest, limit_ms) for name, how, value in rows]
    caption = (
        el("p", f"The line marks the limit of {fmt.limit_ms(limit_ms)}.", class_="note")
        if limit_ms
        else None
    )
    return join(
        sentence,
        a11y_table("Feasibility", el("thead", head), el("tbody", *body), class_="layers"),
        caption,
    )


def _bar_row(name: str, how: str, value: float, longest: float, limit_ms: float | None) -> Html:
    kind = "p-bound" if how == "lower bound" else "p-probe"
    bar = el("rect", x=0, y=0, width=max(0.5, 100 * value / longest), height=10, class_=kind)
    mark = (
        el("rect", x=min(99.2, 100 * limit_ms / longest), y=0, width=0.8, height=10, class_="mark")
        if limit_ms
        else None
    )
    picture = el(
        "svg", bar, mark, viewBox="0 0 100 10", preserveAspectRatio="none", aria_hidden="true"
    )
    return el(
        "tr",
        el("th", el("span", name, class_="clip", title=name), scope="row"),
        el("td", how),
        el("td", fmt.ms(value), class_="num", data_v=f"{value:.6g}"),
        el("td", picture, class_="bar"),
    )


def render_classes(facts: Facts) -> Html | None:
    """Classes whose score changed; those that changed significantly come first."""
    chosen = facts.chosen
    quality = facts.quality(chosen) if chosen is not None else None
    if quality is None or not quality.classes:
        return None
    ordered = sorted(quality.classes, key=lambda c: (c.p_value, -abs(c.candidate - c.reference)))
    hurt = [c for c in ordered if c.p_value < _SIGNIFICANT]
    changed = [c for c in ordered if c.candidate != c.reference]
    if hurt:
        words = f"{fmt.plural(len(hurt), 'class', 'classes')} of {len(ordered)} changed more than chance explains"
    else:
        words = f"None of the {fmt.plural(len(ordered), 'class', 'classes')} changed more than chance explains"
    note = el(
        "p",
        f"{words} (p < {_SIGNIFICANT:g} after Holm's correction over all classes).",
        class_="note",
    )
    if not changed:
        return note
    heads = [
        ("class", "text"),
        ("samples", "num"),
        ("original", "num"),
        ("chosen", "num"),
        ("change", "num"),
        ("p", "num"),
    ]
    head = el("tr", *(el("th", h, scope="col", class_=k) for h, k in heads))
    body = [_class_row(c, quality.metric) for c in changed[:_MOST_CLASSES]]
    return join(
        note,
        a11y_table("Classes that changed", el("thead", head), el("tbody", *body), class_="classes"),
    )


def _class_row(change: ClassChange, metric: str) -> Html:
    scale, unit = fmt.metric_unit(metric)
    delta = (change.candidate - change.reference) * scale
    shown = f"{'+' if delta > 0 else ''}{fmt.fixed(delta, 2)} {unit}".rstrip()
    p = "< 0.001" if change.p_value < 0.001 else fmt.fixed(change.p_value, 3)
    return el(
        "tr",
        el("th", str(change.label), scope="row"),
        el("td", f"{change.n:,}", class_="num", data_v=change.n),
        el("td", fmt.metric_value(metric, change.reference), class_="num", data_v=change.reference),
        el("td", fmt.metric_value(metric, change.candidate), class_="num", data_v=change.candidate),
        el("td", shown, class_="num", data_v=f"{delta:.6g}"),
        el("td", p, class_="num", data_v=f"{change.p_value:.6g}"),
        class_="hurt" if change.p_value < _SIGNIFICANT else None,
    )

"""The words on the frontier plot: names of marks and of the contract's lines, where they fit."""

from __future__ import annotations

from itertools import pairwise

from whet.report import format as fmt
from whet.report.html import Html, el, join
from whet.report.labels import Box, Label, Placed, place, text_width
from whet.report.plot import Plot

__all__ = ["bound_names", "corners", "render_names"]

_FONT = 12.0
# Labelled, most important first; the others are named by hovering and in the table.
_NAMED = ("chosen", "baseline", "eager", "certified", "unproven", "frontier", "peer")
_BOLD = frozenset({"chosen", "baseline"})


def bound_names(plot: Plot) -> list[Label]:
    """Names of the limit and the floor, beside their lines."""
    found = []
    if plot.limit is not None:
        asked = "" if plot.exact else f"{fmt.percentile(plot.facts.evidence.contract.percentile)} "
        words = f"{asked}limit {fmt.limit_ms(plot.limit)}"
        x = min(plot.x(plot.limit) - 12, plot.right - text_width(words, _FONT))
        # The axis's title stands above the left end.
        found.append(Label("limit", words, max(x, plot.left), plot.top - 4))
    if plot.floor is not None and plot.facts.allowed is not None:
        words = f"allowed {fmt.allowed(plot.facts.metric, plot.facts.allowed)}"
        x = plot.right - text_width(words, _FONT) - 4
        found.append(Label("floor", words, x, plot.y(plot.floor) + 15))
    return found


def corners(plot: Plot) -> list[tuple[float, float]]:
    """The undominated marks, from left to right; each loses less than the one before."""
    ends = {"chosen", "baseline"}
    known = sorted(
        (plot.column(p), plot.row(p))
        for p in plot.points
        if p.trial is not None
        and p.loss is not None
        and p not in plot.over
        and (p.trial.frontier or p.role in ends)
    )
    best: list[tuple[float, float]] = []
    for x, y in known:
        if not best or y < best[-1][1] - 1e-9:
            best.append((x, y))
    return best


def render_names(plot: Plot) -> Html:
    """Names of the marks that matter, none over another."""
    named = sorted(
        (p for p in plot.points if p.role in _NAMED),
        key=lambda p: (_NAMED.index(p.role), p.x.value_ms),
    )
    wanted = [
        Label(
            p.role,
            _short(p.name, 24 if plot.narrow else 32),
            plot.column(p),
            plot.row(p),
            must=p.role in _BOLD,
            bold=p.role in _BOLD,
            # In a crowd, lines to the least of the marks only tangle with the others'.
            beside=p.role == "peer",
        )
        for p in named
    ]
    marks = [
        Box(x - 6, y - 6, x + 6, y + 6)
        for x, y in ((plot.column(p), plot.row(p)) for p in plot.points)
    ]
    names = [
        Box(n.x, n.y - _FONT, n.x + text_width(n.text, _FONT), n.y + 3) for n in bound_names(plot)
    ]
    frame = Box(plot.left + 2, plot.top + 1, plot.right, plot.foot)
    placed = place(
        wanted, [*marks, *names], frame, size=_FONT, soft=_lines(plot), shunned=_zero(plot)
    )
    return join(*(_label(spot) for spot in placed))


def _zero(plot: Plot) -> list[Box]:
    return [Box(plot.left, plot.y(0.0) - 1, plot.right, plot.y(0.0) + 1)]


def _lines(plot: Plot) -> list[Box]:
    """What a label crosses only when it must: bounds, stairs, whiskers."""
    found: list[Box] = []
    if plot.limit is not None:
        found.append(Box(plot.x(plot.limit) - 1, plot.top, plot.x(plot.limit) + 1, plot.foot))
    if plot.floor is not None:
        found.append(Box(plot.left, plot.y(plot.floor) - 1, plot.right, plot.y(plot.floor) + 1))
    turns = corners(plot)
    if turns:
        (x1, y1), (x2, y2) = turns[0], turns[-1]
        found += [Box(x1 - 1, y1, x1 + 1, plot.bottom), Box(x2, y2 - 1, plot.right, y2 + 1)]
    for (x1, y1), (x2, y2) in pairwise(turns):
        found += [Box(x1, y1 - 1, x2, y1 + 1), Box(x2 - 1, y2, x2 + 1, y1)]
    for point in plot.points:
        x, y = plot.column(point), plot.row(point)
        if point.bound is not None and point not in plot.over:
            found.append(Box(x - 1, y, x + 1, plot.y(point.bound)))
        known = (point.x.low_ms, point.x.high_ms, point.tail_ms)
        ends = [plot.x(v) for v in known if v is not None]
        found.append(Box(min([x, *ends]), y - 1, max([x, *ends]), y + 1))
    return found


def _label(spot: Placed) -> Html:
    name = el(
        "text",
        spot.label.text,
        x=spot.x,
        y=spot.y,
        text_anchor=spot.anchor,
        class_=f"name {spot.label.key}",
    )
    if not spot.leader:
        return name
    near_x = min(max(spot.label.x, spot.box.left), spot.box.right)
    near_y = min(max(spot.label.y, spot.box.top), spot.box.bottom)
    return join(
        el("line", x1=spot.label.x, y1=spot.label.y, x2=near_x, y2=near_y, class_="leader"), name
    )


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"

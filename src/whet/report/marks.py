"""The shapes of the frontier plot, and its legend. Shape and colour say the same twice."""

from __future__ import annotations

import math

from whet.report.html import Html, el, join

__all__ = ["legend", "mark", "whisker"]


def mark(role: str, x: float, y: float) -> Html:
    """The shape of a role, centred on a pixel."""
    if role == "baseline":
        return _square(x, y, 6.0)
    if role == "peer":
        return _square(x, y, 4.2)
    if role == "eager":
        return _diamond(x, y, 6.5)
    if role == "over":
        return _cross(x, y, 4.0)
    radius = {"chosen": 7.5, "certified": 5.0, "unproven": 5.0, "frontier": 5.0}.get(role, 3.6)
    return el("circle", cx=x, cy=y, r=radius, class_="dot")


def _square(x: float, y: float, half: float) -> Html:
    return el("rect", x=x - half, y=y - half, width=2 * half, height=2 * half, class_="dot")


def _diamond(x: float, y: float, half: float) -> Html:
    path = f"M{x:.1f} {y - half:.1f}l{half:.1f} {half:.1f}l{-half:.1f} {half:.1f}l{-half:.1f} {-half:.1f}z"
    return el("path", d=path, class_="dot")


def _cross(x: float, y: float, half: float) -> Html:
    path = (
        f"M{x - half:.1f} {y - half:.1f}L{x + half:.1f} {y + half:.1f}"
        f"M{x + half:.1f} {y - half:.1f}L{x - half:.1f} {y + half:.1f}"
    )
    return el("path", d=path, class_="cross")


def whisker(x1: float, y1: float, x2: float, y2: float, *, cut: bool = False) -> Html:
    """An interval; its far end is a bar, or an arrow where it goes on beyond the plot."""
    long = math.hypot(x2 - x1, y2 - y1)
    line = el("line", x1=x1, y1=y1, x2=x2, y2=y2, class_="whisker")
    if long < 1.0:
        return line
    across_x, across_y = (y2 - y1) / long * 3.5, (x2 - x1) / long * 3.5
    if cut:
        back_x, back_y = (x2 - x1) / long * 6, (y2 - y1) / long * 6
        path = (
            f"M{x2 - back_x - across_x:.1f} {y2 - back_y - across_y:.1f}L{x2:.1f} {y2:.1f}"
            f"L{x2 - back_x + across_x:.1f} {y2 - back_y + across_y:.1f}"
        )
        return join(line, el("path", d=path, class_="whisker"))
    bar = el(
        "line",
        x1=x2 - across_x,
        y1=y2 - across_y,
        x2=x2 + across_x,
        y2=y2 + across_y,
        class_="whisker",
    )
    return join(line, bar)


_ENTRIES = (
    ("chosen", "chosen"),
    ("baseline", "best untouched"),
    ("peer", "untouched on another runtime"),
    ("eager", "eager PyTorch"),
    ("certified", "certified"),
    ("unproven", "finalist that is not proven"),
    ("frontier", "on the frontier"),
    ("other", "other candidate"),
)


def legend(roles: set[str], remark: str | None = None) -> Html:
    """Entries for the roles that occur, how to read whiskers and ground, and a remark."""
    items = [el("li", _swatch(role), words) for role, words in _ENTRIES if role in roles]
    bars = el("g", whisker(4, 4, 4, 14), whisker(4, 4, 15, 4), class_="m certified")
    items.append(el("li", _picture(bars), "interval of the latency, bound of the loss"))
    if remark is None:
        ground = el("rect", x=0.5, y=2.5, width=15, height=11, class_="keeps")
        items.append(el("li", _picture(ground), "keeps latency limit and quality floor"))
    else:
        items.append(el("li", remark))
    return el("ul", *items, class_="legend")


def _swatch(role: str) -> Html:
    return _picture(el("g", mark(role, 8, 8), class_=f"m {role}"))


def _picture(shape: Html) -> Html:
    return el("svg", shape, viewBox="0 0 16 16", class_="swatch", aria_hidden="true")

"""The frontier plot: latency across, quality lost downwards, as inline SVG.

The best corner is the upper left: fast, and nothing lost. The floor of the
contract is drawn as a floor, its latency limit as a wall; what lies above the
one and left of the other keeps the contract.

The picture is drawn twice, wide and narrow, and the style sheet shows one.
"""

from __future__ import annotations

from itertools import pairwise

from whet.report import format as fmt
from whet.report.axes import linear_ticks, log_ticks
from whet.report.facts import Facts, judged_on
from whet.report.frontier_names import bound_names, corners, render_names
from whet.report.html import Html, el, join
from whet.report.marks import legend, mark, whisker
from whet.report.plot import LANE, Plot, Point, collect, lay_out

__all__ = ["render_frontier"]

_WIDE = (960, 460)
_NARROW = (380, 430)


def render_frontier(facts: Facts, rows: dict[str, str]) -> Html | None:
    """The plot with its legend; ``None`` when nothing was measured.

    Args:
        facts: of the search.
        rows: anchor of each trial's row in the tables, by the trial's id.
    """
    points = collect(facts, rows)
    if not points:
        return None
    return el(
        "figure",
        _svg(lay_out(facts, points, *_WIDE), *_WIDE, "wide"),
        _svg(lay_out(facts, points, *_NARROW), *_NARROW, "narrow"),
        legend({point.role for point in points}, _ground(facts, points)),
        class_="frontier",
    )


def _ground(facts: Facts, points: tuple[Point, ...]) -> str | None:
    """What the legend says of the percentile: nothing where it is the contract's own."""
    asked = facts.evidence.contract.percentile
    if facts.shared_q == asked:
        return None
    shared, wanted = fmt.percentile(facts.shared_q), fmt.percentile(asked)
    tail = f"; a line leads to {wanted} where it was" if any(p.tail_ms for p in points) else ""
    return f"{shared} is shown because {wanted} was not measured of every one{tail}"


def _svg(plot: Plot, width: int, height: int, kind: str) -> Html:
    q = fmt.percentile(plot.facts.shared_q)
    says = (
        f"Latency ({q}, logarithmic) against {_y_title(plot)} of"
        f" {fmt.plural(len(plot.points), 'contender')}; the tables below hold the same figures."
    )
    return el(
        "svg",
        _keeps(plot),
        _x_axis(plot),
        _y_axis(plot),
        _lanes(plot),
        _bounds(plot),
        _stairs(plot),
        *(_mark(plot, point) for point in reversed(plot.points)),
        render_names(plot),
        class_=f"plot {kind}",
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=says,
    )


def _y_title(plot: Plot) -> str:
    _, unit = fmt.metric_unit(plot.facts.metric)
    label = fmt.metric_label(plot.facts.metric) if plot.facts.metric != "auto" else "quality"
    return f"{label} lost{f', {unit}' if unit else ''}"


def _keeps(plot: Plot) -> Html | None:
    """The area where the contract is kept, where the axis can tell."""
    limit = plot.facts.evidence.contract.limit_ms
    if limit is not None and (limit <= plot.x.low or not plot.exact):
        return None
    wall = plot.x(limit) if limit is not None else plot.right
    floor = plot.y(plot.floor) if plot.floor is not None else plot.bottom
    return el(
        "rect",
        x=plot.left,
        y=plot.top,
        width=wall - plot.left,
        height=floor - plot.top,
        class_="keeps",
    )


def _x_axis(plot: Plot) -> Html:
    parts: list[Html] = []
    for value in log_ticks(plot.x.low, plot.x.high, 5 if plot.narrow else 9):
        x = plot.x(value)
        parts.append(el("line", x1=x, y1=plot.top, x2=x, y2=plot.foot, class_="grid"))
        shown = fmt.limit_ms(round(value, 9))
        parts.append(el("text", shown, x=x, y=plot.foot + 16, class_="tick", text_anchor="middle"))
    title = f"latency, {fmt.percentile(plot.facts.shared_q)}"
    y, middle = plot.foot + 37, (plot.left + plot.right) / 2
    parts.append(el("text", title, x=middle, y=y, class_="axis", text_anchor="middle"))
    parts.append(el("text", "← faster", x=plot.left, y=y, class_="axis"))
    return join(*parts)


def _y_axis(plot: Plot) -> Html:
    parts: list[Html] = []
    ticks = linear_ticks(plot.y.low, plot.y.high, 7)
    places = max((_places(t) for t in ticks), default=0)
    for value in ticks:
        y = plot.y(value)
        kind = "grid zero" if abs(value) < 1e-12 else "grid"
        parts.append(el("line", x1=plot.left, y1=y, x2=plot.right, y2=y, class_=kind))
        shown = fmt.fixed(value, places)
        parts.append(el("text", shown, x=plot.left - 8, y=y + 4, class_="tick", text_anchor="end"))
    parts.append(el("text", f"↓ {_y_title(plot)}", x=8, y=16, class_="axis"))
    return join(*parts)


def _lanes(plot: Plot) -> Html:
    parts: list[Html] = []
    for number, name in enumerate(plot.lanes):
        y = plot.bottom + LANE * number
        parts.append(
            el("rect", x=plot.left, y=y, width=plot.right - plot.left, height=LANE, class_="lane")
        )
        lines = name.split(" ") if plot.narrow else [name]
        for line, words in enumerate(lines):
            shift = 4 if len(lines) == 1 else 11 * line - 2
            parts.append(
                el(
                    "text",
                    words,
                    x=plot.left - 8,
                    y=y + LANE / 2 + shift,
                    class_="tick lane-name",
                    text_anchor="end",
                )
            )
    return join(*parts)


def _bounds(plot: Plot) -> Html:
    """The contract's limit and floor, as lines with their names."""
    parts: list[Html] = []
    if plot.limit is not None:
        x = plot.x(plot.limit)
        parts.append(el("line", x1=x, y1=plot.top, x2=x, y2=plot.foot, class_="bound"))
    if plot.floor is not None:
        y = plot.y(plot.floor)
        parts.append(el("line", x1=plot.left, y1=y, x2=plot.right, y2=y, class_="bound"))
    parts += [el("text", n.text, x=n.x, y=n.y, class_="bound-name") for n in bound_names(plot)]
    return join(*parts)


def _stairs(plot: Plot) -> Html | None:
    """The stairs that no candidate lies above and left of, out to the plot's edges."""
    best = corners(plot)
    if not best:
        return None
    steps = "".join(f"V{y:.1f}H{x:.1f}" for (_, y), (x, _) in pairwise(best))
    ends = f"V{best[-1][1]:.1f}H{plot.right:.1f}"
    return el("path", d=f"M{best[0][0]:.1f} {plot.bottom:.1f}{steps}{ends}", class_="front")


def _mark(plot: Plot, point: Point) -> Html:
    x, y = plot.column(point), plot.row(point)
    parts: list[Html] = []
    if point.x.low_ms is not None and point.x.high_ms is not None:
        parts += [
            whisker(x, y, plot.x(end), y, cut=not plot.x.holds(end))
            for end in (point.x.low_ms, point.x.high_ms)
        ]
    if point.tail_ms is not None:
        parts.append(_tail(x, y, plot.x(point.tail_ms), cut=not plot.x.holds(point.tail_ms)))
    if point.bound is not None and point not in plot.over:
        parts.append(whisker(x, y, x, plot.y(point.bound), cut=point.bound > plot.y.high))
    parts.append(mark("over" if point in plot.over else point.role, x, y))
    lane = " over" if point in plot.over else " unjudged" if point in plot.unjudged else ""
    group = el("g", el("title", _says(plot, point)), *parts, class_=f"m {point.role}{lane}")
    return el("a", group, href=point.href, tabindex=-1) if point.href else group


def _tail(x: float, y: float, end: float, *, cut: bool) -> Html:
    """A line to the contract's own percentile; an arrow where it lies beyond the plot."""
    line = el("line", x1=x, y1=y, x2=end, y2=y, class_="tail")
    if cut:
        path = f"M{end - 5:.1f} {y - 5:.1f}L{end:.1f} {y:.1f}L{end - 5:.1f} {y + 5:.1f}"
        return join(line, el("path", d=path, class_="tail"))
    return join(line, el("line", x1=end, y1=y - 5, x2=end, y2=y + 5, class_="tail"))


def _says(plot: Plot, point: Point) -> str:
    """What hovering over a mark shows."""
    interval = fmt.ms_interval(point.x.low_ms, point.x.high_ms, point.x.value_ms)
    latency = f"{fmt.percentile(point.x.q)} {fmt.ms(point.x.value_ms)}"
    words = [point.name, f"{latency} ({interval})" if interval else latency]
    if point.tail_ms is not None:
        asked = fmt.percentile(plot.facts.evidence.contract.percentile)
        words.append(f"{asked} {fmt.ms(point.tail_ms)}")
    trial = point.trial
    quality = plot.facts.quality(trial) if trial is not None else None
    if quality is not None:
        split = judged_on(trial) if trial is not None else ""
        words.append(
            f"{fmt.metric_label(quality.metric)} lost {fmt.lost(quality.metric, quality.drop)},"
            f" at most {fmt.lost(quality.metric, quality.bound)} ({split})"
        )
    elif point.loss is None:
        words.append("quality not judged")
    return "\n".join(words)


def _places(value: float) -> int:
    """Decimals that show a round number exactly."""
    return next((n for n in range(5) if abs(value - round(value, n)) < 1e-9), 5)

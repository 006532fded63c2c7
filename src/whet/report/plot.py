"""What the frontier plot shows and where: points, scales and lanes; pure geometry.

Candidates that lose far more than is allowed would squeeze all others
together, so they stand in a lane below the plot, as do those whose quality
was not worth judging.
"""

from __future__ import annotations

from dataclasses import dataclass

from whet.core.evidence import Latency, Percentile, Status, Trial, Verdict
from whet.report import format as fmt
from whet.report.axes import Linear, Log
from whet.report.facts import Facts

__all__ = ["LANE", "Plot", "Point", "collect", "lay_out"]

LANE = 26.0
# Intervals stretch the latency axis by so much at most, and go on as an arrow beyond it.
_STRETCH = 2.0
# The axis shows so many times the allowed loss, unless nothing goes so deep.
_DEEPEST = 3.2
_FOOT = 46.0


@dataclass(frozen=True)
class Point:
    """One contender in the units of the axes.

    Attributes:
        trial: ``None`` for eager PyTorch, which is no candidate.
        href: link to its row in the tables.
        x: its latency, at the percentile that all contenders share.
        tail_ms: its latency at the contract's percentile, where that is
            another one and was measured.
        loss, bound: quality lost and its upper bound; ``None`` where unknown.
        role: chosen, baseline, eager, certified, unproven (a finalist that didn't pass),
            frontier, peer (untouched on another runtime) or other.
    """

    trial: Trial | None
    name: str
    href: str | None
    x: Percentile
    loss: float | None
    bound: float | None
    role: str
    tail_ms: float | None = None


@dataclass(frozen=True)
class Plot:
    """Points with their scales and the pixel edges of the plot's area."""

    facts: Facts
    points: tuple[Point, ...]
    x: Log
    y: Linear
    left: float
    top: float
    right: float
    bottom: float
    over: tuple[Point, ...]  # lose more than the axis shows
    unjudged: tuple[Point, ...]

    @property
    def narrow(self) -> bool:
        return self.right < 500

    @property
    def exact(self) -> bool:
        """Whether the axis shows the contract's own percentile."""
        return self.facts.shared_q == self.facts.evidence.contract.percentile

    @property
    def lanes(self) -> tuple[str, ...]:
        """Names of the lanes below the plot."""
        named = (("lost more", self.over), ("not judged", self.unjudged))
        return tuple(name for name, members in named if members)

    @property
    def foot(self) -> float:
        """The pixel row below the last lane."""
        return self.bottom + LANE * len(self.lanes)

    @property
    def limit(self) -> float | None:
        """The latency limit, where it lies within the plot."""
        limit = self.facts.evidence.contract.limit_ms
        return limit if limit is not None and self.x.low < limit < self.x.high else None

    @property
    def floor(self) -> float | None:
        """The allowed loss in the axis's unit."""
        scale, _ = fmt.metric_unit(self.facts.metric)
        return None if self.facts.allowed is None else self.facts.allowed * scale

    def row(self, point: Point) -> float:
        """The pixel row of a mark: on the axis, or in its lane."""
        if point in self.over:
            return self.bottom + LANE * 0.5
        if point in self.unjudged:
            return self.foot - LANE * 0.5
        return self.y(point.loss or 0.0)

    def column(self, point: Point) -> float:
        return self.x(point.x.value_ms)


def collect(facts: Facts, rows: dict[str, str]) -> tuple[Point, ...]:
    """All that ran, chosen first; ``rows`` holds the anchor of each trial's row."""
    scale, _ = fmt.metric_unit(facts.metric)
    found: list[Point] = []
    for trial in facts.ordered:
        x = _shared(facts, trial.latency)
        if trial.status is not Status.OK or x is None or x.value_ms <= 0:
            continue
        loss, bound = _loss(facts, trial, scale)
        href = f"#{rows[trial.id]}" if trial.id in rows else None
        tail = _tail(facts, trial.latency)
        found.append(Point(trial, trial.name, href, x, loss, bound, _role(facts, trial), tail))
    eager = _shared(facts, facts.evidence.eager)
    if eager is not None and eager.value_ms > 0:
        tail = _tail(facts, facts.evidence.eager)
        found.append(Point(None, "eager PyTorch", None, eager, 0.0, None, "eager", tail))
    return tuple(found)


def _shared(facts: Facts, latency: Latency | None) -> Percentile | None:
    """The shared percentile; any other where there is no shared one."""
    return None if latency is None else latency.at(facts.shared_q) or facts.point(latency)


def _tail(facts: Facts, latency: Latency | None) -> float | None:
    asked = facts.evidence.contract.percentile
    point = latency.at(asked) if latency is not None and asked != facts.shared_q else None
    return point.value_ms if point is not None else None


def lay_out(facts: Facts, points: tuple[Point, ...], width: int, height: int) -> Plot:
    """Scales that show the contract's limits and everything near them."""
    low, high = _loss_range(facts, points)
    pad = (high - low) * 0.08
    judged = [p for p in points if p.loss is not None]
    over = tuple(p for p in judged if (p.loss or 0.0) > high + pad)
    unjudged = tuple(p for p in points if p.loss is None)
    left, right, top = (70.0, width - 22.0, 34.0) if width > 500 else (52.0, width - 24.0, 34.0)
    bottom = height - _FOOT - LANE * (bool(over) + bool(unjudged))
    return Plot(
        facts=facts,
        points=points,
        x=Log.over(_latency_ends(facts, points), left, right),
        y=Linear(low - pad, high + pad, top, bottom),
        left=left,
        top=top,
        right=right,
        bottom=bottom,
        over=over,
        unjudged=unjudged,
    )


def _loss_range(facts: Facts, points: tuple[Point, ...]) -> tuple[float, float]:
    scale, _ = fmt.metric_unit(facts.metric)
    allowed = (facts.allowed or 0.0) * scale
    judged = [p for p in points if p.loss is not None]
    reach = sorted(max(p.loss or 0.0, p.bound or 0.0) for p in judged)
    middle = reach[len(reach) // 2] * 2 if reach else 0.0
    deepest = _DEEPEST * allowed if allowed > 0 else middle
    shown = [r for r in reach if r <= deepest]
    low = min([0.0, *(p.loss or 0.0 for p in judged if (p.loss or 0.0) >= -deepest)])
    high = max([1.25 * allowed, *shown])
    return low, high if high > low else low + (abs(low) or scale * 0.01)


def _latency_ends(facts: Facts, points: tuple[Point, ...]) -> list[float]:
    """What the axis covers: all marks, the limit near them, and intervals that reach little further.

    One restless contender's tail would else press all marks into a corner.
    """
    marks = [p.x.value_ms for p in points]
    least, most = min(marks) / _STRETCH, max(marks) * _STRETCH
    known = (v for p in points for v in (p.x.low_ms, p.x.high_ms, p.tail_ms) if v)
    ends = [*marks, *(min(max(v, least), most) for v in known)]
    limit = facts.evidence.contract.limit_ms
    # A limit far outside of what was measured would leave the plot empty.
    if limit is not None and min(ends) / 20 < limit < max(ends) * 20:
        ends.append(limit)
    return ends


def _loss(facts: Facts, trial: Trial, scale: float) -> tuple[float | None, float | None]:
    quality = facts.quality(trial)
    if facts.untouched(trial):
        return 0.0, None
    if quality is None:
        return None, None
    return quality.drop * scale, quality.bound * scale


def _role(facts: Facts, trial: Trial) -> str:
    if trial.id == facts.evidence.chosen:
        return "chosen"
    if trial.id == facts.evidence.baseline:
        return "baseline"
    if trial.certify is not None:
        return "certified" if trial.certify.verdict is Verdict.PASSED else "unproven"
    if facts.untouched(trial):
        return "peer"
    return "frontier" if trial.frontier else "other"

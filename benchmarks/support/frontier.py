"""The frontier of plans that surgery proposes for a network, built, raced and judged by hand.

What a search does in rung 3, without its haste: menus, block costs and the solver, then some plans
over the whole range, each in float and in int8, all in one race with the untouched network and the
peers, and judged on samples that neither repair nor menus saw.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from support.contest import SEED, judged_by, peers_of, point_of, ratio_of
from support.main_goals import Judged
from whet.core.recipe import Recipe, Step
from whet.core.settings import Settings
from whet.measure.clock import ClockPlan, Race, race
from whet.measure.contender import Contender
from whet.optimize.network.menus.adding import add_up, rank_correlation
from whet.optimize.network.menus.menu import Choices, Rescored, Scored
from whet.search.ladder.making import engine_for
from whet.search.ladder.menus import costs_job, menus_job, rescore_job
from whet.search.setup import Setup
from whet.search.solver.proposals import Proposal, proposals
from whet.search.workers.isolate import run_isolated
from whet.search.workers.surgery_jobs import Costs

__all__ = ["UNTOUCHED", "Frontier", "Point", "frontier_of"]

UNTOUCHED = "untouched"
_LIMIT_S = 3 * 3600.0
_RESCORING_S, _LOOKS = 1800.0, 600
_QUANTISE = {
    "openvino": (Step("convert-ir"), Step("quantize-nncf-ir")),
    "onnxruntime": (Step("quantize-nncf"),),
}


@dataclass(frozen=True)
class Point:
    """A plan that was built.

    Attributes:
        plan: ``None`` for the network as it is.
        int8: whether it was quantised after its repair.
        parameters: of its graph.
    """

    plan: Proposal | None
    int8: bool
    parameters: int


@dataclass(frozen=True)
class Frontier:
    """What was measured.

    Attributes:
        points: by the name of the contender.
        timed: the race of all.
        judged: each on the certify samples.
        menus_s: that menus, costs and the solver took.
        whole_s: the same with all that was built and repaired.
        plans: how many the solver found.
        correlation: of damages alone and together.
        whole_ms: what the untouched network took when plans were proposed.
    """

    points: Mapping[str, Point]
    timed: Race
    judged: Mapping[str, Judged]
    menus_s: float
    whole_s: float
    plans: int
    correlation: float | None
    whole_ms: float

    def rows(self, network: str) -> list[dict[str, Any]]:
        """One for each contender."""
        found = []
        for name, judged in self.judged.items():
            point = self.points.get(name)
            found.append(
                {
                    "network": network,
                    "contender": name,
                    "p50_ms": point_of(self.timed.latency[name], 50.0),
                    "speedup_over_untouched": ratio_of(self.timed, UNTOUCHED, name),
                    "predicted_share": self.predicted_share(name),
                    "parameters": point.parameters if point else None,
                    "size_bytes": judged.size_bytes,
                    "quality": msgspec.to_builtins(judged.quality) if judged.quality else None,
                    "steps": msgspec.to_builtins(point.plan.steps) if point and point.plan else [],
                }
            )
        return found

    def speedup(self, name: str) -> float:
        """Over the untouched network."""
        return 1.0 if name == UNTOUCHED else self.timed.ratio(UNTOUCHED, name).value

    def predicted_share(self, name: str) -> float | None:
        """Of the untouched network's time, what the blocks let expect of a plan in float."""
        point = self.points.get(name)
        if point is None or point.plan is None or point.int8:
            return None
        return point.plan.ms / self.whole_ms


def frontier_of(
    setup: Setup, place: Path, *, runtime: str, plans: int, seconds: float, peers: bool
) -> Frontier:
    """Build, race and judge.

    Args:
        setup: of the network; it came from torch.
        place: a folder for answers and peers.
        runtime: that all plans run on.
        plans: built of those that the solver finds, evenly over the range of times.
        seconds: for each contender in the race.
        peers: whether they run too.
    """
    if setup.program is None:
        raise SystemExit(f"{setup.name} came as a graph: its layers can't be changed.")
    base = Recipe((), runtime, Settings(threads=setup.threads))
    began = time.monotonic()
    whole_ms = _quick_ms(setup, base, seconds=min(seconds, 10.0))
    choices = _isolated(setup, "network_menus", menus_job(setup), Choices)
    graphs = {c.graph.path: c.graph for menu in choices.menus for c in menu}
    costs = _isolated(setup, "block_costs", costs_job(setup, base, tuple(graphs.values())), Costs)
    ms = dict(zip(graphs, costs.ms, strict=True))
    found = proposals(choices, ms, whole_ms, _scored(setup, choices, ms))
    menus_s = time.monotonic() - began
    print(f"   {len(found)} plans after {menus_s:.0f} s", flush=True)
    contenders, points = _built(setup, base, _spread(found, plans))
    whole_s = time.monotonic() - began
    raced = [*contenders.values(), *(peers_of(setup, place).values() if peers else ())]
    timed = _race(setup, raced, seconds)
    judged = {
        c.name: judged_by(setup, c, place, extra=()) for c in raced if c.name in timed.latency
    }
    return Frontier(
        points,
        timed,
        judged,
        menus_s,
        whole_s,
        len(found),
        rank_correlation(choices.combined),
        whole_ms,
    )


def _scored(setup: Setup, choices: Choices, ms: Mapping[str, float]) -> tuple[Scored, ...] | None:
    """Plans scored together, where damages don't add up."""
    if add_up(choices.combined):
        return None
    taken = tuple(tuple(ms[choice.graph.path] for choice in menu) for menu in choices.menus)
    job = rescore_job(setup, taken, _RESCORING_S, _LOOKS)
    found = _isolated(setup, "rescored_network", job, Rescored, where="rescore_jobs")
    print(f"   damages don't add up: {found.looks} looks at plans together", flush=True)
    return tuple(found.scored)


def _isolated(setup: Setup, name: str, job: Any, result: Any, where: str = "surgery_jobs") -> Any:
    target = f"whet.search.workers.{where}:{name}"
    return run_isolated(
        target, job, result, timeout_s=_LIMIT_S, memory_bytes=None, cores=setup.cores
    ).value


def _spread(found: tuple[Proposal, ...], count: int) -> list[Proposal]:
    """Some plans whose times are about evenly spread, the gentlest first."""
    if len(found) <= count:
        return list(found)
    first, last = found[0].ms, found[-1].ms
    wanted = [first + (last - first) * i / (count - 1) for i in range(count)]
    places = {min(range(len(found)), key=lambda i: abs(found[i].ms - ms)) for ms in wanted}
    return [found[i] for i in sorted(places)]


def _built(
    setup: Setup, base: Recipe, plans: list[Proposal]
) -> tuple[dict[str, Contender], dict[str, Point]]:
    contenders: dict[str, Contender] = {}
    points: dict[str, Point] = {}
    repaired = (Step("repair"), Step("to-graph"))
    for number, plan in enumerate([None, *plans]):
        steps = () if plan is None else (*plan.steps, *repaired)
        for int8 in (False, True):
            name = UNTOUCHED if plan is None else f"plan {number}"
            name += " int8" if int8 else ""
            tail = _QUANTISE[base.runtime] if int8 else ()
            recipe = Recipe((*steps, *tail), base.runtime, base.settings)
            began = time.monotonic()
            made = engine_for(setup, recipe, _LIMIT_S, threading.Event())
            counts = made.counts
            points[name] = Point(plan, int8, counts.parameters if counts else setup.parameters)
            contenders[name] = Contender(
                name, recipe.runtime, made.graph, made.engine, recipe.settings
            )
            print(f"   {name}: built in {time.monotonic() - began:.0f} s", flush=True)
    return contenders, points


def _quick_ms(setup: Setup, base: Recipe, *, seconds: float) -> float:
    made = engine_for(setup, base, _LIMIT_S, threading.Event())
    contender = Contender(UNTOUCHED, base.runtime, made.graph, made.engine, base.settings)
    point = _race(setup, [contender], seconds).latency[UNTOUCHED].at(50.0)
    if point is None:
        raise SystemExit("The untouched network answered too few queries to tell its median.")
    return point.value_ms


def _race(setup: Setup, contenders: list[Contender], seconds: float) -> Race:
    plan = ClockPlan.full(
        batch=1,
        concurrency=1,
        percentile=50.0,
        seed=SEED + 2,
        seconds=seconds * len(contenders),
    )
    return race(contenders, setup.select.ref(), plan, cores=setup.cores, memory_bytes=None)

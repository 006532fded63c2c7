"""Rung 6: networks that end early, as first stages of a cascade. A thin shell.

By itself such a network hardly ever keeps the floor, so it is no step towards the contract, and is
tried only where a cascade can be (`whet.search.closing.cascade` proposes it), in time that nothing
else needs. It is built, timed and judged like any other candidate: what it is sure of may be
right where it is wrong as a whole, so it is judged however much it may lose.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec

from whet.core.evidence import Trial
from whet.core.recipe import Recipe, Step
from whet.optimize.network.exits.point import Point, Points
from whet.search.budget.staging import cascade_s
from whet.search.decisions.cascading import may_be_stage, suits_cascades, why_none
from whet.search.decisions.exits import chosen_points, rows_that_fit
from whet.search.decisions.figures import row_ms
from whet.search.ladder.labels import labels_option
from whet.search.ladder.menus import tail_of
from whet.search.ladder.side_jobs import side_job
from whet.search.ladder.surgery import start_of
from whet.search.ladder.trials import Trials
from whet.search.ladder.variations import TO_GRAPH
from whet.search.ladder.waves import enough
from whet.search.setup import Setup
from whet.search.workers.surgery_jobs import ExitsJob

__all__ = ["end_early"]

_RUNG = 6
_WHERE = "early exits"
_FITTING = 0.5  # of a try's share on what its head is fitted to; the rest is building and timing


class _Chosen(msgspec.Struct, frozen=True):
    """Kept in the ledger, so that a search that goes on proposes the same."""

    points: tuple[Point, ...]
    options: dict[str, str | int]


def end_early(
    setup: Setup,
    trials: Trials,
    block_ms: Mapping[str, float],
    *,
    share: float = 1.0,
    last: bool = False,
) -> bool:
    """Try to end the network behind a few of its blocks.

    Args:
        setup: of the search.
        trials: so far.
        block_ms: what blocks take, where menus told.
        share: of the time left, without what a cascade needs at the end, that all tries may take.
        last: whether it won't be asked again, so that it is said where the time isn't enough.

    Returns:
        Whether there is no sense in asking again.
    """
    base = start_of(setup, trials)
    if setup.program is None or not _cascades(setup) or enough(setup, trials):
        return True
    if base is None or not may_be_stage(base.recipe):
        return False
    end_s = time.monotonic() + share * _spare_s(setup, trials)
    chosen = _chosen(setup, trials, base, block_ms, end_s)
    if chosen is None:
        if last:
            trials.tell.remark(_WHERE, "The time left didn't allow any to be tried.")
        return False
    for point in chosen.points:
        step = Step("exit-after", {"block": point.block, **chosen.options})
        steps = (step, TO_GRAPH, *tail_of(base.recipe))
        recipe = Recipe(steps, base.recipe.runtime, base.recipe.settings)
        trial = trials.attempt(recipe, _RUNG, judge=False, until_s=end_s)
        if trial is None:
            break
        trials.judge(trial)
    return True


def _cascades(setup: Setup) -> bool:
    """Whether a cascade can come of it, as far as anything but time says."""
    contract, part = setup.contract, setup.select
    suits = suits_cascades(
        setup.metric, part.rows_per_sample, rows=len(setup.certify), batch=contract.batch
    )
    return suits and not why_none(contract, setup.graph.signature)


def _spare_s(setup: Setup, trials: Trials) -> float:
    """Time left for climbing, without that which a cascade needs to be proposed at all."""
    rows = [ms for t in trials.untouched() if (ms := row_ms(t)) is not None]
    need_s = cascade_s(len(setup.certify), min(rows, default=setup.original_ms))
    return max(0.0, trials.climbing_s() - need_s)


def _chosen(
    setup: Setup, trials: Trials, base: Trial, block_ms: Mapping[str, float], end_s: float
) -> _Chosen | None:
    """Where to end, and how its heads are fitted; ``None`` where there is no time for one."""
    key = f"exits-{base.recipe.digest()}"
    kept = trials.ledger.get_as(key, _Chosen)
    if kept is not None:
        return kept
    # One try at least has to fit; as it is built on the base's passes, it takes about as long.
    left_s = end_s - time.monotonic() - trials.expected_s(base.recipe)
    if not rows_that_fit(_FITTING * left_s, setup.original_ms):
        return None
    points = _points(setup, trials)
    found = chosen_points(points.points, block_ms) if points is not None else ()
    if not found:
        return _Chosen((), {})
    each_s = _FITTING * (end_s - time.monotonic()) / len(found)
    rows = rows_that_fit(each_s, setup.original_ms)
    if not rows:
        return None
    chosen = _Chosen(found, {"rows": rows, **labels_option(setup, trials)})
    trials.ledger.put(key, chosen)
    return chosen


def _points(setup: Setup, trials: Trials) -> Points | None:
    """All blocks that the network can end behind, remembered by the ledger."""
    key = f"exit-points-{setup.graph.digest()}"
    kept = trials.ledger.get_as(key, Points)
    if kept is not None:
        return kept
    trials.tell.rung(_RUNG)
    trials.tell.phase("finding where the network could end early")
    found = side_job(
        setup,
        trials,
        "whet.search.workers.surgery_jobs:network_exits",
        ExitsJob(
            ground=setup.ground,
            workdir=str(setup.workdir / "surgery"),
            shelf=str(setup.workdir / "built"),
        ),
        Points,
        where=_WHERE,
        failing="The network ends where it does",
    )
    if found is not None:
        trials.ledger.put(key, found)
        if found.reason:
            trials.tell.remark(_WHERE, found.reason)
    return found

"""Which students are fast enough, told by timing them with random weights. A thin shell."""

from __future__ import annotations

import time

import msgspec

from whet.core.evidence import Trial
from whet.optimize.graph.quantize.space import ROUND
from whet.optimize.network.students.zoo import Sized, Student
from whet.search.decisions.figures import query_ms
from whet.search.ladder.menus import tail_of
from whet.search.ladder.side_jobs import side_job
from whet.search.ladder.trials import Trials
from whet.search.setup import Setup
from whet.search.solver.sizing import SizeSearch, lines_of
from whet.search.workers.student_jobs import Fitting, FittingJob, Shares, SharesJob

__all__ = ["ROUND_S", "fast_enough"]

ROUND_S = 60.0  # that one round of timing takes, about: it makes a graph for each family
_FASTER = 1.3  # than the fastest that is good: less isn't worth all that has to be learnt
_SLACK = 0.9  # of a limit that a student, timed by its median, may use up
_WHERE = "substitution"
_JOBS = "whet.search.workers.student_jobs"


class _Found(msgspec.Struct, frozen=True):
    """Kept in the ledger, so that a search that goes on proposes the same."""

    students: tuple[Sized, ...]


def fast_enough(setup: Setup, trials: Trials, base: Trial, *, end_s: float) -> tuple[Sized, ...]:
    """Of each family the largest student that is fast enough, the one that multiplies most first.

    Args:
        setup: of the search.
        trials: so far.
        base: what is to be beaten, whose passes and settings students get.
        end_s: on the monotonic clock; no round is begun that would end later.
    """
    key = f"students-{base.recipe.digest()}"
    kept = trials.ledger.get_as(key, _Found)
    if kept is not None:
        return kept.students
    trials.tell.phase("finding which other networks would be fast enough")
    fitting = _fitting(setup, trials)
    if fitting is None:
        return ()
    search, round_s = SizeSearch(lines_of(fitting.sized), _most_share(setup, base)), ROUND_S
    while asked := search.ask():
        began = time.monotonic()
        if began + round_s > end_s:
            return search.found()
        shares = _shares(setup, trials, base, asked)
        if shares is None:
            return search.found()
        search.tell(dict(zip(asked, shares.shares, strict=True)))
        round_s = time.monotonic() - began
    trials.ledger.put(key, _Found(search.found()))
    if not search.found():
        trials.tell.remark(
            _WHERE, f"No network of the zoo is {_FASTER:g} times as fast as {base.name}."
        )
    return search.found()


def _most_share(setup: Setup, base: Trial) -> float:
    """Share of the base's time that a student may take: it is to be faster, and within a limit."""
    limit_ms, base_ms = setup.contract.limit_ms, query_ms(base.latency)
    within = 1.0 if limit_ms is None or base_ms is None else _SLACK * limit_ms / base_ms
    return min(1 / _FASTER, within)


def _fitting(setup: Setup, trials: Trials) -> Fitting | None:
    found = side_job(
        setup,
        trials,
        f"{_JOBS}:fitting_students",
        FittingJob(ground=setup.ground, workdir=str(setup.workdir / "students")),
        Fitting,
        where=_WHERE,
        failing="No other network was tried",
    )
    for note in found.notes if found is not None else ():
        trials.tell.remark(note.where, note.reason)
    return found


def _shares(setup: Setup, trials: Trials, base: Trial, asked: tuple[Student, ...]) -> Shares | None:
    recipe = base.recipe
    job = SharesJob(
        ground=setup.ground,
        students=asked,
        base=recipe.steps,
        base_dir=str(setup.workdir / "built" / recipe.build_digest()),
        tail=tuple(step for step in tail_of(recipe) if step != ROUND),  # it changes numbers only
        runtime=recipe.runtime,
        settings=recipe.settings,
        cache=str(setup.cache),
        rows=setup.contract.batch,
        shelf=str(setup.workdir / "built"),
    )
    return side_job(
        setup,
        trials,
        f"{_JOBS}:student_shares",
        job,
        Shares,
        where=_WHERE,
        failing="Other networks could not be timed",
    )

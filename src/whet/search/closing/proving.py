"""What is proven on the certify samples: the finalists, then the untouched engine. A thin shell.

Finalists are tested in a fixed order until the first that isn't passed, each at the full
confidence (fixed sequence, see `whet.search.decisions.order`). One that gave no answers, since
it crashed or hung, was not tested: the sequence goes on without it.

The untouched engine is proven too. Comparing number by number chooses nothing by chance, so it
spends none of the confidence that the finalists share, and several engines may be asked in turn.
Only where none gives the original's answers does the metric decide about one, as the last test of
the finalists' sequence: it counts as passed only if none before it failed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import msgspec

from whet.core.evidence import Quality, Trial, Verdict
from whet.errors import WhetError
from whet.measure.clock import Race
from whet.search.budget.closing import spare_s
from whet.search.closing.last_race import fastest_of
from whet.search.decisions.endings import uncertified
from whet.search.decisions.figures import answers_right
from whet.search.decisions.untouched import keepers, stranger_note, to_certify
from whet.search.ladder.assay import judge_on
from whet.search.ladder.trials import Trials
from whet.search.setup import Setup

__all__ = ["answering", "certified_in_turn", "fastest_answering", "keeping"]

_KEEPERS = 2  # asked at most
_OUT_OF_TURN = "not tested, since a comparison before it failed or another engine answers right"


def certified_in_turn(
    setup: Setup, trials: Trials, order: Sequence[Trial], untouched_ms: float | None
) -> list[Trial]:
    """The finalists that were tested, up to the first that isn't passed, with their verdicts.

    Args:
        setup: of the search.
        trials: where the verdicts are kept.
        order: the finalists, the likeliest to pass first.
        untouched_ms: what the best untouched engine takes for a row, where it was timed.
    """
    done: list[Trial] = []
    rows, original_ms = len(setup.certify), setup.original_ms
    for place, trial in enumerate(order):
        left_s = trials.budget.left_s(time.monotonic())
        share_s = spare_s(left_s, rows, original_ms, untouched_ms) / (len(order) - place)
        try:
            make = partial(trials.made_for, trial)
            quality = judge_on(setup, trial, make, setup.certify, left_s=share_s, per_class=True)
        except WhetError as error:
            trials.update(uncertified(trial, error), remember=False)
            continue
        certified = msgspec.structs.replace(trial, certify=quality)
        trials.update(certified, remember=False)
        done.append(certified)
        if quality.verdict is not Verdict.PASSED:
            break
    return done


def answering(setup: Setup, trials: Trials, best: Trial, certified: Sequence[Trial]) -> Trial:
    """The best untouched trial whose certify answers are the original's, with its proof.

    Args:
        setup: of the search.
        trials: where the proof is kept.
        best: the fastest that answered right on the select part.
        certified: the finalists, in the order in which they were certified.
    """
    judged: dict[str, Quality] = {}
    if answers_right(best):
        for trial in to_certify(trials.untouched(), best):
            proven = _proven(setup, trials, trial, judged)
            if answers_right(proven) and proven.certify is not None:
                return proven
    best = trials.all[best.id]
    if best.certify is None:
        best = _proven(setup, trials, best, judged)
    unbroken = all(t.certify is not None and t.certify.verdict is Verdict.PASSED for t in certified)
    if unbroken and best.id in judged:
        best = msgspec.structs.replace(best, certify=judged[best.id])
        trials.update(best, remember=False)
    return best


def keeping(setup: Setup, trials: Trials, best: Trial) -> tuple[Trial, ...]:
    """The fastest untouched trial that keeps the limits which the best breaks, with its proof.

    None where the best breaks none, or nothing untouched keeps them.

    Args:
        setup: of the search.
        trials: where the proof is kept.
        best: from `answering`.
    """
    for trial in keepers(trials.untouched(), best, setup.contract)[:_KEEPERS]:
        proven = _proven(setup, trials, trial, {})
        if answers_right(proven) and proven.certify is not None:
            return (proven,)
    return ()


def fastest_answering(
    setup: Setup, trials: Trials, race: Race, untouched: Sequence[Trial]
) -> Trial:
    """Of the untouched trials in the last race, the fastest that answers right.

    Args:
        setup: of the search.
        trials: where the proof is kept.
        race: that all of them ran.
        untouched: the one from `answering` first, then others that may be as fast.
    """
    left = list(untouched)
    while (best := trials.all[fastest_of(race, left).id]).id != untouched[0].id:
        proven = _proven(setup, trials, best, {})
        if answers_right(proven) and proven.certify is not None:
            return proven
        left = [t for t in left if t.id != best.id]
    return best


def _proven(setup: Setup, trials: Trials, trial: Trial, judged: dict[str, Quality]) -> Trial:
    """The trial with what its certify answers say; what the metric says of it goes to ``judged``."""
    left_s = trials.budget.left_s(time.monotonic())
    try:
        make = partial(trials.made_for, trial)
        quality = judge_on(setup, trial, make, setup.certify, left_s=left_s)
    except WhetError as error:
        trial = uncertified(trial, error)
        trials.update(trial, remember=False)
        return trial
    judged[trial.id] = quality
    if not quality.same and quality.verdict is Verdict.PASSED:
        quality = msgspec.structs.replace(quality, verdict=Verdict.UNDECIDED, method=_OUT_OF_TURN)
    proven = msgspec.structs.replace(trial, certify=quality)
    trials.update(proven, remember=False)
    strange = stranger_note(proven)
    if strange is not None:
        trials.tell.once(strange.where, strange.reason)
    return proven

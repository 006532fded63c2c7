"""The untouched engine is proven too: its answers on the certify samples. A thin shell.

Comparing number by number chooses nothing by chance, so it spends none of the confidence
that the finalists share, and several engines may be asked in turn. Only where none gives the
original's answers does the metric decide about one, as the last test of the finalists'
sequence: it counts as passed only if none before it failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from whet.core.evidence import Quality, Trial, Verdict
from whet.core.note import Note
from whet.errors import WhetError
from whet.measure.clock import Race
from whet.search.assay import judge_on
from whet.search.figures import answers_right
from whet.search.last_race import fastest_of
from whet.search.setup import Setup
from whet.search.trials import Trials
from whet.search.untouched import stranger_note, to_certify

__all__ = ["answering", "fastest_answering"]

_OUT_OF_TURN = "not tested, since a comparison before it failed or another engine answers right"


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
    try:
        quality = judge_on(setup, trial, partial(trials.made_for, trial), setup.certify)
    except WhetError as error:
        note = Note(trial.name, f"Could not be certified: {error.message}")
        trial = msgspec.structs.replace(trial, notes=(*trial.notes, note))
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

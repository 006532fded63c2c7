"""Rung 6: a cascade of what the search has found, proposed from the select samples. A thin shell.

The answers that its stages and thresholds rest on are kept anyway, so that nothing is run for it.
`whet.search.closing.cascade_proof` certifies and times it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whet.core.cascade import Confidence, Gate
from whet.core.evidence import CascadeTrial, StageTrial, Trial, Verdict
from whet.core.spec import Arrays
from whet.errors import StorageError, WhetError
from whet.measure.metrics import class_labels, pick
from whet.search.budget.staging import affords_cascade
from whet.search.decisions.cascading import (
    answers_through,
    gates_of,
    look_at,
    mean_to_beat,
    stage_candidates,
    suits_cascades,
    why_none,
)
from whet.search.decisions.figures import answers_right
from whet.search.decisions.outlook import SURE, outlook
from whet.search.judging import judged_as_mixed
from whet.search.ladder.assay import answers_on, ask_original
from whet.search.ladder.trials import Trials
from whet.search.setup import Setup
from whet.search.solver.cascade import plans_within

__all__ = ["NAME", "Proposed", "propose", "stage_records"]

NAME = "cascade"
_LOOKS = 8  # plans whose prospects are told, from the boldest on


@dataclass(frozen=True)
class Proposed:
    """A cascade that the select samples promise.

    Attributes:
        stages: its trials, the last included.
        gates: of all but the last.
        confidence: where it is read.
        mean_ms: that a query is expected to take.
        chance: that it will be certified.
        record: what is known of it so far.
    """

    stages: tuple[Trial, ...]
    gates: tuple[Gate, ...]
    confidence: Confidence
    mean_ms: float
    chance: float
    record: CascadeTrial

    @property
    def proven(self) -> bool:
        """Whether the executed cascade was certified."""
        return self.record.certify is not None and self.record.certify.verdict is Verdict.PASSED


def propose(setup: Setup, trials: Trials, baseline: Trial) -> Proposed | None:
    """The quickest cascade in the mean that the select samples allow, if there is time for one.

    Args:
        setup: of the search.
        trials: whose answers on the select part are kept.
        baseline: the best untouched trial, the last stage.

    Raises:
        StorageError: answers can't be written.
    """
    candidates = stage_candidates(trials.all.values(), baseline)
    suits = suits_cascades(
        setup.metric,
        setup.select.rows_per_sample,
        rows=len(setup.certify),
        batch=setup.contract.batch,
    )
    if not suits or not candidates or not answers_right(baseline) or baseline.latency is None:
        return None
    last_ms = baseline.latency.mean_ms
    reason = why_none(setup.contract, setup.graph.signature)
    rows, row_ms = len(setup.certify), last_ms / setup.contract.batch
    if not reason and not affords_cascade(trials.climbing_s(), rows, row_ms):
        reason = "the time left didn't allow it"
    if reason:
        trials.tell.remark(NAME, f"None was looked for: {reason}.")
        return None
    trials.tell.rung(6)
    try:
        return _proposed(setup, trials, baseline, candidates, last_ms)
    except StorageError:
        raise
    except WhetError as error:
        trials.tell.remark(NAME, f"None was looked for: {error.message}")
        return None


def _proposed(
    setup: Setup,
    trials: Trials,
    baseline: Trial,
    candidates: Sequence[Trial],
    last_ms: float,
) -> Proposed | None:
    part, contract = setup.select, setup.contract
    original = ask_original(setup, part, left_s=trials.climbing_s())
    answers = [_answers(setup, trials, trial) for trial in candidates]
    scores = pick(original, contract.output)
    output = contract.output if contract.output is not None else next(iter(original))
    labels = None
    if setup.metric != "agreement" and part.labels is not None:
        labels = class_labels(part.labels, scores.reshape(len(scores), -1).shape[1], len(scores))
    looked = look_at(
        candidates,
        [pick(own, output) for own in answers],
        scores,
        labels,
        metric=setup.metric,
        output=output,
        seed=setup.seed,
    )
    if looked is None:
        return None
    check = ~looked.choosing
    plans = plans_within(
        looked.staged,
        looked.last_right,
        last_ms,
        looked.choosing,
        allowed=contract.max_drop.absolute(float(looked.last_right[check].mean())),
        confidence=contract.confidence,
        below_ms=mean_to_beat(trials.all.values(), baseline, contract, setup.certify.samples),
        batch=contract.batch,
    )
    for plan in plans[:: -max(1, len(plans) // _LOOKS)]:
        gates = gates_of(plan, looked.temperatures)
        sure = [looked.staged[plan.measure][place].confidence[check] for place in plan.stages]
        early = [{n: a[check] for n, a in answers[place].items()} for place in plan.stages]
        last = {name: array[check] for name, array in original.items()}
        got = answers_through(early, last, sure, gates)
        own = part.labels[check] if part.labels is not None else None
        select = judged_as_mixed(setup, last, got, own)
        passes = outlook(select, setup.certify.samples).chance
        if passes >= SURE:
            stages = (*(candidates[place] for place in plan.stages), baseline)
            rule = looked.rules[plan.measure]
            nobody = stage_records(stages, gates, (0,) * len(stages))
            record = CascadeTrial(NAME, nobody, rule, select)
            return Proposed(stages, gates, rule, plan.mean_ms, passes, record)
    return None


def _answers(setup: Setup, trials: Trials, trial: Trial) -> Arrays:
    left_s = trials.climbing_s()
    return answers_on(setup, trial, lambda: trials.made_for(trial), setup.select, left_s=left_s)


def stage_records(
    stages: Sequence[Trial], gates: Sequence[Gate], left: Sequence[int]
) -> tuple[StageTrial, ...]:
    """The stages with the share of rows that left at each.

    Args:
        stages: the last included.
        gates: of all but the last.
        left: rows that left at each.
    """
    total = max(1, sum(left))
    return tuple(
        StageTrial(trial.id, gate, count / total)
        for trial, gate, count in zip(stages, (*gates, None), left, strict=True)
    )

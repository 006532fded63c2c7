"""Which trials may be the stages of a cascade, and what their select answers say of one; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whet.core.cascade import Confidence, Gate, Measure
from whet.core.confidence import confidences, stages_of
from whet.core.contract import Contract
from whet.core.evidence import Trial
from whet.core.recipe import Recipe
from whet.core.spec import Arrays, Signature
from whet.errors import OptionError
from whet.measure.metrics import are_shares, logits_of, predictions, top_k_hits
from whet.runtimes.cascade import check_rows
from whet.search.decisions.decide import promising
from whet.search.decisions.figures import is_untouched
from whet.search.decisions.frontier import frontier
from whet.search.decisions.outlook import SURE
from whet.search.solver.calibrate import temperature_of
from whet.search.solver.cascade import Plan, Staged

__all__ = [
    "CLASS_METRICS",
    "Looked",
    "answers_through",
    "gates_of",
    "look_at",
    "may_be_stage",
    "mean_to_beat",
    "stage_candidates",
    "suits_cascades",
    "why_none",
]

CLASS_METRICS = frozenset({"top1", "top5", "agreement"})
_MOST = 9
_CHOOSING = 1 / 3  # share of the select samples that choose; the others check
_DEPENDENT = "quantize-dynamic"  # one scale for a whole batch: an answer depends on its neighbours

_Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Looked:
    """What the select answers say of possible stages.

    Attributes:
        rules: where confidence is read, one for each measure.
        temperatures: of each stage.
        staged: the stages by each measure, for `whet.search.solver.cascade`.
        last_right: (n,) whether the original is right.
        choosing: (n,) the samples that choose.
    """

    rules: tuple[Confidence, ...]
    temperatures: tuple[float, ...]
    staged: tuple[tuple[Staged, ...], ...]
    last_right: _Bools
    choosing: _Bools


def suits_cascades(metric: str, rows_per_sample: int, *, rows: int, batch: int) -> bool:
    """Whether answers are classes, one row a sample, and certify rows make a query.

    Args:
        metric: that quality is judged by.
        rows_per_sample: of the select part.
        rows: of the certify part, by which the mean is timed.
        batch: rows of a query.
    """
    return metric in CLASS_METRICS and rows_per_sample == 1 and rows >= batch


def why_none(contract: Contract, signature: Signature) -> str:
    """Why no cascade of a classifier is looked for; empty where one may be.

    Args:
        contract: with its limits.
        signature: of the untouched graph.
    """
    if contract.max_bytes is not None or contract.max_memory_bytes is not None:
        return "size or memory is limited, and a cascade holds several engines"
    try:
        check_rows(signature)
    except OptionError:
        return "the network's batch size is fixed"
    return ""


def stage_candidates(trials: Iterable[Trial], baseline: Trial) -> tuple[Trial, ...]:
    """Changed trials on the frontier that are quicker in the mean than the baseline, quickest first.

    What loses more than is allowed by itself is of use too: its sure answers may not.
    """
    if baseline.latency is None:
        return ()
    most_ms = baseline.latency.mean_ms
    quick = [
        (t.latency.mean_ms, t)
        for t in frontier(trials)
        if t.latency is not None
        and t.latency.mean_ms < most_ms
        and t.select is not None
        and not t.select.broken
        and not is_untouched(t)
        and may_be_stage(t.recipe)
    ]
    return tuple(t for _, t in sorted(quick, key=lambda pair: pair[0])[:_MOST])


def may_be_stage(recipe: Recipe) -> bool:
    """Whether the rows of a query may be sent on by themselves."""
    return not recipe.has(_DEPENDENT)


def mean_to_beat(
    trials: Iterable[Trial], baseline: Trial, contract: Contract, certify_n: int
) -> float:
    """What the quickest single engine takes in the mean that is sure enough to keep the floor.

    One that is only likely to, as an early exit near the floor, is no reason to propose no cascade:
    if it fails there is none, and if it passes the means that are measured decide.
    """
    good = [t for t in trials if promising(t, contract, certify_n, least=SURE)]
    means = [t.latency.mean_ms for t in (*good, baseline) if t.latency is not None]
    return min(means, default=0.0)


def look_at(
    candidates: Sequence[Trial],
    scores: Sequence[NDArray[np.generic]],
    original: NDArray[np.generic],
    labels: NDArray[np.int64] | None,
    *,
    metric: str,
    output: str,
    seed: int,
) -> Looked | None:
    """Confidences and right answers of possible stages; ``None`` where there are no classes.

    Args:
        candidates: the trials.
        scores: of each, (n, classes), on the select samples.
        original: the original's.
        labels: the right class of each sample; ``None`` where the original's answer counts as right.
        metric: of `CLASS_METRICS`.
        output: that holds the scores.
        seed: of which samples choose.
    """
    reference = logits_of(original)
    if original.reshape(len(original), -1).shape[1] < 2 or any(
        s.shape != original.shape for s in scores
    ):
        return None
    shares = are_shares(reference)
    wanted = predictions(reference) if labels is None else labels
    right = _right(metric, wanted)
    choosing = np.zeros(len(original), np.bool_)
    order = np.random.default_rng(seed).permutation(len(original))
    choosing[order[: round(_CHOOSING * len(order))]] = True
    temperatures = tuple(
        temperature_of(s[choosing], wanted[choosing], shares=shares) for s in scores
    )
    return Looked(
        rules=tuple(Confidence(output, measure, shares) for measure in Measure),
        temperatures=temperatures,
        staged=tuple(
            tuple(
                Staged(
                    trial.name,
                    trial.latency.mean_ms if trial.latency is not None else 0.0,
                    right(logits_of(own)),
                    confidences(own, temperature, measure, shares=shares),
                )
                for trial, own, temperature in zip(candidates, scores, temperatures, strict=True)
            )
            for measure in Measure
        ),
        last_right=right(reference),
        choosing=choosing,
    )


def _right(metric: str, wanted: NDArray[np.int64]) -> Callable[[NDArray[np.generic]], _Bools]:
    """Which rows of scores are right by a metric."""
    k = 5 if metric == "top5" else 1
    if metric == "agreement":
        return lambda scores: predictions(scores) == wanted
    return lambda scores: top_k_hits(scores, wanted, k)


def gates_of(plan: Plan, temperatures: Sequence[float]) -> tuple[Gate, ...]:
    """When rows leave the early stages of a plan."""
    return tuple(
        Gate(threshold, temperatures[place])
        for place, threshold in zip(plan.stages, plan.thresholds, strict=True)
    )


def answers_through(
    early: Sequence[Mapping[str, NDArray[np.generic]]],
    last: Mapping[str, NDArray[np.generic]],
    confidence: Sequence[NDArray[np.float64]],
    gates: Sequence[Gate],
) -> Arrays:
    """The answers of a cascade, put together from those of its stages to the same rows."""
    stage = stages_of(confidence, gates)
    found: Arrays = {}
    for name, array in last.items():
        whole = np.array(array)
        for number, outputs in enumerate(early):
            rows = np.flatnonzero(stage == number)
            whole[rows] = outputs[name][rows]
        found[name] = whole
    return found

"""Which quantised recipes the ladder proposes: the probe of rung 0, and rung 2; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from whet.core.evidence import Trial
from whet.core.recipe import Recipe
from whet.core.settings import Precision, Settings
from whet.optimize.graph.quantize.space import (
    ROUND,
    STORE,
    covers,
    first_recipes,
    weights_recipe,
)
from whet.runtimes.settings_space import precisions
from whet.search.decisions.figures import speed
from whet.search.ladder.rungs import FLOAT_BITS, of_graphs

__all__ = [
    "INT8_SHARE",
    "int8_first",
    "int8_probe",
    "int8_rest",
    "int8_soonest",
    "weights_nearest",
    "weights_only",
]

# A graph in int8 can't get smaller than this share of the untouched one.
INT8_SHARE = 8 / FLOAT_BITS

# Widths of weights stored alone, the widest first.
_BITS = (8, 4)

# Of quantised runtimes, only those this near to the best get more algorithms tried.
_NEAR = 0.85

# Quick timings above this share of the fastest don't tell runtimes apart.
_LEVEL = 0.95

# Quantisers that look for ranges on samples.
_CALIBRATED = frozenset({"quantize-nncf", "quantize-nncf-ir", "quantize-ort"})

# Samples for the probe of rung 0: enough for its speed, which is all that is asked of it.
_PROBE_SAMPLES = 8


def int8_probe(kind: str, first: Iterable[Trial], flags: frozenset[str]) -> tuple[Recipe, ...]:
    """Rung 0: int8 as fast as it can be had, with ranges from a handful of samples if it has any.

    Arguments as in `int8_soonest`.
    """
    return tuple(
        Recipe(
            tuple(
                msgspec.structs.replace(
                    step, options={**step.options, "subset_size": _PROBE_SAMPLES}
                )
                if step.name in _CALIBRATED
                else step
                for step in whole.steps
            ),
            whole.runtime,
            whole.settings,
        )
        for whole in int8_soonest(kind, first, flags)
    )


def int8_soonest(kind: str, first: Iterable[Trial], flags: frozenset[str]) -> tuple[Recipe, ...]:
    """The int8 candidate that promises most, where there is time for one only.

    Of the runtimes that have int8 for what the network mostly computes, the one that ran the
    untouched graph fastest is asked.

    Args:
        kind: ``"cnn"``, ``"transformer"`` or ``"recurrent"``.
        first: untouched trials that ran; of those about equally fast, the earlier one counts.
        flags: what the CPU can do.
    """
    able = [
        (t, recipes[0])
        for t in first
        if (recipes := first_recipes(kind, t.recipe.runtime, flags=flags))
    ]
    if not able:
        return ()
    able = [pair for pair in able if covers(kind, pair[0].recipe.runtime)] or able
    most = max(speed(t) for t, _ in able)
    trial, steps = next(pair for pair in able if speed(pair[0]) >= _LEVEL * most)
    return (Recipe(steps, trial.recipe.runtime, trial.recipe.settings),)


def int8_first(
    kind: str, runtimes: Sequence[str], best: dict[str, Settings], flags: frozenset[str]
) -> tuple[Recipe, ...]:
    """Rung 2, first wave: on each runtime the quantisation recipe that wins most often.

    Runtimes that have int8 for what the network mostly computes come first.

    Args:
        kind: ``"cnn"``, ``"transformer"`` or ``"recurrent"``.
        runtimes: those that may be used.
        best: the fastest lossless settings of each runtime that ran at rung 1.
        flags: what the CPU can do; some need no head-room in the sums.
    """
    return tuple(
        Recipe(steps, runtime, best[runtime])
        for runtime in sorted(runtimes, key=lambda name: not covers(kind, name))
        if runtime in best
        for steps in first_recipes(kind, runtime, flags=flags)[:1]
    )


def int8_rest(
    kind: str, first: Iterable[Trial], best: dict[str, Settings], flags: frozenset[str]
) -> Iterator[Recipe]:
    """Rung 2, later wave: other algorithms on the runtimes whose first int8 was near the best."""
    ranked = sorted((t for t in first if speed(t) > 0), key=speed, reverse=True)
    near = [t for t in ranked if speed(t) >= _NEAR * speed(ranked[0])]
    queues = [
        [
            Recipe(steps, t.recipe.runtime, best[t.recipe.runtime])
            for steps in first_recipes(kind, t.recipe.runtime, flags=flags)[1:]
        ]
        for t in near
    ]
    for place in range(max((len(q) for q in queues), default=0)):
        for queue in queues:
            if place < len(queue):
                yield queue[place]
    # Weight-only pays where a network is bound by reading its weights, or for its size alone.
    if "openvino" in best:
        yield Recipe(weights_recipe("openvino"), "openvino", best["openvino"])


def weights_only(
    best: dict[str, Settings], flags: frozenset[str], *, kind: str, share: float
) -> Iterator[Recipe]:
    """Rung 2, where room is short and int8 as a whole isn't sure: the weights alone, 8 bits then 4.

    Where 8 bits are too many, the fewest are proposed alone, even if they leave too little room as
    well: how near that comes is the most that a miss can tell. Where they can't be had or ruin the
    answers, `weights_nearest` comes after.

    First those that move the answers least, rounded in advance; they are asked for one at a time,
    and the first that is sure ends it: so what computes in bf16, which is faster, comes before.
    The weights of recurrent layers come in 8 bits and only so.

    Args:
        best: the fastest lossless settings of each runtime that ran.
        flags: what the CPU can do.
        kind: as in `int8_first`.
        share: of the untouched graph's size that is allowed; 1 where only memory is limited.
    """
    if kind == "recurrent":
        yield from _rounded(best, flags)
    elif share >= INT8_SHARE:
        yield from _rounded(best, flags)
        for bits in _BITS:
            yield from _alone(best, bits)
    else:
        yield from _alone(best, _BITS[-1])


def weights_nearest(best: dict[str, Settings], flags: frozenset[str]) -> Iterator[Recipe]:
    """After `weights_only`, where 8 bits are too many and no fewer will do: they come nearest.

    Convolutions, for one, have no fewer. The cheapest to make come first. Arguments as there.
    """
    yield from _alone(best, _BITS[0])
    yield from _rounded(best, flags)


def _alone(best: dict[str, Settings], bits: int) -> Iterator[Recipe]:
    for runtime in of_graphs(best):
        yield Recipe(weights_recipe(runtime, bits=bits), runtime, best[runtime])


def _rounded(best: dict[str, Settings], flags: frozenset[str]) -> Iterator[Recipe]:
    """Weights of 8 bits, rounded so that the answers move least."""
    for runtime in of_graphs(best):
        for settings in (*_halved(runtime, best[runtime], flags), best[runtime]):
            yield Recipe((ROUND, STORE), runtime, settings)


def _halved(runtime: str, settings: Settings, flags: frozenset[str]) -> Iterator[Settings]:
    """The same settings in bf16, where the CPU has it and the runtime takes it for any graph."""
    if runtime == "openvino" and Precision.BF16 in precisions(flags):
        yield msgspec.structs.replace(settings, precision=Precision.BF16)

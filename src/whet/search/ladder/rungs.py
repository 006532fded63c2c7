"""Which recipes in floating point each rung of the ladder proposes; pure.

A rung is a function from what is known to the recipes to try next, in order
of promise. The climb (`whet.search.ladder.climb`) asks, tries and asks again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from whet.core.evidence import Trial
from whet.core.recipe import Recipe, Step
from whet.core.settings import Precision, Settings
from whet.runtimes.axes import Axes
from whet.runtimes.settings_space import settings_space
from whet.search.decisions.figures import speed

__all__ = [
    "FLOAT_BITS",
    "FUSE",
    "GRAPHS",
    "MORE",
    "fused",
    "lighter",
    "of_graphs",
    "reduced_precision",
    "untouched_first",
    "untouched_rest",
]

# A runtime whose first try is slower than this share of the best is not tuned further.
_HOPELESS = 0.6

# Further settings tried per runtime; each of Inductor's costs half a minute of C++.
MORE = {"inductor": 1}

# Runtimes that passes over graphs are for; Inductor compiles the program.
GRAPHS = frozenset({"openvino", "onnxruntime"})

FUSE = Step("fuse", {"target": "onnxruntime"})

# A CPU with this flag gives ONNX Runtime kernels of its own for graphs in half precision.
_HALF_KERNELS = "asimdhp"

# A graph can't get smaller than by the bits of its weights.
FLOAT_BITS = 32
_HALF = 16 / FLOAT_BITS


def untouched_first(runtimes: Sequence[str], axes: Axes) -> tuple[Recipe, ...]:
    """Rung 1, first wave: the untouched graph once on each runtime, lossless."""
    return tuple(
        Recipe((), runtime, spaces[0])
        for runtime in runtimes
        if (spaces := settings_space(runtime, axes, lossless=True))
    )


def untouched_rest(first: Iterable[Trial], axes: Axes) -> Iterator[Recipe]:
    """Rung 1, second wave: more settings for the runtimes that are near the best."""
    ranked = sorted((t for t in first if speed(t) > 0), key=speed, reverse=True)
    for trial in ranked:
        if speed(trial) < _HOPELESS * speed(ranked[0]):
            continue
        runtime = trial.recipe.runtime
        space = settings_space(runtime, axes, lossless=True)
        for settings in space[1 : 1 + MORE.get(runtime, 4)]:
            yield Recipe((), runtime, settings)


def reduced_precision(runtimes: Sequence[str], axes: Axes) -> Iterator[Recipe]:
    """Rung 1, third wave: bf16 or fp16 compute where the CPU has it; quality is judged."""
    for runtime in runtimes:
        lossy = [
            s
            for s in settings_space(runtime, axes, lossless=False)
            if s.precision is not Precision.FP32
        ]
        for settings in lossy[:2]:
            yield Recipe((), runtime, settings)
        if runtime == "onnxruntime" and _HALF_KERNELS in axes.flags:
            # It computes in the graph's own types, so the graph is what changes.
            step = Step("cast", {"weights": "fp16", "compute": True})
            first = settings_space(runtime, axes, lossless=False)[0]
            yield Recipe((step,), runtime, first)


def fused(kind: str, best: dict[str, Settings]) -> Iterator[Recipe]:
    """Rung 1, fourth wave: transformers with ONNX Runtime's own fused operators."""
    if kind == "transformer" and "onnxruntime" in best:
        yield Recipe((FUSE,), "onnxruntime", best["onnxruntime"])


def lighter(best: dict[str, Settings], *, share: float) -> Iterator[Recipe]:
    """Rung 1, where room is short: weights stored in 16 bits, computed with in 32.

    Args:
        best: the fastest lossless settings of each runtime that ran.
        share: of the untouched graph's size that is allowed; 1 where only memory is limited.
    """
    if share >= _HALF:
        for runtime in of_graphs(best):
            yield Recipe((Step("cast", {"weights": "fp16"}),), runtime, best[runtime])


def of_graphs(best: dict[str, Settings]) -> list[str]:
    """Of the runtimes with settings, those that passes over graphs are for, by name."""
    return sorted(best.keys() & GRAPHS)

"""Which recipes each rung of the ladder proposes; pure.

A rung is a function from what is known to the recipes to try next, in order
of promise. The climb (`whet.search.ladder.climb`) asks, tries and asks again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from whet.core.evidence import Trial
from whet.core.recipe import Recipe, Step
from whet.core.settings import Precision, Settings
from whet.optimize.graph.quantize.space import first_recipes, weights_recipe
from whet.runtimes.axes import Axes
from whet.runtimes.neighbours import neighbours
from whet.runtimes.settings_space import settings_space
from whet.search.decisions.figures import speed

__all__ = [
    "fused",
    "int8_first",
    "int8_probe",
    "int8_rest",
    "int8_soonest",
    "lighter",
    "padded",
    "reduced_precision",
    "retuned",
    "reworked",
    "rounded",
    "tidied",
    "untouched_first",
    "untouched_rest",
    "weights_only",
]

# A runtime whose first try is slower than this share of the best is not tuned further.
_HOPELESS = 0.6

# Of quantised runtimes, only those this near to the best get more algorithms tried.
_NEAR = 0.85

# Quick timings above this share of the fastest don't tell runtimes apart.
_LEVEL = 0.95

# Further settings tried per runtime; each of Inductor's costs half a minute of C++.
_MORE = {"inductor": 1}

# Runtimes that passes over graphs are for; Inductor compiles the program.
_GRAPHS = frozenset({"openvino", "onnxruntime"})

_TIDY = (Step("tidy"), Step("fuse"))
_FUSE = Step("fuse", {"target": "onnxruntime"})
_PER_CHANNEL = frozenset({"quantize-nncf", "quantize-nncf-ir", "quantize-ort", "quantize-dynamic"})

_ROUND = Step("round-weights")
_ROUNDED = frozenset({"quantize-nncf", "quantize-nncf-ir"})

# A CPU with this flag gives ONNX Runtime kernels of its own for graphs in half precision.
_HALF_KERNELS = "asimdhp"

# A graph can't get smaller than by the bits of its weights.
_FLOAT_BITS = 32
_HALF = 16 / _FLOAT_BITS

# Samples for the probe of rung 0: enough for its speed, which is all that is asked of it.
_PROBE_SAMPLES = 8


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
        for settings in space[1 : 1 + _MORE.get(runtime, 4)]:
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


def padded(trial: Trial, choices: Iterable[dict[str, int]]) -> Iterator[Recipe]:
    """A trial's own recipe with sizes rounded up; quality is judged."""
    recipe = trial.recipe
    for choice in choices:
        settings = msgspec.structs.replace(recipe.settings, round_up=choice)
        yield Recipe(recipe.steps, recipe.runtime, settings)


def fused(kind: str, best: dict[str, Settings]) -> Iterator[Recipe]:
    """Rung 1, fourth wave: transformers with ONNX Runtime's own fused operators."""
    if kind == "transformer" and "onnxruntime" in best:
        yield Recipe((_FUSE,), "onnxruntime", best["onnxruntime"])


def lighter(best: dict[str, Settings], *, share: float) -> Iterator[Recipe]:
    """Rung 1, where room is short: weights stored in 16 bits, computed with in 32.

    Args:
        best: the fastest lossless settings of each runtime that ran.
        share: of the untouched graph's size that is allowed; 1 where only memory is limited.
    """
    if share >= _HALF:
        for runtime in _of_graphs(best):
            yield Recipe((Step("cast", {"weights": "fp16"}),), runtime, best[runtime])


def weights_only(best: dict[str, Settings], *, share: float) -> Iterator[Recipe]:
    """Rung 2, where room is short and int8 as a whole didn't do: the weights alone, 8 bits then 4.

    Arguments as in `lighter`.
    """
    for bits in (8, 4):
        for runtime in _of_graphs(best):
            if share >= bits / _FLOAT_BITS:
                yield Recipe(weights_recipe(runtime, bits=bits), runtime, best[runtime])


def _of_graphs(best: dict[str, Settings]) -> list[str]:
    return sorted(best.keys() & _GRAPHS)


def int8_probe(kind: str, first: Iterable[Trial], flags: frozenset[str]) -> tuple[Recipe, ...]:
    """Rung 0: int8 as fast as it can be had, with ranges from a handful of samples.

    Arguments as in `int8_soonest`.
    """
    return tuple(
        Recipe(
            tuple(
                msgspec.structs.replace(
                    step, options={**step.options, "subset_size": _PROBE_SAMPLES}
                )
                if step.name.startswith("quantize")
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

    Of the runtimes that have int8, the one that ran the untouched graph fastest is asked.

    Args:
        kind: ``"cnn"`` or ``"transformer"``.
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
    most = max(speed(t) for t, _ in able)
    trial, steps = next(pair for pair in able if speed(pair[0]) >= _LEVEL * most)
    return (Recipe(steps, trial.recipe.runtime, trial.recipe.settings),)


def int8_first(
    kind: str, runtimes: Sequence[str], best: dict[str, Settings], flags: frozenset[str]
) -> tuple[Recipe, ...]:
    """Rung 2, first wave: on each runtime the quantisation recipe that wins most often.

    Args:
        kind: ``"cnn"`` or ``"transformer"``.
        runtimes: those that may be used.
        best: the fastest lossless settings of each runtime that ran at rung 1.
        flags: what the CPU can do; some need no head-room in the sums.
    """
    return tuple(
        Recipe(steps, runtime, best[runtime])
        for runtime in runtimes
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


def rounded(trial: Trial) -> Iterator[Recipe]:
    """Rung 2: a candidate quantised by NNCF, its weights rounded before by what they do together.

    Biases stay as they are: the rounding leaves the means of the outputs where they were. With
    zero points, activations that have both signs are rounded more finely; where they cost speed,
    the clock says so.
    """
    recipe = trial.recipe
    step = next((s for s in recipe.steps if s.name in _ROUNDED), None)
    if step is None or any(s.name == _ROUND.name for s in recipe.steps):
        return
    own = step.options
    # Either puts the weights on another grid than the one they were rounded to.
    if not own.get("per_channel", True) or any(key.startswith("smooth_quant") for key in own):
        return
    for preset in dict.fromkeys(("mixed", own.get("preset", "performance"))):
        options = {**own, "bias": "none", "preset": preset}
        quantised = (
            msgspec.structs.replace(s, options=options) if s is step else s for s in recipe.steps
        )
        yield Recipe((_ROUND, *quantised), recipe.runtime, recipe.settings)


def tidied(trial: Trial) -> Iterator[Recipe]:
    """A candidate's own passes on a tidied graph with affine maps folded into its weights.

    Exporters of today leave little to do there, and the passes refuse a graph that
    they would not change; older files gain, above all where they are quantised after.
    """
    recipe = trial.recipe
    if recipe.runtime in _GRAPHS and not any(step in recipe.steps for step in _TIDY):
        yield Recipe((*_TIDY, *recipe.steps), recipe.runtime, recipe.settings)


def reworked(kind: str, trial: Trial) -> Iterator[Recipe]:
    """Rung 2, late: a quantised candidate that is good, with one pass or option changed.

    Fused operators leave less between the integer kernels of ONNX Runtime; one scale
    for a whole tensor instead of one per channel is cheaper on some of its kernels.
    """
    recipe = trial.recipe
    names = {step.name for step in recipe.steps}
    if names.isdisjoint(_PER_CHANNEL):
        return
    if kind == "transformer" and recipe.runtime == "onnxruntime" and "fuse" not in names:
        yield Recipe((_FUSE, *recipe.steps), recipe.runtime, recipe.settings)
    whole = tuple(
        msgspec.structs.replace(step, options={**step.options, "per_channel": False})
        if step.name in _PER_CHANNEL
        else step
        for step in recipe.steps
    )
    if whole != recipe.steps:
        yield Recipe(whole, recipe.runtime, recipe.settings)


def retuned(trial: Trial, axes: Axes, *, most: int) -> Iterator[Recipe]:
    """Other settings for a candidate that is good already: those beside its own.

    Of a quantised graph, what is left in float may be computed in bf16, and threads,
    streams and static shapes weigh differently once the arithmetic is cheap. An
    untouched graph stays one.

    Args:
        trial: that did well.
        axes: of this machine.
        most: settings to try.
    """
    recipe = trial.recipe
    near = neighbours(recipe.runtime, recipe.settings, axes, lossless=recipe.untouched)
    for settings in near[: min(most, _MORE.get(recipe.runtime, most))]:
        yield Recipe(recipe.steps, recipe.runtime, settings)

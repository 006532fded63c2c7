"""Recipes beside that of one candidate: a pass or a setting changed; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec

from whet.core.evidence import Status, Trial
from whet.core.recipe import Recipe, Step
from whet.core.settings import Precision
from whet.optimize.graph.quantize.space import ROUND, UNROUND, restored, stored, unrounded
from whet.runtimes.axes import Axes
from whet.runtimes.neighbours import neighbours
from whet.search.decisions.figures import speed
from whet.search.ladder.rungs import FUSE, GRAPHS, MORE

__all__ = [
    "LEARNT",
    "TO_GRAPH",
    "is_changed",
    "on_the_graph",
    "padded",
    "restored_in",
    "retuned",
    "reworked",
    "rounded",
    "rounding_first",
    "slow_precisions",
    "tidied",
]

TO_GRAPH = Step("to-graph")  # what comes before it changes the network itself
LEARNT = "learn-int8"  # by it the network itself is in int8
_TIDY = (Step("tidy"), Step("fuse"))
_PER_CHANNEL = frozenset({"quantize-nncf", "quantize-nncf-ir", "quantize-ort", "quantize-dynamic"})

_FAR = 0.5  # a precision below this share of the speed of another isn't tried on other passes
_ROUNDED = frozenset({"quantize-nncf", "quantize-nncf-ir"})


def padded(trial: Trial, choices: Iterable[dict[str, int]]) -> Iterator[Recipe]:
    """A trial's own recipe with sizes rounded up; quality is judged."""
    recipe = trial.recipe
    for choice in choices:
        settings = msgspec.structs.replace(recipe.settings, round_up=choice)
        yield Recipe(recipe.steps, recipe.runtime, settings)


def rounded(trial: Trial) -> Iterator[Recipe]:
    """Rung 2: a candidate quantised by NNCF, its weights rounded before by what they do together.

    With zero points, activations that have both signs are rounded more finely; where they cost
    speed, the clock says so.
    """
    recipe = trial.recipe
    own = next((s.options for s in recipe.steps if s.name in _ROUNDED), {})
    for preset in dict.fromkeys(("mixed", own.get("preset", "performance"))):
        steps = rounding_first(recipe.steps, preset=preset)
        if steps is not None:
            yield Recipe(steps, recipe.runtime, recipe.settings)


def rounding_first(steps: Sequence[Step], **options: str) -> tuple[Step, ...] | None:
    """The same passes with weights rounded in advance; ``None`` where that makes no sense.

    Biases stay as they are: the rounding leaves the means of the outputs where they were.

    Args:
        steps: of a candidate.
        options: other ones for its quantiser.
    """
    step = next((s for s in steps if s.name in _ROUNDED), None)
    if step is None or ROUND in steps:
        return None
    own = step.options
    # Either puts the weights on another grid than the one they were rounded to.
    if not own.get("per_channel", True) or any(key.startswith("smooth_quant") for key in own):
        return None
    changed = msgspec.structs.replace(step, options={**own, "bias": "none", **options})
    return on_the_graph((ROUND,), [changed if s is step else s for s in steps])


def restored_in(
    trial: Trial, ignored: Iterable[str], precision: Precision, *, small: bool
) -> Recipe:
    """Rung 2: a quantised candidate with layers left in float.

    Args:
        trial: quantised.
        ignored: operators to leave in float.
        precision: that they compute in.
        small: where size is limited, their weights are stored as integers all the same; else
            those that were rounded are given back.
    """
    recipe = trial.recipe
    steps = restored(recipe.steps, ignored)
    settings = msgspec.structs.replace(recipe.settings, precision=precision)
    if small:
        steps = stored(steps)
    elif not is_changed(recipe.steps):  # the untouched graph has no weights for another network
        steps = unrounded(steps)
    return Recipe(steps, recipe.runtime, settings)


def on_the_graph(passes: Iterable[Step], steps: Sequence[Step]) -> tuple[Step, ...]:
    """The same steps with passes over graphs before all others of that kind.

    Args:
        passes: over graphs.
        steps: of a candidate; they may begin with passes over the network.
    """
    place = next((i + 1 for i, step in enumerate(steps) if step == TO_GRAPH), 0)
    return (*steps[:place], *passes, *steps[place:])


def is_changed(steps: Iterable[Step]) -> bool:
    """Whether the network itself is another one."""
    return TO_GRAPH in steps


def tidied(trial: Trial) -> Iterator[Recipe]:
    """A candidate's own passes on a tidied graph with affine maps folded into its weights.

    Exporters of today leave little to do there, and the passes refuse a graph that
    they would not change; older files gain, above all where they are quantised after.
    """
    recipe = trial.recipe
    # Weights are given back from the untouched graph, whose own a tidied one may not have.
    given_back = any(step.name == UNROUND for step in recipe.steps)
    tidied = any(step in recipe.steps for step in _TIDY)
    whole = recipe.has(LEARNT)  # nothing folds into integers
    if recipe.runtime in GRAPHS and not tidied and not given_back and not whole:
        steps = on_the_graph(_TIDY, recipe.steps)
        yield Recipe(steps, recipe.runtime, recipe.settings)


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
        yield Recipe(on_the_graph((FUSE,), recipe.steps), recipe.runtime, recipe.settings)
    whole = tuple(
        msgspec.structs.replace(step, options={**step.options, "per_channel": False})
        if step.name in _PER_CHANNEL
        else step
        for step in recipe.steps
    )
    if whole != recipe.steps and ROUND not in recipe.steps:  # its grid is that of the channels
        yield Recipe(whole, recipe.runtime, recipe.settings)


def retuned(
    trial: Trial, axes: Axes, *, most: int, slow: Collection[Precision] = ()
) -> Iterator[Recipe]:
    """Other settings for a candidate that is good already: those beside its own.

    Of a quantised graph, what is left in float may be computed in bf16, and threads,
    streams and static shapes weigh differently once the arithmetic is cheap. An
    untouched graph stays one.

    Args:
        trial: that did well.
        axes: of this machine.
        most: settings to try.
        slow: precisions to leave out, unless it is the candidate's own.
    """
    recipe, own = trial.recipe, trial.recipe.settings
    near = [
        settings
        for settings in neighbours(recipe.runtime, own, axes, lossless=recipe.untouched)
        if settings.precision == own.precision or settings.precision not in slow
    ]
    for settings in near[: min(most, MORE.get(recipe.runtime, most))]:
        yield Recipe(recipe.steps, recipe.runtime, settings)


def slow_precisions(trials: Iterable[Trial], runtime: str) -> frozenset[Precision]:
    """Those in which a runtime was seen to be far behind itself on the same passes.

    Where it has no kernels for one, a single trial may take as long as ten others.

    Args:
        trials: so far.
        runtime: that they must have run on.
    """
    best: dict[str, float] = {}
    reached: dict[Precision, float] = {}
    ran = [t for t in trials if t.status is Status.OK and t.recipe.runtime == runtime]
    for trial in ran:
        passes = trial.recipe.build_digest()
        best[passes] = max(best.get(passes, 0.0), speed(trial))
    for trial in ran:
        share = speed(trial) / (best[trial.recipe.build_digest()] or 1.0)
        precision = trial.recipe.settings.precision
        reached[precision] = max(reached.get(precision, 0.0), share)
    return frozenset(precision for precision, share in reached.items() if share < _FAR)

"""Which quantisation recipes to try: a handful by experience, the rest by search; pure.

What decides is not only where to quantise but how: on a transformer the same
places with and without the rules for attention differ by more than half the
quality, on a network with depthwise convolutions one scale per tensor instead
of one per channel costs nearly all of it. So the algorithm is searched, not
set once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from whet.core.recipe import Step

__all__ = [
    "ROUND",
    "STORE",
    "UNROUND",
    "Suggests",
    "covers",
    "first_recipes",
    "learnt",
    "ranked_by",
    "restored",
    "stored",
    "suggest",
    "unrounded",
    "weights_recipe",
]

ROUND, STORE = Step("round-weights"), Step("store-int8")
# Where other layers have quantised activations, OpenVINO takes no recurrent layer of it.
_STORE_BESIDE = Step("store-int8", {"recurrent": False})

_IR = Step("convert-ir")
UNROUND = "restore-weights"

# In order of promise. The first of a kind is what NNCF does by itself, or what
# beats it everywhere; the later ones win on some networks and rescue others.
_NNCF_CNN: tuple[dict[str, Any], ...] = (
    {},
    {"preset": "mixed"},
    {"ranges": "minmax", "bias": "none"},
    {"ranges": "histogram", "bias": "full", "preset": "mixed"},
    {"ranges": "minmax", "bias": "none", "keep_first": True, "keep_last": True},
)
_NNCF_TRANSFORMER: tuple[dict[str, Any], ...] = (
    {"smooth_quant_alpha": 0.5, "ranges": "minmax"},
    {},
    {"smooth_quant_alpha": 0.15},
    {"smooth_quant_alpha": 0.5, "ranges": "histogram", "keep_last": True},
    {"smooth_quant_alpha": 0.95},
)
_ORT_CNN: tuple[Step, ...] = (
    Step("quantize-ort", {"calibration": "minmax"}),
    Step("quantize-ort", {"calibration": "entropy", "keep_first": True, "keep_last": True}),
)
_ORT_TRANSFORMER: tuple[Step, ...] = (
    Step("quantize-dynamic"),
    Step("quantize-weights"),
)
# Nothing but the dynamic quantiser has an integer LSTM that is right and fast.
_ORT_RECURRENT: tuple[Step, ...] = (
    Step("quantize-dynamic"),
    Step("quantize-dynamic", {"per_channel": False}),
)


# CPU features whose integer products are summed in 32 bits, so that no weight
# has to make do with 7 of its 8.
_WIDE_SUMS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})


_QUANTISERS = frozenset({"quantize-nncf", "quantize-nncf-ir", "quantize-ort", "quantize-dynamic"})

# Options that NNCF's quantisers and ONNX Runtime's call by the same name.
_SHARED = frozenset({"subset_size", "per_channel", "ignored", "keep_first", "keep_last", "seed"})

# ONNX Runtime's own quantisers know 7 bits for all weights or for none.
_NARROWED = frozenset({"quantize-ort", "quantize-dynamic"})


def learnt(flags: frozenset[str], options: dict[str, Any]) -> Step:
    """The pass over networks that learns int8, with what the CPU needs against overflow.

    Args:
        flags: as in `first_recipes`.
        options: further ones.
    """
    return Step("learn-int8", {**options, **_sums(flags)[1]})


def _sums(flags: frozenset[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options against sums that overflow, or for all 8 bits: NNCF's and ONNX Runtime's."""
    if flags.isdisjoint(_WIDE_SUMS):
        return {}, {"reduce_range": True}
    return {"half_range": "none"}, {}


def first_recipes(
    kind: str, runtime: str, *, flags: frozenset[str] = frozenset()
) -> tuple[tuple[Step, ...], ...]:
    """Lists of passes to try first on a runtime, the most promising first.

    Args:
        kind: ``"transformer"`` or ``"recurrent"``; anything else is treated as a ``"cnn"``.
        runtime: its registered name; one that runs no quantised graphs gets none.
        flags: features of the CPU that will run it; without one that sums in 32
            bits, weights make do with 7 bits: of NNCF's the first layers', of ONNX
            Runtime's own quantisers all.
    """
    attention = kind == "transformer"
    full, narrow = _sums(flags)
    kinds = {"transformer": _ORT_TRANSFORMER, "recurrent": _ORT_RECURRENT}.get(kind, _ORT_CNN)
    nncf = tuple({**full, **o} for o in (_NNCF_TRANSFORMER if attention else _NNCF_CNN))
    if runtime == "openvino":
        return tuple((_IR, Step("quantize-nncf-ir", dict(options))) for options in nncf)
    if runtime == "onnxruntime":
        own = tuple(
            Step(step.name, {**narrow, **step.options}) if step.name in _NARROWED else step
            for step in kinds
        )
        ours = tuple(Step("quantize-nncf", dict(options)) for options in nncf)
        if kind == "recurrent":
            return tuple((step,) for step in (*own, *ours[:2]))
        return tuple((step,) for step in (ours[0], own[0], *ours[1:3], *own[1:], *ours[3:]))
    return ()


def covers(kind: str, runtime: str) -> bool:
    """Whether a runtime's integer kernels do what a kind of network mostly computes.

    Recurrent layers have none but ONNX Runtime's LSTM; elsewhere int8 is for what stands around.
    """
    return kind != "recurrent" or runtime == "onnxruntime"


def weights_recipe(runtime: str, *, bits: int = 8) -> tuple[Step, ...]:
    """The passes that quantise weights alone, for a runtime that reads graphs.

    Args:
        runtime: its registered name.
        bits: 8 or 4.
    """
    options = {} if bits == 8 else {"bits": bits}
    if runtime == "openvino":
        return (_IR, Step("quantize-weights-ir", options))
    return (Step("quantize-weights", options),)


class Suggests(Protocol):
    """The part of an Optuna trial that is needed here."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...

    def suggest_float(self, name: str, low: float, high: float, *, step: float) -> float: ...


def suggest(
    trial: Suggests, kind: str, runtime: str, *, flags: frozenset[str] = frozenset()
) -> tuple[Step, ...]:
    """One list of passes, its choices made by ``trial``; for the search after the first recipes.

    The space is the same in every call for one kind and runtime, and choices
    that have no effect aren't made. Arguments as in `first_recipes`.
    """
    attention = kind == "transformer"
    full, narrow = _sums(flags)
    if runtime == "openvino":
        return (_IR, Step("quantize-nncf-ir", full | _nncf_options(trial, attention=attention)))
    if kind == "recurrent":
        return (Step("quantize-dynamic", narrow | _dynamic_options(trial)),)
    if trial.suggest_categorical("quantiser", ("nncf", "ort")) == "nncf":
        return (Step("quantize-nncf", full | _nncf_options(trial, attention=attention)),)
    return (Step("quantize-ort", narrow | _ort_options(trial, attention=attention)),)


def _nncf_options(trial: Suggests, *, attention: bool) -> dict[str, Any]:
    options: dict[str, Any] = {
        "ranges": trial.suggest_categorical(
            "ranges", ("minmax", "mean-minmax", "histogram", "percentile", "median-minmax")
        ),
        "bias": trial.suggest_categorical("bias", ("fast", "full", "none")),
        "preset": trial.suggest_categorical("preset", ("performance", "mixed")),
        "subset_size": trial.suggest_categorical("subset_size", (32, 128, 300)),
        "keep_first": trial.suggest_categorical("keep_first", (False, True)),
        "keep_last": trial.suggest_categorical("keep_last", (False, True)),
    }
    if attention and trial.suggest_categorical("smooth_quant", (False, True)):
        alpha = trial.suggest_float("smooth_quant_alpha", 0.05, 0.95, step=0.15)
        options["smooth_quant_alpha"] = round(alpha, 2)
    return options


def _dynamic_options(trial: Suggests) -> dict[str, Any]:
    return {
        "per_channel": trial.suggest_categorical("per_channel", (True, False)),
        "keep_last": trial.suggest_categorical("dynamic_keep_last", (False, True)),
    }


def _ort_options(trial: Suggests, *, attention: bool) -> dict[str, Any]:
    options: dict[str, Any] = {
        "calibration": trial.suggest_categorical(
            "calibration", ("minmax", "percentile", "entropy")
        ),
        "symmetric": trial.suggest_categorical("symmetric", (False, True)),
        "keep_first": trial.suggest_categorical("ort_keep_first", (False, True)),
        "keep_last": trial.suggest_categorical("ort_keep_last", (False, True)),
    }
    if options["calibration"] == "percentile":
        options["percentile"] = trial.suggest_categorical("percentile", (99.9, 99.99, 99.999))
    if attention:
        options["op_types"] = ["MatMul", "Gemm"]
    return options


def ranked_by(step: Step) -> Step | None:
    """The quantiser by which the layers of a step are ranked; ``None`` where it quantises none.

    Damage is found by taking NNCF's quantisers out one group at a time
    (`whet.optimize.graph.quantize.sensitivity`). ONNX Runtime's own quantisers round the
    same layers by other ranges: which of them hurt most is asked of NNCF in their stead.
    As the static one rounds outputs too, it may need the layer before as well; the search
    for layers to restore finds that by going on down the ranking.
    """
    if step.name not in _QUANTISERS:
        return None
    if step.name in _NARROWED:
        shared = {key: value for key, value in step.options.items() if key in _SHARED}
        return Step("quantize-nncf", shared)
    return step


def restored(steps: Iterable[Step], ignored: Iterable[str]) -> tuple[Step, ...]:
    """The same passes with more operators left in float by the quantiser among them.

    This is how an answer of `whet.optimize.graph.quantize.plan.RestoreSearch` becomes a recipe.
    """
    more = tuple(ignored)
    return tuple(
        Step(
            step.name,
            {
                **step.options,
                "ignored": sorted({*step.options.get("ignored", ()), *more}),
            },
        )
        if step.name in _QUANTISERS
        else step
        for step in steps
    )


def unrounded(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The same passes with weights that were rounded first given back to layers left in float."""
    ignored = next((s.options.get("ignored", ()) for s in steps if s.name in _QUANTISERS), ())
    if not ignored or steps[0] != ROUND:
        return tuple(steps)
    later = (step for step in steps[1:] if step.name != UNROUND)
    return (ROUND, Step(UNROUND, {"ignored": ignored}), *later)


def stored(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The same passes with the weights of layers that stay in float stored as integers.

    They stand on the grid that the quantiser gives to the others, and OpenVINO widens them when it
    loads the graph; passes for another runtime stay as they are.
    """
    if _IR not in steps or any(step.name == STORE.name for step in steps):
        return tuple(steps)
    place = steps.index(_IR)
    return (*steps[:place], _STORE_BESIDE, *steps[place:])

"""Which array a network couldn't take, when it fails on the samples.

Torch names a layer and a weight; a user knows arrays. A module states nothing
about its inputs, so two things are asked:

1. the layer that failed: what it can take follows from its own fields, and
   whether its input is one of the arrays or was made from them is seen by
   looking at what it was given;
2. the network itself: each usual cure (channels first, another dtype, an axis
   more or less) is tried on one row; one that makes it run is the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.core.fit import GREY, kind_of, misfit
from whet.core.spec import Arrays, Dim, TensorSpec
from whet.errors import ExportError, SamplesError, WhetError
from whet.optimize.blame import users_line
from whet.optimize.quiet import quiet
from whet.optimize.said import kind_and_line

if TYPE_CHECKING:
    import torch

__all__ = ["misfit_error"]

# What torch and user code raise when an array is not what they expect.
_TELLING = (RuntimeError, IndexError, ValueError, TypeError, AssertionError)
_IDS = "Check that the tokenizer and the network belong together."
_AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def misfit_error(
    name: str,
    module: torch.nn.Module,
    inputs: tuple[TensorSpec, ...],
    example: Arrays,
    error: Exception,
) -> WhetError | None:
    """What to raise instead of ``error``; ``None`` where the arrays can't be the cause.

    Args:
        name: of the network.
        module: takes tensors in the order of ``inputs``.
        inputs: what the samples hold.
        example: the batch that it failed on.
        error: what it raised.
    """
    if not isinstance(error, _TELLING):
        return None
    found = _by_layer(name, module, inputs, example)
    if found is not None:
        return found
    cure = _by_trying(module, inputs, example)
    given = ", ".join(f"'{spec.name}' is {kind_of(spec)}" for spec in inputs)
    said = f"{kind_and_line(error)}{users_line(error)}"
    if cure:
        return SamplesError(f"The network '{name}' can't take the samples ({given}): {said}.", cure)
    return ExportError(
        f"The network '{name}' can't be exported: it fails on the samples ({given}): {said}.",
        "Give arrays of the shape and dtype that it was trained on, and check that forward runs on them.",
    )


def _by_layer(
    name: str, module: torch.nn.Module, inputs: tuple[TensorSpec, ...], example: Arrays
) -> SamplesError | None:
    """The layer that failed, where its fields say what it takes."""
    tensors = _tensors(inputs, example)
    label, layer, got = _failing(module, tensors)
    if layer is None or got is None:
        return None
    made = TensorSpec("input", str(got.dtype).removeprefix("torch."), ("batch", *got.shape[1:]))
    wanted = _taken(layer, made)
    if wanted is None:
        return None
    beyond = _beyond(layer, got)
    for spec, tensor in zip(inputs, tensors, strict=True):
        if got is tensor and beyond:
            return SamplesError(f"The array '{spec.name}' holds {beyond}", _IDS)
        if got.shape == tensor.shape:
            # A network may scale or convert an array before its first layer; its shape stays.
            dtype = spec.dtype if made.dtype == wanted.dtype else wanted.dtype
            found = misfit(
                TensorSpec(spec.name, spec.dtype, made.shape),
                TensorSpec(spec.name, dtype, wanted.shape),
            )
            return None if found is None else SamplesError(found.message, found.remedy)
    if misfit(made, wanted) is None:
        return None
    kind = type(layer).__name__
    given = ", ".join(f"'{spec.name}' is {kind_of(spec)}" for spec in inputs)
    return SamplesError(
        f"The samples don't fit the network '{name}': {given}, from which its layer '{label}' ({kind})"
        f" gets {kind_of(made)}, but it takes {kind_of(wanted)}.",
        _other_samples(made, wanted),
    )


def _other_samples(made: TensorSpec, wanted: TensorSpec) -> str:
    """Pictures are the one kind of samples of which a transform gives more channels than are wanted."""
    if len(wanted.shape) == len(made.shape) == 4 and (made.shape[1], wanted.shape[1]) == (3, 1):
        return f"The network takes grey pictures: {GREY}."
    return (
        "Give samples of the size and dtype that the network was trained on, or a transform that"
        " makes them."
    )


def _beyond(layer: torch.nn.Module, got: torch.Tensor) -> str:
    """An id that an embedding has no row for, in words; empty where there is none."""
    nn = require("torch", "export a network").nn
    if not isinstance(layer, nn.Embedding) or got.is_floating_point() or not got.numel():
        return ""
    low, high, rows = int(got.min()), int(got.max()), layer.num_embeddings
    if low >= 0 and high < rows:
        return ""
    return f"the id {low if low < 0 else high}, but the network knows 0 to {rows - 1}."


def _tensors(inputs: tuple[TensorSpec, ...], example: Arrays) -> list[torch.Tensor]:
    torch = require("torch", "export a network")
    return [torch.from_numpy(example[spec.name].copy()) for spec in inputs]


class _Watch:
    """Hooks that remember which layers have begun and not ended, with their first tensor."""

    def __init__(self) -> None:
        self.running: list[tuple[torch.nn.Module, torch.Tensor | None]] = []

    def begun(self, layer: torch.nn.Module, args: tuple[object, ...]) -> None:
        torch = require("torch", "export a network")
        first = next((a for a in args if isinstance(a, torch.Tensor)), None)
        self.running.append((layer, first))

    def ended(self, *_: object) -> None:
        self.running.clear()


def _failing(
    module: torch.nn.Module, tensors: list[torch.Tensor]
) -> tuple[str, torch.nn.Module | None, torch.Tensor | None]:
    """The layer that was running when the network failed, and its first tensor."""
    torch = require("torch", "export a network")
    watch = _Watch()
    layers = {
        part: label
        for label, part in module.named_modules()
        if not any(True for _ in part.children())
    }
    hooks = [part.register_forward_pre_hook(watch.begun) for part in layers]
    hooks += [part.register_forward_hook(watch.ended) for part in layers]
    try:
        with quiet(), torch.inference_mode():
            module(*tensors)
    except Exception:  # noqa: BLE001 - it fails again; what is wanted is where
        if watch.running:
            layer, got = watch.running[-1]
            return re.sub(r"^(module\.)+", "", layers[layer]), layer, got
    finally:
        for hook in hooks:
            hook.remove()
    return "", None, None


def _taken(layer: torch.nn.Module, got: TensorSpec) -> TensorSpec | None:
    """What a layer of torch's own takes, where its fields say it."""
    nn = require("torch", "export a network").nn
    weight = next(iter(layer.parameters()), None)
    dtype = str(weight.dtype).removeprefix("torch.") if weight is not None else got.dtype
    shape: tuple[Dim, ...]
    if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        shape = ("batch", layer.in_channels, *_AXES[len(layer.kernel_size)])
    elif isinstance(layer, nn.Linear):
        if len(got.shape) < 2:
            return None
        shape = (*got.shape[:-1], layer.in_features)
    elif isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
        axes = _AXES[2] if isinstance(layer, nn.BatchNorm2d) else got.shape[2:3]
        shape = ("batch", layer.num_features, *axes)
    elif isinstance(layer, nn.LayerNorm):
        sizes = layer.normalized_shape
        shape = (*got.shape[: -len(sizes)], *sizes)
    elif isinstance(layer, nn.Embedding | nn.EmbeddingBag):
        integer = np.dtype(got.dtype).kind in "iu" if got.dtype != "bfloat16" else False
        return TensorSpec(got.name, got.dtype if integer else "int64", got.shape)
    else:
        return None
    return TensorSpec(got.name, dtype, shape)


def _by_trying(module: torch.nn.Module, inputs: tuple[TensorSpec, ...], example: Arrays) -> str:
    """The first usual cure that makes the network run on one row; empty where none does."""
    torch = require("torch", "export a network")
    rows = {name: array[:2] for name, array in example.items()}
    for spec in inputs:
        for cured, call in _cures(rows[spec.name], spec.name):
            tried = {**rows, spec.name: np.ascontiguousarray(cured)}
            try:
                with quiet(), torch.inference_mode():
                    module(*_tensors(inputs, tried))
            except Exception:  # noqa: BLE001, S112 - this cure isn't the one
                continue
            return f"With {call} it runs: give that, if it is what the network was trained on."
    return ""


def _cures(array: NDArray[np.generic], name: str) -> Iterator[tuple[NDArray[np.generic], str]]:
    for dtype in ("int64", "float32"):
        if array.dtype != dtype and (dtype != "int64" or bool((array == np.floor(array)).all())):
            yield array.astype(dtype), f"{name}.astype('{dtype}')"
    if array.ndim == 4:
        for order in ((0, 3, 1, 2), (0, 2, 3, 1)):
            yield array.transpose(order), f"{name}.transpose{order}"
    if array.ndim in {1, 2, 3}:
        yield array[:, None], f"{name}[:, None]"
    for axis in range(1, array.ndim):
        if array.shape[axis] == 1:
            yield array.squeeze(axis), f"{name}.squeeze({axis})"
    if array.ndim > 2:
        yield array.reshape(len(array), -1), f"{name}.reshape(len({name}), -1)"

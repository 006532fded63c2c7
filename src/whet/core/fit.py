"""Whether an array fits what a network takes; if not, what to say and what to do about it. Pure.

The usual mistakes have a usual cure (channels last where they are expected
first, a missing channel axis, bytes where floats are expected). The cure is
guessed by trying it on the shapes: what makes them agree is the remedy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from whet.core.spec import Dim, TensorSpec

__all__ = ["GREY", "Misfit", "kind_of", "labels_hint", "misfit"]

_Shape = tuple[Dim, ...]
_PICTURE_AXES = 4
_COLOURS = 3
GREY = "give --channels L with one --mean and --std"
_TO_FIRST, _TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


@dataclass(frozen=True)
class Misfit:
    """One sentence that says what doesn't fit, and the remedy."""

    message: str
    remedy: str


def kind_of(spec: TensorSpec) -> str:
    """Dtype and shape without the name: ``float32[batch, 3, 224, 224]``."""
    return str(spec).removeprefix(f"{spec.name}: ")


def misfit(given: TensorSpec, wanted: TensorSpec, *, source: str = "") -> Misfit | None:
    """Why an array can't be given as an input; ``None`` where it can.

    Symbols agree with every size, and so does the leading axis, which counts samples.

    Args:
        given: the array, under the name that the user gave it.
        wanted: the network's input.
        source: where the array comes from.
    """
    if given.dtype == wanted.dtype and _agree(given.shape, wanted.shape):
        return None
    whose = f" of {source}" if source else ""
    message = (
        f"The array '{given.name}'{whose} is {kind_of(given)}, but the network takes"
        f" {kind_of(wanted)}."
    )
    return Misfit(message, _remedy(given, wanted))


def labels_hint(given: Iterable[TensorSpec], wanted: Collection[str]) -> str:
    """What to add to a remedy where an array that the network doesn't take may be the labels.

    Args:
        given: the arrays, under the names that the user gave them.
        wanted: names of the network's inputs.
    """
    strays = [spec for spec in given if spec.name not in wanted]
    # One number a sample, as labels are.
    names = [spec.name for spec in strays if spec.shape[1:] in ((), (1,))]
    if not names:
        return ""
    return f" If '{names[0]}' holds the labels, say so with --label-key {names[0]}."


def _agree(given: _Shape, wanted: _Shape) -> bool:
    return len(given) == len(wanted) and all(
        isinstance(a, str) or isinstance(b, str) or a == b
        for a, b in zip(given[1:], wanted[1:], strict=True)
    )


def _remedy(given: TensorSpec, wanted: TensorSpec) -> str:
    if _agree(given.shape, wanted.shape):
        return _other_dtype(given, wanted)
    shape = _other_shape(given, wanted)
    if given.dtype == wanted.dtype:
        return shape
    return f"{shape} {_other_dtype(given, wanted)}"


def _other_dtype(given: TensorSpec, wanted: TensorSpec) -> str:
    call = f"{given.name}.astype('{wanted.dtype}')"
    have, want = np.dtype(given.dtype).kind, np.dtype(wanted.dtype).kind
    if given.dtype == "uint8" and want == "f":
        return f"Give {call}, scaled as in training; or give pictures and their --image-size, --mean and --std."
    if have == "f" and want in "iu":
        return f"It takes whole numbers, such as token ids: give {call}."
    return f"Give {call}."


def _other_shape(given: TensorSpec, wanted: TensorSpec) -> str:
    for shape, call, why in _cures(given, wanted):
        if _agree(shape, wanted.shape):
            return f"{why}: give {call}."
    channels = _other_channels(given, wanted)
    if channels:
        return channels
    if len(given.shape) != len(wanted.shape):
        return f"Give arrays with {len(wanted.shape)} axes; the first one counts samples."
    if len(wanted.shape) != _PICTURE_AXES:
        return "Give samples of that size."
    return "Give samples of that size, or pictures with a transform (--image-size) that makes them."


def _cures(given: TensorSpec, wanted: TensorSpec) -> Iterator[tuple[_Shape, str, str]]:
    """What people forget: the shape that it would give, how it is written, and its name."""
    name, shape, rank = given.name, given.shape, len(given.shape)
    if rank == len(wanted.shape) == _PICTURE_AXES:
        for order, why in (
            (_TO_FIRST, "It looks like NHWC where NCHW is expected"),
            (_TO_LAST, "It looks like NCHW where NHWC is expected"),
        ):
            moved = tuple(shape[axis] for axis in order)
            yield moved, f"{name}.transpose{order}", why
    if rank + 1 == len(wanted.shape):
        for axis in range(1, rank + 1):
            where = f"[:, {', '.join([':'] * (axis - 1) + ['None'])}]"
            yield (
                (*shape[:axis], 1, *shape[axis:]),
                f"{name}{where}",
                "An axis of size 1 is missing",
            )
    if rank == len(wanted.shape) + 1:
        for axis in range(1, rank):
            if shape[axis] == 1:
                yield (
                    shape[:axis] + shape[axis + 1 :],
                    f"{name}.squeeze({axis})",
                    "An axis of size 1 is too much",
                )
    sizes = [d for d in wanted.shape[1:] if isinstance(d, int)]
    if len(sizes) == len(wanted.shape) - 1 and rank != len(wanted.shape):
        have = [d for d in shape[1:] if isinstance(d, int)]
        if len(have) == rank - 1 and np.prod(have) == np.prod(sizes):
            listed = ", ".join(str(d) for d in (-1, *sizes))
            yield wanted.shape, f"{name}.reshape({listed})", "The values are as many"


def _other_channels(given: TensorSpec, wanted: TensorSpec) -> str:
    """Pictures that agree in everything but the number of channels."""
    if len(given.shape) != len(wanted.shape) or len(given.shape) != _PICTURE_AXES:
        return ""
    for axis in (1, 3):
        have, want = given.shape[axis], wanted.shape[axis]
        changed = (*given.shape[:axis], want, *given.shape[axis + 1 :])
        if not (isinstance(have, int) and isinstance(want, int)) or have == want:
            continue
        if _agree(changed, wanted.shape):
            pick = f"[:, :{want}]" if axis == 1 else f"[..., :{want}]"
            if have == 1:
                return f"Repeat the one channel: give {given.name}.repeat({want}, axis={axis})."
            if want == 1 and have == _COLOURS:
                grey = f"{given.name}.mean(axis={axis}, keepdims=True)"
                return f"The network takes grey pictures: {GREY}, or {grey} of arrays."
            if have == want + 1:
                return f"Leave the last channel (transparency?) out: give {given.name}{pick}."
            return f"Give {want} channels, as the network was trained on, not {have}."
    return ""

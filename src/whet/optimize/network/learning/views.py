"""Other inputs made of those there are, for a network that is taught by another.

The teacher answers whatever it is shown, so an input needs no label and need not be true: pictures
mirrored and shifted a little, and any two inputs of numbers mixed (Zhang et al. 2018; Beyer et al.
2022, "A good teacher is patient and consistent": both see the very same view). What counts or names
things (token numbers, masks) is left as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["COLOURS", "Inputs", "View", "seen_anew"]

Inputs = tuple[torch.Tensor, ...]
"""One batch as a network takes it."""

COLOURS = frozenset({1, 3, 4})
_SHIFT = 8  # a picture is shifted by at most one part in so many
_MIRRORED, _MIXED = 0.5, 0.5  # of the batches


@dataclass(frozen=True)
class View:
    """Other inputs made of a batch.

    Attributes:
        inputs: the rows first in each.
        own: the share of each row that it was itself; the rest is of the row that is as far from
            the end as it is from the beginning.
    """

    inputs: Inputs
    own: float = 1.0


def seen_anew(batch: Inputs, random: torch.Generator) -> View:
    """The same rows as another picture of theirs, or pairs of them mixed.

    Args:
        batch: inputs, the rows first in each.
        random: moves on by what is drawn.
    """
    axes = [_axes(each) for each in batch]
    if all(axes):
        move = _Move(_drawn(random) < _MIRRORED, 2 * _drawn(random) - 1, 2 * _drawn(random) - 1)
        batch = tuple(move.made(each, own) for each, own in zip(batch, axes, strict=True))
    if all(_are_numbers(each) for each in batch) and _drawn(random) < _MIXED:
        share = _drawn(random)
        return View(tuple(_mixed(each, share) for each in batch), share)
    return View(batch)


def _axes(tensor: torch.Tensor) -> tuple[int, ...]:
    """Those of a picture's height and width; none where there is no picture."""
    if tensor.dim() != len("NCHW") or not _are_numbers(tensor):
        return ()
    if tensor.shape[1] in COLOURS:
        return 2, 3
    return (1, 2) if tensor.shape[3] in COLOURS else ()


def _are_numbers(tensor: torch.Tensor) -> bool:
    """Whether values between two others mean something; 8 bits without a sign are brightness."""
    return tensor.is_floating_point() or tensor.dtype is torch.uint8


@dataclass(frozen=True)
class _Move:
    """One mirroring and one shift for a whole batch, with edges drawn out.

    Attributes:
        mirror: left and right change sides.
        down, right: as shares of the most that a picture is shifted by.
    """

    mirror: bool
    down: float
    right: float

    def made(self, tensor: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
        for axis, share in zip(axes, (self.down, self.right), strict=True):
            side = tensor.shape[axis]
            places = (torch.arange(side) + round(share * (side // _SHIFT))).clamp(0, side - 1)
            mirrored = self.mirror and axis == axes[-1]
            tensor = tensor.index_select(axis, places.flip(0) if mirrored else places)
        return tensor


def _mixed(tensor: torch.Tensor, share: float) -> torch.Tensor:
    """Each row with its partner (see `View`)."""
    found = share * tensor + (1 - share) * tensor.flip(0)
    return found.round().to(tensor.dtype) if tensor.dtype is torch.uint8 else found


def _drawn(random: torch.Generator) -> float:
    return float(torch.rand((), generator=random))

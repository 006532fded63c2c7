"""The students that may stand in a network's place: families and their sizes, as data; knows no torch.

Widths and depths are shares of the size that a family is known by (ResNet-18, MobileNet 1.0,
EfficientNet-B0, MiniLM's six layers of 384), so they compare within a family only. Which of them is
fast enough is measured (`whet.search.ladder.substitute`); which sizes exist is all that stands here.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from whet.core.recipe import Step

__all__ = ["FAMILIES", "Family", "Sized", "Student", "Takes", "students_of"]


class Takes(enum.StrEnum):
    """What a student's network takes."""

    PICTURES = "pictures"
    TEXTS = "texts"


@dataclass(frozen=True)
class Family:
    """One architecture.

    Attributes:
        takes: what it is for.
        widths: that it comes in.
        depths: that it comes in; 1 alone where its depth is part of its design.
        resolutions: shares of a picture's side that it may look at.
    """

    takes: Takes
    widths: tuple[float, ...]
    depths: tuple[float, ...] = (1.0,)
    resolutions: tuple[float, ...] = (1.0,)


_SMALLER = (1.0, 0.7)  # side of 224 to 157

FAMILIES: dict[str, Family] = {
    # Two 3x3 convolutions a block: what kernels run nearest to the machine's peak.
    "resnet": Family(
        Takes.PICTURES, (1.0, 0.75, 0.5, 0.375, 0.25, 0.125), (1.5, 1.0, 0.5), _SMALLER
    ),
    "resnet-bottleneck": Family(Takes.PICTURES, (1.0, 0.5, 0.25), (1.0,), _SMALLER),
    "mobilenet-v1": Family(Takes.PICTURES, (1.0, 0.75, 0.5, 0.25, 0.125), (1.0,), _SMALLER),
    "mobilenet-v2": Family(Takes.PICTURES, (1.4, 1.0, 0.75, 0.5, 0.35), (1.0,), _SMALLER),
    "efficientnet": Family(Takes.PICTURES, (1.0, 0.75, 0.5, 0.25), (1.0, 0.5), _SMALLER),
    "bert": Family(Takes.TEXTS, (1.0, 0.67, 0.5, 0.33, 0.17), (1.0, 0.67, 0.33, 0.17)),
}


class Student(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One member of a family; see `whet.optimize.network.substitute.Substitute`."""

    family: str
    width: float = 1.0
    depth: float = 1.0
    resolution: float = 1.0

    def step(self) -> Step:
        """The pass that puts it in a network's place; options at their default are left out."""
        sizes = {
            name: value
            for name in ("width", "depth", "resolution")
            if (value := getattr(self, name)) != 1.0
        }
        return Step("substitute", {"family": self.family, **sizes})


class Sized(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A student made for a network.

    Attributes:
        student: which.
        macs: of one row.
        parameters: of all its layers.
    """

    student: Student
    macs: int
    parameters: int


def students_of(family: str) -> Iterator[Student]:
    """All sizes of a family, in no order that says anything."""
    own = FAMILIES[family]
    for width, depth, resolution in itertools.product(own.widths, own.depths, own.resolutions):
        yield Student(family, width, depth, resolution)

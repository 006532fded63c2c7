"""Cascades as data: where a stage's confidence is read, and when a row leaves."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

__all__ = ["MOST_STAGES", "Confidence", "Gate", "Measure"]

MOST_STAGES = 8


class Measure(enum.StrEnum):
    """What of the probabilities is the confidence."""

    TOP = "top"  # the largest
    MARGIN = "margin"  # the largest less the second


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a row leaves an early stage: its confidence at ``temperature`` is ``threshold`` or more."""

    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)]
    temperature: Annotated[float, msgspec.Meta(ge=1e-3, le=1e3)]


class Confidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the confidence of an answer is read (`whet.core.confidence`).

    Attributes:
        output: that holds one score for each class.
        measure: of the probabilities.
        shares: the scores are probabilities, not logits.
    """

    output: str
    measure: Measure
    shares: bool = False

"""Metrics as data: families of samples, each with its labels. Renderers make text or bytes of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from whet.monitor.sketch import Sketch

__all__ = ["Family", "Kind", "Labels", "Sample"]

Labels = tuple[tuple[str, str], ...]
"""Names and values, in the order in which they are shown."""


class Kind(Enum):
    """What a family's figures are."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Sample:
    """One figure of a family.

    Attributes:
        value: a number; of a histogram its distribution.
        labels: that tell it from the others.
    """

    value: float | Sketch
    labels: Labels = ()


@dataclass(frozen=True)
class Family:
    """Samples of one name.

    Attributes:
        name: as Prometheus has it: base units, counters end with ``_total``.
        kind: of the figures.
        words: what they are, in a sentence.
        samples: of it.
        powers: of a histogram, the first and last power of two that is a bound where bounds are fixed.
    """

    name: str
    kind: Kind
    words: str
    samples: tuple[Sample, ...]
    powers: tuple[int, int] = (-14, 5)

"""Prometheus' text format, version 0.0.4; histograms have a bound at every power of two."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from whet.monitor.metrics import Family, Labels
from whet.monitor.sketch import Sketch

__all__ = ["CONTENT_TYPE", "text_of"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def text_of(families: Iterable[Family]) -> bytes:
    """All families, one after another."""
    return "".join(line for family in families for line in _lines(family)).encode()


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.words}\n# TYPE {family.name} {family.kind.value}\n"
    for sample in family.samples:
        if isinstance(sample.value, Sketch):
            yield from _histogram(family, sample.labels, sample.value)
        else:
            yield f"{family.name}{_labels(sample.labels)} {_number(sample.value)}\n"


def _histogram(family: Family, labels: Labels, sketch: Sketch) -> Iterator[str]:
    first, last = family.powers
    for power in range(first, last + 1):
        bound = (("le", _number(2.0**power)),)
        yield f"{family.name}_bucket{_labels((*labels, *bound))} {sketch.up_to(power)}\n"
    yield f"{family.name}_bucket{_labels((*labels, ('le', '+Inf')))} {sketch.count}\n"
    yield f"{family.name}_sum{_labels(labels)} {_number(sketch.total)}\n"
    yield f"{family.name}_count{_labels(labels)} {sketch.count}\n"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPED)}"' for name, value in labels) + "}"


def _number(value: float) -> str:
    if math.isfinite(value):
        return str(int(value)) if value == int(value) else repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"

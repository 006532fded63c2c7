"""Prometheus' protobuf format, the one that carries native histograms (schema, spans and deltas).

Messages and numbers are those of `io.prometheus.client.MetricFamily`; each family is written behind
its length. The format is a tag and a value for each field, so no library is needed to write it:
https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from whet.monitor.metrics import Family, Kind, Labels, Sample
from whet.monitor.sketch import Sketch

__all__ = ["CONTENT_TYPE", "protobuf_of"]

CONTENT_TYPE = (
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)

_VARINT, _DOUBLE, _BYTES = 0, 1, 2  # how a field's value is written
_TYPES = {Kind.COUNTER: 0, Kind.GAUGE: 1, Kind.HISTOGRAM: 4}
_SMALLEST = 2.0**-128  # values below it would count as zero


def protobuf_of(families: Iterable[Family]) -> bytes:
    """All families, each behind its length."""
    written = (_family(family) for family in families)
    return b"".join(_varint(len(each)) + each for each in written)


def _family(family: Family) -> bytes:
    return (
        _text(1, family.name)
        + _text(2, family.words)
        + _whole(3, _TYPES[family.kind])
        + b"".join(_nested(4, _metric(family, sample)) for sample in family.samples)
    )


def _metric(family: Family, sample: Sample) -> bytes:
    labels = _label_pairs(sample.labels)
    if isinstance(sample.value, Sketch):
        return labels + _nested(7, _histogram(family, sample.value))
    return labels + _nested(3 if family.kind is Kind.COUNTER else 2, _double(1, sample.value))


def _label_pairs(labels: Labels) -> bytes:
    return b"".join(_nested(1, _text(1, name) + _text(2, value)) for name, value in labels)


def _histogram(family: Family, sketch: Sketch) -> bytes:
    """Bounds at powers of two for who wants them, and behind them the native buckets."""
    first, last = family.powers
    bounds = b"".join(
        _nested(3, _whole(1, sketch.up_to(power)) + _double(2, 2.0**power))
        for power in range(first, last + 1)
    )
    spans, deltas = _spans(sketch)
    return (
        _whole(1, sketch.count)
        + _double(2, sketch.total)
        + bounds
        + _whole(5, _zigzag(sketch.schema))
        + _double(6, _SMALLEST)
        + _whole(7, sketch.zeros)
        + b"".join(
            _nested(12, _whole(1, _zigzag(offset)) + _whole(2, length)) for offset, length in spans
        )
        + _packed(13, [_zigzag(delta) for delta in deltas])
    )


def _spans(sketch: Sketch) -> tuple[list[tuple[int, int]], list[int]]:
    """Runs of neighbours (the gap before each, its length), and each count less the one before.

    Without any bucket there is a run of none, by which a reader knows the histogram for a native one.
    """
    spans: list[tuple[int, int]] = []
    deltas: list[int] = []
    following, before = 0, 0
    for bucket, n in sketch.buckets():
        if spans and bucket == following:
            offset, length = spans[-1]
            spans[-1] = (offset, length + 1)
        else:
            spans.append((bucket - following, 1))
        deltas.append(n - before)
        following, before = bucket + 1, n
    return spans or [(0, 0)], deltas


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _zigzag(value: int) -> int:
    """Small negative numbers as small positive ones."""
    return 2 * value if value >= 0 else -2 * value - 1


def _whole(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(value)


def _double(number: int, value: float) -> bytes:
    return _varint(number << 3 | _DOUBLE) + struct.pack("<d", value)


def _nested(number: int, written: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(written)) + written


def _text(number: int, value: str) -> bytes:
    return _nested(number, value.encode())


def _packed(number: int, values: list[int]) -> bytes:
    return _nested(number, b"".join(map(_varint, values))) if values else b""

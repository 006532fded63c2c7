"""Metrics as Prometheus reads them: its own parser for text, its own messages for protobuf."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from whet.monitor.exposition.negotiation import exposed
from whet.monitor.exposition.protobuf import CONTENT_TYPE, protobuf_of
from whet.monitor.exposition.text import text_of
from whet.monitor.metrics import Family, Kind, Sample
from whet.monitor.sketch import Sketch

FIELD = descriptor_pb2.FieldDescriptorProto
# The messages of `io.prometheus.client`, as far as they are written: (name, number, type, repeated).
MESSAGES: dict[str, list[tuple[str, int, str, bool]]] = {
    "LabelPair": [("name", 1, "string", False), ("value", 2, "string", False)],
    "Gauge": [("value", 1, "double", False)],
    "Counter": [("value", 1, "double", False)],
    "Bucket": [("cumulative_count", 1, "uint64", False), ("upper_bound", 2, "double", False)],
    "BucketSpan": [("offset", 1, "sint32", False), ("length", 2, "uint32", False)],
    "Histogram": [
        ("sample_count", 1, "uint64", False),
        ("sample_sum", 2, "double", False),
        ("bucket", 3, "Bucket", True),
        ("schema", 5, "sint32", False),
        ("zero_threshold", 6, "double", False),
        ("zero_count", 7, "uint64", False),
        ("positive_span", 12, "BucketSpan", True),
        ("positive_delta", 13, "sint64", True),
    ],
    "Metric": [
        ("label", 1, "LabelPair", True),
        ("gauge", 2, "Gauge", False),
        ("counter", 3, "Counter", False),
        ("histogram", 7, "Histogram", False),
    ],
    "MetricFamily": [
        ("name", 1, "string", False),
        ("help", 2, "string", False),
        ("type", 3, "int32", False),
        ("metric", 4, "Metric", True),
    ],
}


def family_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package="p", syntax="proto2")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            added = message.field.add(name=field, number=number)
            added.label = FIELD.LABEL_REPEATED if repeated else FIELD.LABEL_OPTIONAL
            if kind in MESSAGES:
                added.type, added.type_name = FIELD.TYPE_MESSAGE, f".p.{kind}"
            else:
                added.type = getattr(FIELD, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("p.MetricFamily"))


def families_in(body: bytes) -> list[Any]:
    found, at, kind = [], 0, family_class()
    while at < len(body):
        size = shift = 0
        while True:
            byte = body[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        found.append(kind.FromString(body[at : at + size]))
        at += size
    return found


def histogram(*values: float) -> Family:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return Family("h_seconds", Kind.HISTOGRAM, "How long.", (Sample(sketch, (("m", "a"),)),))


def test_text_of_every_kind() -> None:
    families = [
        Family("c_total", Kind.COUNTER, "Count.", (Sample(3, (("a", 'x"\\\n'), ("b", "y"))),)),
        Family("g", Kind.GAUGE, "Size.", (Sample(1.5), Sample(math.inf), Sample(math.nan))),
    ]
    assert text_of(families).decode() == (
        "# HELP c_total Count.\n# TYPE c_total counter\n"
        'c_total{a="x\\"\\\\\\n",b="y"} 3\n'
        "# HELP g Size.\n# TYPE g gauge\ng 1.5\ng +Inf\ng NaN\n"
    )


def test_text_of_a_histogram_is_cumulative_and_ends_with_all() -> None:
    lines = text_of([histogram(0.001, 0.003, 100.0)]).decode().splitlines()
    buckets = [line for line in lines if "_bucket" in line]
    counts = [int(line.rpartition(" ")[2]) for line in buckets]
    assert counts == sorted(counts)
    assert buckets[-1] == 'h_seconds_bucket{m="a",le="+Inf"} 3'
    assert 'h_seconds_bucket{m="a",le="0.001953125"} 1' in buckets
    assert 'h_seconds_count{m="a"} 3' in lines


@given(st.lists(st.floats(1e-6, 1e3)))
def test_protobuf_says_what_the_sketch_holds(values: list[float]) -> None:
    family = histogram(*values)
    (read,) = families_in(protobuf_of([family]))
    (sample,) = family.samples
    assert isinstance(sample.value, Sketch)
    got = read.metric[0].histogram
    assert (read.name, read.help, read.type) == ("h_seconds", "How long.", 4)
    assert [(pair.name, pair.value) for pair in read.metric[0].label] == [("m", "a")]
    assert (got.sample_count, got.schema, got.zero_count) == (len(values), sample.value.schema, 0)
    assert got.sample_sum == pytest.approx(sum(values))
    buckets, number, count = [], 0, 0
    deltas = iter(got.positive_delta)
    for span in got.positive_span:
        number += span.offset
        for _ in range(span.length):
            count += next(deltas)
            buckets.append((number, count))
            number += 1
    assert buckets == list(sample.value.buckets())
    assert [b.cumulative_count for b in got.bucket] == [
        sample.value.up_to(power) for power in range(-14, 6)
    ]


def test_protobuf_of_numbers() -> None:
    body = protobuf_of(
        [
            Family("c_total", Kind.COUNTER, "C.", (Sample(2.0),)),
            Family("g", Kind.GAUGE, "G.", (Sample(-1.0), Sample(3.0))),
        ]
    )
    counter, gauge = families_in(body)
    assert (counter.type, counter.metric[0].counter.value) == (0, 2.0)
    assert [metric.gauge.value for metric in gauge.metric] == [-1.0, 3.0]


PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
)


@pytest.mark.parametrize(
    ("accept", "protobuf"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain;version=0.0.4", False),
        (PROTOBUF, True),
        (f"{PROTOBUF};q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", True),
        (f"{PROTOBUF};q=0.4,text/plain;version=0.0.4;q=0.5", False),
        ("application/vnd.google.protobuf;proto=other.Message;encoding=delimited", False),
        (f"{PROTOBUF};q=none", False),
    ],
)
def test_scrapers_get_what_they_ask_for(accept: str, protobuf: bool) -> None:
    kind, body = exposed([histogram(0.5)], accept)
    assert (kind == CONTENT_TYPE) is protobuf
    assert body.startswith(b"# HELP") is not protobuf

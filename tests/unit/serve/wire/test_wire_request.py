"""Requests of the protocol: what is taken, and what is refused before anything is made of it."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from whet.errors import RequestError
from whet.serve.wire.datatypes import NUMPY, datatype_of
from whet.serve.wire.limits import Limits
from whet.serve.wire.request import Asked, Request, read_request

LIMITS = Limits()
PLAIN = {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2.5, -3, 4]}


def read(body: Any, tail: bytes = b"", limits: Limits = LIMITS) -> Request:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_request(text + tail, len(text) if tail else None, limits)


def refused(body: Any, tail: bytes = b"", limits: Limits = LIMITS) -> RequestError:
    with pytest.raises(RequestError) as found:
        read(body, tail, limits)
    assert found.value.status in {400, 413}
    return found.value


def tensor(**changes: object) -> dict[str, object]:
    return {"inputs": [{**PLAIN, **changes}]}


def test_flat_and_nested_numbers_are_one_tensor() -> None:
    for data in ([1, 2.5, -3, 4], [[1, 2.5], [-3, 4]]):
        (x,) = read(tensor(data=data)).inputs
        assert x.values.dtype == np.float32  # type: ignore[union-attr]
        np.testing.assert_array_equal(x.values, [[1, 2.5], [-3, 4]])


def test_all_is_read_that_a_client_may_say() -> None:
    found = read(
        {
            "id": "7",
            "parameters": {"priority": 1, "timeout": 2000, "binary_data_output": True},
            "inputs": [PLAIN],
            "outputs": [{"name": "a"}, {"name": "b", "parameters": {"binary_data": False}}],
        }
    )
    assert found.id == "7"
    assert found.parameters["timeout"] == 2000
    assert found.outputs == (Asked("a", binary=True), Asked("b", binary=False))


def test_no_outputs_are_all_of_them() -> None:
    assert read(tensor()).outputs is None
    assert read({**tensor(), "outputs": []}).outputs is None


def test_numbers_that_are_none_are_read_as_clients_write_them() -> None:
    text = json.dumps(tensor(data=[float("nan"), float("inf"), float("-inf"), 0.5])).encode()
    (x,) = read(text).inputs
    np.testing.assert_array_equal(x.values, [[np.nan, np.inf], [-np.inf, 0.5]])


@given(
    st.sampled_from(sorted(set(NUMPY) - {"BOOL"})).flatmap(
        lambda name: arrays.arrays(
            NUMPY[name], arrays.array_shapes(min_dims=0, max_dims=4, min_side=0)
        )
    )
)
def test_binary_tensors_come_back_bit_for_bit(values: np.ndarray[Any, Any]) -> None:
    raw = values.tobytes()
    body = tensor(
        shape=list(values.shape),
        datatype=datatype_of(values.dtype.name),
        parameters={"binary_data_size": len(raw)},
        data=None,
    )
    text = json.dumps(body).encode()
    (x,) = read_request(text + raw, len(text), LIMITS).inputs
    assert isinstance(x.values, np.ndarray)
    assert x.values.shape == values.shape
    assert x.values.tobytes() == raw


def test_a_binary_tensor_is_a_view_of_the_body() -> None:
    raw = np.arange(4, dtype=np.float32).tobytes()
    text = json.dumps(tensor(parameters={"binary_data_size": 16}, data=None)).encode()
    body = bytearray(text + raw)
    (x,) = read_request(body, len(text), LIMITS).inputs
    assert isinstance(x.values, np.ndarray)
    assert np.shares_memory(x.values, np.frombuffer(body, np.uint8))


def test_bytes_elements() -> None:
    elements = [b"\xff\xd8", b"", b"ab"]
    raw = b"".join(struct.pack("<I", len(e)) + e for e in elements)
    (x,) = read(
        tensor(datatype="BYTES", shape=[3], parameters={"binary_data_size": len(raw)}, data=None),
        raw,
    ).inputs
    assert x.values == elements
    (x,) = read(tensor(datatype="BYTES", shape=[1, 2], data=[["é", ""]])).inputs
    assert x.values == ["é".encode(), b""]


@pytest.mark.parametrize(
    ("raw", "shape"),
    [
        (struct.pack("<I", 2**31) + b"ab", [1]),
        (struct.pack("<I", 1) + b"ab", [1]),
        (b"\x01\x00", [1]),
        (struct.pack("<I", 0) * 3, [2]),
        (struct.pack("<I", 0), [2]),
        (b"", [1]),
    ],
)
def test_bytes_elements_that_disagree_with_the_shape(raw: bytes, shape: list[int]) -> None:
    body = tensor(
        datatype="BYTES", shape=shape, parameters={"binary_data_size": len(raw)}, data=None
    )
    text = json.dumps(body).encode()
    with pytest.raises(RequestError):
        read_request(text + raw, len(text), LIMITS)


WRONG: dict[str, Any] = {
    "no JSON": b"{",
    "no object": b"[1]",
    "no UTF-8": b'{"inputs": "\xff"}',
    "no inputs": {"inputs": []},
    "no name": {"inputs": [{"shape": [1], "datatype": "FP32", "data": [1]}]},
    "negative axis": tensor(shape=[-2, -2]),
    "overflowing shape": tensor(shape=[2**62, 2**62, 2]),
    "axis beyond integers": tensor(shape=[2**70]),
    "more numbers": tensor(data=[1, 2, 3, 4, 5]),
    "other nesting": tensor(shape=[4, 1], data=[[1, 2], [3, 4]]),
    "ragged": tensor(data=[[1, 2, 3], [4]]),
    "text for numbers": tensor(data=["1", "2", "3", "4"]),
    "null for a number": tensor(data=[1, None, 3, 4]),
    "fraction for a whole number": tensor(datatype="INT32", data=[1, 2.5, 3, 4]),
    "beyond the datatype": tensor(datatype="UINT8", data=[1, 2, 3, 256]),
    "below the datatype": tensor(datatype="UINT8", data=[1, 2, 3, -1]),
    "numbers for texts": tensor(datatype="BYTES", data=[1, 2, 3, 4]),
    "half precision in JSON": tensor(datatype="FP16"),
    "unknown datatype": tensor(datatype="FP8"),
    "no data": {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]},
    "both forms": tensor(parameters={"binary_data_size": 16}),
    "size that is no number": tensor(parameters={"binary_data_size": "16"}, data=None),
    "size that is a truth": tensor(parameters={"binary_data_size": True}, data=None),
    "size beyond the body": tensor(parameters={"binary_data_size": 1 << 40}, data=None),
    "negative size": tensor(parameters={"binary_data_size": -1}, data=None),
    "twice the same input": {"inputs": [PLAIN, PLAIN]},
    "twice the same output": {**tensor(), "outputs": [{"name": "a"}, {"name": "a"}]},
    "nested parameter": {**tensor(), "parameters": {"a": {"b": 1}}},
    "many axes": tensor(shape=[1] * 33, data=[1]),
    "many inputs": {"inputs": [{**PLAIN, "name": str(k)} for k in range(65)]},
    "many parameters": {**tensor(), "parameters": {str(k): 1 for k in range(65)}},
    "long name": tensor(name="x" * 1025),
    "long id": {**tensor(), "id": "x" * 1025},
    "deep": b'{"inputs":' + b"[" * 100_000,
    "deep data": b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":'
    + b"[" * 100_000
    + b"]" * 100_000
    + b"}]}",
    "deep with a word": b'{"NaN":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_requests_are_refused(what: str) -> None:
    assert len(refused(WRONG[what]).message) < 400


def test_what_is_left_over_is_refused() -> None:
    body = tensor(parameters={"binary_data_size": 16}, data=None)
    assert "3 bytes are left over" in refused(body, bytes(19)).message


def test_sizes_have_caps() -> None:
    small = replace(LIMITS, elements=3, json_bytes=1000)
    assert refused(tensor(), limits=small).status == 413
    assert refused(tensor(name="x" * 1000), limits=small).status == 413


def test_truth_values_are_one_or_nought() -> None:
    body = tensor(datatype="BOOL", parameters={"binary_data_size": 4}, data=None)
    (x,) = read(body, b"\0\1\1\0").inputs
    np.testing.assert_array_equal(x.values, [[False, True], [True, False]])
    refused(body, b"\0\1\2\0")


@pytest.mark.parametrize("length", [-1, 10_000])
def test_a_header_longer_than_the_body_is_refused(length: int) -> None:
    with pytest.raises(RequestError):
        read_request(json.dumps(tensor()).encode(), length, LIMITS)


@given(st.binary(max_size=200), st.integers(-5, 300))
def test_no_bytes_break_the_reader(body: bytes, header: int) -> None:
    with pytest.raises(RequestError):
        read_request(body, header, LIMITS)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
        ),
        max_leaves=12,
    ),
    st.sampled_from(["name", "shape", "datatype", "parameters", "data"]),
)
def test_no_value_in_any_place_breaks_the_reader(value: object, place: str) -> None:
    text = json.dumps(tensor(**{place: value})).encode()
    try:
        found = read_request(text, None, LIMITS)
    except RequestError:
        return
    (x,) = found.inputs
    assert not isinstance(x.values, np.ndarray) or x.values.shape == x.shape

"""Answers of the protocol, read as its clients read them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis.extra import numpy as arrays

from whet.serve.wire.datatypes import NUMPY
from whet.serve.wire.response import Answer, Output, write_answer


def written(*outputs: Output, **more: Any) -> tuple[dict[str, Any], bytes]:
    parts, header = write_answer(Answer("m", "1", outputs, **more))
    body = b"".join(parts)
    return json.loads(body[:header]), body[header:] if header is not None else b""


def test_json_outputs_carry_no_parameters() -> None:
    head, tail = written(Output("y", np.float32([[1, 0.5]]), binary=False))
    assert head["outputs"] == [
        {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 0.5]}
    ]
    assert "id" not in head
    assert "parameters" not in head
    assert tail == b""


def test_an_id_and_parameters_are_echoed() -> None:
    head, _ = written(
        Output("y", np.int64([1]), binary=False), id="7", parameters={"variant": "fast"}
    )
    assert (head["id"], head["parameters"]) == ("7", {"variant": "fast"})


def test_binary_outputs_stand_behind_the_json_in_order() -> None:
    a, b = np.arange(3, dtype=np.int32), np.float16([1.5, 2.5])
    head, tail = written(
        Output("a", a, binary=True), Output("j", a, binary=False), Output("b", b, binary=True)
    )
    sizes = [o.get("parameters", {}).get("binary_data_size") for o in head["outputs"]]
    assert sizes == [12, None, 4]
    assert tail == a.tobytes() + b.tobytes()


def test_what_is_no_number_is_written_as_clients_read_it() -> None:
    values = np.float32([np.nan, np.inf, -np.inf, 0.1])
    head, _ = written(Output("y", values, binary=False))
    np.testing.assert_array_equal(np.float32(head["outputs"][0]["data"]), values)


def test_other_layouts_are_sent_row_by_row() -> None:
    turned = np.arange(6, dtype=np.int32).reshape(2, 3).T
    for values in (turned, turned.astype(">i4")):
        head, tail = written(Output("y", values, binary=True))
        assert head["outputs"][0]["shape"] == [3, 2]
        np.testing.assert_array_equal(np.frombuffer(tail, "<i4").reshape(3, 2), turned)


def test_texts() -> None:
    values = np.array(["é", "", "ab"], object)
    head, tail = written(Output("y", values, binary=False), Output("z", values, binary=True))
    assert head["outputs"][0]["data"] == ["é", "", "ab"]
    assert tail == b"\2\0\0\0\xc3\xa9\0\0\0\0\2\0\0\0ab"


@given(arrays.arrays(NUMPY["FP32"], arrays.array_shapes(min_dims=0, max_dims=3, min_side=0)))
def test_numbers_survive_json(values: np.ndarray[Any, Any]) -> None:
    head, _ = written(Output("y", values, binary=False))
    (found,) = head["outputs"]
    read = np.array(found["data"], np.float32).reshape(found["shape"])
    np.testing.assert_array_equal(read, values)

"""Questions as the server reads them, and its answers as the client does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from whet.client.http1 import Broken, Ended, Reading, head_of
from whet.client.messages import answer_of, failure_of, plain_of, question_of
from whet.errors import (
    BusyError,
    LateError,
    OptionError,
    RequestError,
    ServeError,
    UnknownModelError,
)
from whet.serve.wire.datatypes import NUMPY
from whet.serve.wire.limits import Limits
from whet.serve.wire.request import read_request
from whet.serve.wire.response import Answer, Output, write_answer

ARRAYS = st.sampled_from([d.name for d in NUMPY.values()]).flatmap(
    lambda name: hnp.arrays(name, hnp.array_shapes(min_side=0, max_dims=3))
)


@given(ARRAYS)
def test_the_server_reads_what_the_client_writes(array: np.ndarray) -> None:  # type: ignore[type-arg]
    question = question_of({"x": array}, outputs=["y"], timeout_ms=1.5, priority=2, id="7")
    length = int(question.headers["inference-header-content-length"])
    read = read_request(b"".join(question.parts), length, Limits())
    (given_,) = read.inputs
    assert given_.name == "x"
    np.testing.assert_array_equal(given_.values, array)
    assert (read.parameters["timeout"], read.parameters["priority"], read.id) == (1500, 2, "7")
    assert read.outputs is not None
    assert [(o.name, o.binary) for o in read.outputs] == [("y", True)]


@given(ARRAYS, st.booleans())
def test_the_client_reads_what_the_server_writes(array: np.ndarray, binary: bool) -> None:  # type: ignore[type-arg]
    binary = binary or array.dtype == np.float16
    parts, length = write_answer(
        Answer("m", "1", (Output("y", array, binary),), "7", {"variant": "int8"})
    )
    headers = {} if length is None else {b"inference-header-content-length": str(length).encode()}
    found = answer_of(Ended(200, headers, b"".join(parts), lasts=True))
    np.testing.assert_array_equal(found["y"], array)
    assert found["y"].dtype == array.dtype
    assert (found.model, found.version, found.variant, found.id) == ("m", "1", "int8", "7")


def test_pictures_and_texts_are_sent_as_they_are() -> None:
    question = question_of({"x": [b"\xff\x00", "tschüß"]})
    length = int(question.headers["inference-header-content-length"])
    (given_,) = read_request(b"".join(question.parts), length, Limits()).inputs
    assert given_.values == [b"\xff\x00", "tschüß".encode()]
    assert given_.datatype == "BYTES"


def test_what_cant_be_sent_is_refused_with_its_name() -> None:
    with pytest.raises(OptionError, match="'x'"):
        question_of({"x": np.zeros(2, np.complex64)})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RequestError),
        (413, RequestError),
        (404, UnknownModelError),
        (503, BusyError),
        (504, LateError),
        (500, ServeError),
        (302, ServeError),
    ],
)
def test_each_failure_has_its_error(status: int, kind: type[ServeError]) -> None:
    headers = {b"retry-after": b"3"}
    error = failure_of(Ended(status, headers, b'{"error": "because"}', lasts=True))
    assert type(error) is kind
    assert "because" in str(error)
    if isinstance(error, BusyError):
        assert error.retry_after_s == 3.0


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error": 3}', b"[]"])
def test_a_failure_that_says_nothing_is_one_all_the_same(body: bytes) -> None:
    assert "500" in str(failure_of(Ended(500, {}, body, lasts=True)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        (
            b'{"outputs": [{"name": "y", "shape": [4], "datatype": "FP32",'
            b' "parameters": {"binary_data_size": 16}}]}'
        ),
        (
            b'{"outputs": [{"name": "y", "shape": [1], "datatype": "FP32",'
            b' "parameters": {"binary_data_size": "x"}}]}'
        ),
    ],
)
def test_answers_that_arent_whole_are_no_answers(body: bytes) -> None:
    with pytest.raises(ServeError):
        answer_of(Ended(200, {b"inference-header-content-length": b"%d" % len(body)}, body, True))


def test_json_that_is_told() -> None:
    assert plain_of(Ended(200, {}, b'{"a": NaN}', lasts=True)).keys() == {"a"}
    assert plain_of(Ended(200, {}, b"", lasts=True)) is None


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello"


@given(st.lists(st.integers(0, len(WHOLE)), max_size=8))
def test_an_answer_may_come_in_any_pieces(cuts: list[int]) -> None:
    reading, at = Reading(), 0
    for cut in [*sorted(cuts), len(WHOLE)]:
        assert reading.ended is None or at == len(WHOLE)
        if cut > at:
            reading.feed(WHOLE[at:cut])
            at = cut
    assert reading.ended == Ended(
        200, {b"content-length": b"5", b"x-a": b"b"}, b"hello", lasts=True
    )


def test_a_connection_that_closes_isnt_asked_again() -> None:
    reading = Reading()
    reading.feed(b"HTTP/1.1 503 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    assert reading.ended is not None
    assert not reading.ended.lasts


def test_what_is_no_http_is_told() -> None:
    with pytest.raises(Broken):
        Reading().feed(b"SSH-2.0-OpenSSH_9.2\r\n")


def test_heads_say_how_much_follows() -> None:
    head = head_of("POST", "/a", "h:1", {"x": "y"}, [b"12", memoryview(b"345")])
    assert head == b"POST /a HTTP/1.1\r\nhost: h:1\r\nx: y\r\ncontent-length: 5\r\n\r\n"
    assert b"content-length" not in head_of("GET", "/a", "h", {}, [])

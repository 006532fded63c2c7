"""Questions as the server reads them, and its answers as the client does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from whet.client.calls import infer
from whet.client.http1 import Broken, Ended, Reading, head_of
from whet.client.messages import answer_of, need_answer, plain_of, question_of
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


@pytest.mark.parametrize(
    "value", [np.zeros(2, np.complex64), "a text", b"bytes", [[1.0]], [1], ["a", 3], 3, None]
)
def test_what_cant_be_sent_is_refused_with_its_name(value: Any) -> None:
    with pytest.raises(OptionError, match="'x'"):
        question_of({"x": value})


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
    with pytest.raises(kind, match="because") as found:
        need_answer(Ended(status, headers, b'{"error": "because"}', lasts=True))
    assert type(found.value) is kind
    if isinstance(found.value, BusyError):
        assert found.value.retry_after_s == 3.0


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error": 3}', b"[]"])
def test_a_failure_that_says_nothing_is_one_all_the_same(body: bytes) -> None:
    with pytest.raises(ServeError, match="500"):
        need_answer(Ended(500, {}, body, lasts=True))


def test_an_answer_is_none_of_them() -> None:
    need_answer(Ended(200, {}, b"", lasts=True))


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
    with pytest.raises(ServeError) as found:
        answer_of(Ended(200, {b"inference-header-content-length": b"%d" % len(body)}, body, True))
    assert type(found.value) is ServeError, "the server's fault, and not the client's"


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


def test_what_comes_before_or_behind_an_answer_isnt_it() -> None:
    reading = Reading()
    reading.feed(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
    assert reading.ended is None
    reading.feed(WHOLE + b"HTTP/1.1 431 No\r\ncontent-length: 0\r\n\r\n")
    assert reading.ended == Ended(
        200, {b"content-length": b"5", b"x-a": b"b"}, b"hello", lasts=False
    )


def test_answers_in_chunks_and_without_a_length() -> None:
    chunked = Reading()
    chunked.feed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n")
    chunked.feed(b"3\r\nllo\r\n0\r\n\r\n")
    assert chunked.ended is not None
    assert (chunked.ended.body, chunked.ended.lasts) == (b"hello", True)
    until_closed = Reading()
    until_closed.feed(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhel")
    until_closed.feed(b"lo")
    until_closed.closed()
    assert until_closed.ended is not None
    assert (until_closed.ended.body, until_closed.ended.lasts) == (b"hello", False)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n", WHOLE[:-1]])
def test_what_broke_off_is_no_answer(sent: bytes) -> None:
    reading = Reading()
    if sent:
        reading.feed(sent)
    with pytest.raises(Broken) as found:
        reading.closed()
    assert found.value.begun is bool(sent)


def test_another_protocol_is_told() -> None:
    with pytest.raises(Broken):
        Reading().feed(b"HTTP/1.1 101 Switching\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/a b", {"x": "y\r\nz: 1"}),
        ("/a\r\n\r\nPOST /v2/repository", {}),
        ("/\u6a21", {}),
        ("/a", {"authorization": "Bearer one\ntwo"}),
    ],
)
def test_no_line_can_be_broken_from_within(path: str, headers: dict[str, str]) -> None:
    with pytest.raises(OptionError):
        head_of("GET", path, "h", headers, [])


def test_names_of_models_stay_names() -> None:
    call = infer("x/infer HTTP/1.1\r\n\r\nPOST /v2/", {"x": np.zeros(1, np.float32)})
    assert call.path == "/v2/models/x%2Finfer%20HTTP%2F1.1%0D%0A%0D%0APOST%20%2Fv2%2F/infer"


def test_what_is_no_http_is_told() -> None:
    with pytest.raises(Broken):
        Reading().feed(b"SSH-2.0-OpenSSH_9.2\r\n")


def test_heads_say_how_much_follows() -> None:
    head = head_of("POST", "/a", "h:1", {"x": "y"}, [b"12", memoryview(b"345")])
    assert head == b"POST /a HTTP/1.1\r\nhost: h:1\r\nx: y\r\ncontent-length: 5\r\n\r\n"
    assert b"content-length" not in head_of("GET", "/a", "h", {}, [])

"""Compressed bodies: what they come to is bounded while they are unpacked."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.errors import RequestError
from whet.serve.wire.compression import CODINGS, chosen_coding, packed, unpacked


@given(st.binary(max_size=2000), st.sampled_from(CODINGS))
def test_there_and_back(body: bytes, coding: str) -> None:
    half = len(body) // 2
    parts = (body[:half], memoryview(body)[half:])
    assert unpacked(packed(parts, coding), coding, len(body)) == body


def test_as_others_write_them() -> None:
    assert unpacked(gzip.compress(b"abc"), "gzip", 3) == b"abc"
    assert unpacked(zlib.compress(b"abc"), "deflate", 3) == b"abc"


def test_a_bomb_is_refused_early() -> None:
    bomb = gzip.compress(bytes(200 << 20))
    with pytest.raises(RequestError) as found:
        unpacked(bomb, "gzip", 1 << 20)
    assert found.value.status == 413


@pytest.mark.parametrize("coding", CODINGS)
def test_what_is_broken_is_refused(coding: str) -> None:
    whole = packed([b"abc" * 100], coding)
    for body in (b"", whole[:-1], whole + b"x", b"abc" * 9, whole + whole):
        with pytest.raises(RequestError):
            unpacked(body, coding, 10_000)


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("", None),
        ("gzip", "gzip"),
        ("br, deflate;q=0.5, gzip;q=0.9", "gzip"),
        ("gzip;q=0", None),
        ("deflate, gzip", "deflate"),
        ("identity", None),
        ("gzip;q=much", None),
    ],
)
def test_how_an_answer_is_compressed(accepted: str, chosen: str | None) -> None:
    assert chosen_coding(accepted) == chosen

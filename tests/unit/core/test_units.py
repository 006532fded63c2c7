from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.core.contract import parse_bytes
from whet.core.units import bytes_words, drop_words, round_up_bytes, seconds_words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (148_601, "149 kB"),
        (999_600, "1 MB"),
        (25_600_000, "25.6 MB"),
        (4_000_000_000, "4 GB"),
    ],
)
def test_three_digits_and_a_unit(value: int, words: str) -> None:
    assert bytes_words(value) == words


@given(st.integers(1, 10**12))
def test_a_rounded_limit_suffices_and_can_be_typed(value: int) -> None:
    """The parser truncates to whole bytes, so a last byte may be lost to floating point."""
    assert value <= round_up_bytes(value) <= 1.01 * value + 1
    if value < 10**11:
        assert parse_bytes(bytes_words(round_up_bytes(value))) >= value - 1


@pytest.mark.parametrize(
    ("drop", "words"),
    [
        (0.0, "0"),
        (1.66e-6, "1.7e-6"),
        (-9.99e-5, "-1.0e-4"),
        (0.000123, "0.00012"),
        (0.0002, "0.00020"),
        (0.0031, "0.0031"),
        (0.01, "0.0100"),
        (-0.4, "-0.4000"),
        (12.5, "12.5000"),
        (float("inf"), "inf"),
    ],
)
def test_a_drop_that_is_not_none_does_not_look_like_none(drop: float, words: str) -> None:
    assert drop_words(drop) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.042, "0.042 s"),
        (0.2, "0.2 s"),
        (1.5, "1.5 s"),
        (2.0, "2 s"),
        (9.97, "10 s"),
        (15.3909, "15 s"),
        (3600.4, "3600 s"),
    ],
)
def test_seconds_have_no_digits_that_say_nothing(seconds: float, words: str) -> None:
    assert seconds_words(seconds) == words

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.core.contract import parse_bytes
from whet.core.units import bytes_words, round_up_bytes


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

"""What a variant takes: from the bundle at first, by quantiles of what was seen later."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from whet.serve.scheduler.times import Times


def test_between_sizes_on_a_line_and_beyond_in_proportion() -> None:
    times = Times({2: 0.02, 4: 0.03})
    assert [times.of(n) for n in (1, 2, 3, 4, 8)] == [0.02, 0.02, 0.025, 0.03, 0.06]


def test_nothing_known_is_a_guess() -> None:
    assert Times({}, guess_s=0.5).of(3) == 1.5
    assert Times({}).largest == 0


def test_what_was_seen_counts_once_there_is_enough() -> None:
    times = Times({1: 1.0})
    for _ in range(7):
        times.told(1, 0.1)
    assert times.of(1) == 1.0
    times.told(1, 0.1)
    assert times.of(1) == 0.1


@given(st.lists(st.floats(1e-4, 1), min_size=64, max_size=200))
def test_the_quantile_of_the_last_ones(seconds: list[float]) -> None:
    times = Times({})
    for each in seconds:
        times.told(4, each)
    last = np.sort(seconds[-64:])
    assert times.of(4) == last[int(0.95 * 64)]


def test_the_busiest_size() -> None:
    times = Times({1: 0.01, 4: 0.02, 8: 0.05})
    assert times.busiest(8) == 4
    assert times.busiest(3) == 1
    assert Times({}).busiest(8) == 1

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.report.axes import Linear, Log, linear_ticks, log_ticks

sizes = st.floats(min_value=1e-4, max_value=1e5)


@given(st.lists(sizes, min_size=1, max_size=20))
def test_a_log_scale_covers_its_values_in_order(values: list[float]) -> None:
    scale = Log.over(values, 50.0, 900.0)
    pixels = [scale(v) for v in sorted(values)]
    assert pixels == sorted(pixels)
    assert all(50.0 <= x <= 900.0 for x in pixels)


@given(sizes, st.floats(min_value=1.02, max_value=1e5), st.integers(min_value=4, max_value=10))
def test_log_ticks_are_few_sorted_and_inside(low: float, factor: float, most: int) -> None:
    ticks = log_ticks(low, low * factor, most)
    assert 1 <= len(ticks) <= most
    assert ticks == sorted(ticks)
    assert all(low * 0.999 <= t <= low * factor * 1.001 for t in ticks)


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.integers(min_value=3, max_value=9))
def test_linear_ticks_are_few_sorted_and_inside(low: float, span: float, most: int) -> None:
    ticks = linear_ticks(low, low + span, most)
    assert 1 <= len(ticks) <= most
    assert ticks == sorted(ticks)
    assert all(low - 1e-6 * span <= t <= low + span * (1 + 1e-6) for t in ticks)


def test_round_ticks() -> None:
    assert log_ticks(4.5, 110, 9) == pytest.approx([5, 7, 10, 15, 20, 30, 50, 70, 100])
    assert linear_ticks(0, 2.5, 7) == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5])
    assert linear_ticks(1, 1, 5) == [1]


def test_linear_clips_at_its_ends() -> None:
    scale = Linear(0.0, 2.0, 100.0, 300.0)
    assert [scale(v) for v in (-1.0, 0.0, 1.0, 9.0)] == [100.0, 100.0, 200.0, 300.0]

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from whet.search.ladder.learning import affordable_steps


@given(seconds=st.floats(0, 1e6), step_s=st.floats(1e-4, 1e3))
def test_steps_fit_and_use_most_of_the_time(seconds: float, step_s: float) -> None:
    steps = affordable_steps(seconds, step_s, least=96)
    assert steps * step_s <= seconds
    if steps:
        assert 96 <= steps <= 1 << 16
        assert steps * step_s > 0.65 * min(seconds, 1200.0) or steps == 1 << 16


def test_without_a_limit_it_ends_all_the_same() -> None:
    assert affordable_steps(float("inf"), 1.0, least=96) == 1024
    assert affordable_steps(float("inf"), 1e-4, least=96) == 1 << 16


def test_too_few_steps_are_none() -> None:
    assert affordable_steps(95.0, 1.0, least=96) == 0
    assert affordable_steps(97.0, 1.0, least=96) == 96


def test_about_as_long_gives_the_same_number() -> None:
    assert affordable_steps(1000.0, 1.0, least=96) == affordable_steps(900.0, 1.0, least=96) == 768

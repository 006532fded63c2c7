"""Retries help where a few requests fail, and are few where all do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from whet.client.retries import Allowance, Retries


@given(st.integers(1, 2000), st.floats(0, 0.5), st.floats(0, 20))
def test_of_a_server_that_is_down_hardly_more_is_asked(
    requests: int, share: float, saved: float
) -> None:
    allowance = Allowance(Retries(most=3, share=share, saved=saved))
    retries = 0
    for _ in range(requests):
        allowance.earn()
        tried = 1
        while allowance.spend(tried):
            retries += 1
            tried += 1
    assert retries <= saved + share * requests + 1e-6


def test_a_few_failures_are_all_tried_again() -> None:
    allowance = Allowance(Retries())
    for _ in range(100):
        allowance.earn()
    assert [allowance.spend(1) for _ in range(8)] == [True] * 8


def test_no_request_is_tried_more_often_than_told() -> None:
    allowance = Allowance(Retries(most=2))
    assert [allowance.spend(tried) for tried in (1, 2, 3)] == [True, True, False]
    assert not Allowance(Retries(most=0)).spend(1)


@given(st.integers(1, 20), st.floats(0, 5), st.floats(0, 1))
def test_waits_grow_to_a_bound_and_never_undercut_the_server(
    tried: int, asked_s: float, luck: float
) -> None:
    retries = Retries()
    wait_s = retries.waits_s(tried, asked_s, luck)
    assert asked_s <= wait_s <= asked_s + retries.most_s
    assert retries.waits_s(tried, 0.0, 1.0) <= retries.waits_s(tried + 1, 0.0, 1.0)

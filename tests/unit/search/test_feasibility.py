from __future__ import annotations

import pytest

from whet.core.contract import Contract
from whet.core.evidence import Ceilings
from whet.search.feasibility import assess, roofline_ms

PEAKS = Ceilings(
    fp32_ops_per_s=1e11, bf16_ops_per_s=None, int8_ops_per_s=1e12, read_bytes_per_s=1e10
)


def test_roofline_is_the_larger_of_compute_and_stream() -> None:
    assert roofline_ms(10**9, 0, "fp32", PEAKS) == pytest.approx(20.0)
    assert roofline_ms(0, 2 * 10**9, "int8", PEAKS) == pytest.approx(200.0)
    assert roofline_ms(10**9, 10**6, "bf16", PEAKS) is None


def test_weights_that_a_cache_may_hold_are_not_bound_by_memory() -> None:
    assert roofline_ms(0, 10**9, "int8", PEAKS) == 0.0


def test_a_limit_below_the_roofline_is_out_of_reach() -> None:
    found = assess(
        Contract(limit_ms=1.0), macs=10**9, parameters=10**6, ceilings=PEAKS, probes_ms={"a": 30.0}
    )
    assert found.reachable is False
    assert "2 ms" in found.sentence


def test_the_batch_multiplies_the_work() -> None:
    found = assess(
        Contract(limit_ms=3.0, batch=2), macs=10**9, parameters=0, ceilings=PEAKS, probes_ms={}
    )
    assert found.bounds_ms["roofline int8"] == pytest.approx(4.0)
    assert found.reachable is False


def test_a_probe_below_the_limit_answers_yes_and_names_itself() -> None:
    found = assess(
        Contract(limit_ms=10.0), macs=10**9, parameters=0, ceilings=PEAKS, probes_ms={"x int8": 8.0}
    )
    assert found.reachable is True
    assert "x int8" in found.sentence


def test_between_the_two_it_says_how_much_narrower() -> None:
    found = assess(
        Contract(limit_ms=4.0), macs=10**9, parameters=0, ceilings=PEAKS, probes_ms={"x": 16.0}
    )
    assert found.reachable is False
    assert "50%" in found.sentence


def test_without_a_limit_nothing_is_promised() -> None:
    found = assess(Contract(), macs=1, parameters=1, ceilings=PEAKS, probes_ms={"x": 1.0})
    assert found.reachable is None

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.core.contract import Contract
from whet.core.evidence import Ceilings
from whet.search.decisions.feasibility import assess, roofline_ms

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


def test_work_that_cant_be_counted_bounds_nothing() -> None:
    found = assess(
        Contract(limit_ms=1.0), macs=None, parameters=10**6, ceilings=PEAKS, probes_ms={"a": 0.5}
    )
    assert found.bounds_ms == {}
    assert found.reachable is True


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


def test_without_an_int8_probe_nothing_is_said_of_int8() -> None:
    """A third of 0.063 ms is what int8 often reaches: the answer is open."""
    found = assess(
        Contract(limit_ms=0.02),
        macs=1,
        parameters=0,
        ceilings=PEAKS,
        probes_ms={"onnxruntime fp32": 0.0634},
        int8=False,
    )
    assert found.reachable is None
    assert "int8 was not probed" in found.sentence
    assert "56%" in found.sentence


def test_without_a_limit_nothing_is_promised() -> None:
    found = assess(Contract(), macs=1, parameters=1, ceilings=PEAKS, probes_ms={"x": 1.0})
    assert found.reachable is None


def test_a_probe_below_the_limit_wins_over_a_bound_from_a_busy_moment() -> None:
    """By the peak 2 ms are the least, and 1.5 ms were measured: the peak was too low."""
    found = assess(
        Contract(limit_ms=1.8), macs=10**9, parameters=0, ceilings=PEAKS, probes_ms={"x": 1.5}
    )
    assert found.reachable is True
    assert "x took 1.5 ms" in found.sentence
    assert found.bounds_ms == {}


def test_a_bound_of_a_wider_precision_is_none_for_what_ran_in_a_narrower_one() -> None:
    found = assess(Contract(), macs=10**9, parameters=0, ceilings=PEAKS, probes_ms={"int8": 8.0})
    assert found.bounds_ms == {"roofline int8": pytest.approx(2.0)}


_MS = st.floats(0.01, 1e3)


@given(macs=st.integers(1, 10**12), probes=st.lists(_MS, max_size=4), limit_ms=_MS)
def test_the_answer_never_contradicts_what_was_measured(
    macs: int, probes: list[float], limit_ms: float
) -> None:
    named = {f"p{n}": ms for n, ms in enumerate(probes)}
    found = assess(
        Contract(limit_ms=limit_ms), macs=macs, parameters=0, ceilings=PEAKS, probes_ms=named
    )
    assert found.probes_ms == named
    if probes:
        assert (found.reachable is True) == (min(probes) <= limit_ms)
        assert all(bound <= min(probes) for bound in found.bounds_ms.values())

from __future__ import annotations

import pytest

from whet.core.evidence import Ceilings
from whet.errors import MeasurementError
from whet.measure.roofline import (
    beyond_theory,
    ceiling_share,
    peak_of,
    top_precision,
    without_peak,
)

CEILINGS = Ceilings(fp32_ops_per_s=2e11, bf16_ops_per_s=None, int8_ops_per_s=2e12)


def test_share_of_the_ceiling() -> None:
    # 1 GMAC is 2 GOP; at 200 GOP/s that takes 10 ms.
    assert ceiling_share(10**9, 20.0, CEILINGS, "fp32") == pytest.approx(0.5)
    assert ceiling_share(10**9, 2.0, CEILINGS, "int8") == pytest.approx(0.5)


def test_where_floats_are_faster_their_peak_bounds_int8_as_well() -> None:
    old = Ceilings(fp32_ops_per_s=73e9, int8_ops_per_s=36e9)
    assert top_precision(old, "int8") == "fp32"
    assert ceiling_share(44 * 10**6, 1.667, old, "int8") == pytest.approx(0.723, rel=1e-3)
    with pytest.raises(MeasurementError, match="of the fp32 peak"):
        ceiling_share(44 * 10**6, 1.0, old, "int8")
    assert ceiling_share(44 * 10**6, 1.0, without_peak(old, "int8"), "int8") is None


def test_unknown_ceilings_bound_nothing() -> None:
    assert ceiling_share(10**9, 0.001, CEILINGS, "bf16") is None
    assert ceiling_share(10**9, 0.001, CEILINGS, "fp4") is None
    assert ceiling_share(10**9, 0.0, CEILINGS, "fp32") is None


def test_more_than_the_hardware_can_do_is_a_bug() -> None:
    assert ceiling_share(10**9, 9.2, CEILINGS, "fp32") == pytest.approx(1.087, rel=1e-3)
    with pytest.raises(MeasurementError, match="one of the two is wrong"):
        ceiling_share(10**9, 9.0, CEILINGS, "fp32")


def test_a_ceiling_can_be_taken_out() -> None:
    assert peak_of(CEILINGS, "int8") == 2e12
    assert without_peak(CEILINGS, "int8") == Ceilings(fp32_ops_per_s=2e11)
    assert peak_of(CEILINGS, "fp16") is None


@pytest.mark.parametrize(
    ("flags", "precision", "ops_per_s"),
    [
        ({"avx2"}, "fp32", 2 * 32 * 6.5e9),
        ({"avx2", "avx512f"}, "fp32", 2 * 64 * 6.5e9),
        ({"avx512f"}, "int8", 2 * 256 * 6.5e9),
        ({"avx512f", "amx_int8"}, "int8", 2 * 4096 * 6.5e9),
    ],
)
def test_no_cpu_does_more_than_its_units_in_a_cycle(
    flags: set[str], precision: str, ops_per_s: float
) -> None:
    macs = 10**9
    least_ms = 2 * macs / ops_per_s * 1e3

    def beyond(ms: float) -> bool:
        return beyond_theory(macs, ms, cores=2, flags=flags, precision=precision)

    assert not beyond(least_ms * 1.01)
    assert beyond(least_ms * 0.99)


def test_where_theory_is_not_known_it_forbids_nothing() -> None:
    assert not beyond_theory(10**12, 1e-6, cores=1, flags={"asimd"}, precision="fp32")

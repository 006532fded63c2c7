from __future__ import annotations

import pytest

from whet.core.evidence import Ceilings
from whet.errors import MeasurementError
from whet.measure.roofline import ceiling_share

CEILINGS = Ceilings(fp32_ops_per_s=2e11, bf16_ops_per_s=None, int8_ops_per_s=2e12)


def test_share_of_the_ceiling() -> None:
    # 1 GMAC is 2 GOP; at 200 GOP/s that takes 10 ms.
    assert ceiling_share(10**9, 20.0, CEILINGS, "fp32") == pytest.approx(0.5)
    assert ceiling_share(10**9, 2.0, CEILINGS, "int8") == pytest.approx(0.5)


def test_unknown_ceilings_bound_nothing() -> None:
    assert ceiling_share(10**9, 0.001, CEILINGS, "bf16") is None
    assert ceiling_share(10**9, 0.001, CEILINGS, "fp4") is None
    assert ceiling_share(10**9, 0.0, CEILINGS, "fp32") is None


def test_more_than_the_hardware_can_do_is_a_bug() -> None:
    assert ceiling_share(10**9, 9.2, CEILINGS, "fp32") == pytest.approx(1.087, rel=1e-3)
    with pytest.raises(MeasurementError, match="one of the two is wrong"):
        ceiling_share(10**9, 9.0, CEILINGS, "fp32")

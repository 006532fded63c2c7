"""How near to the hardware's measured peak a result comes, and that none lies above it."""

from __future__ import annotations

from whet.core.evidence import Ceilings
from whet.errors import MeasurementError

__all__ = ["ceiling_share"]

_ALLOWANCE = 0.10


def ceiling_share(macs: int, ms: float, ceilings: Ceilings, precision: str) -> float | None:
    """Share of the measured compute ceiling that a latency amounts to.

    Args:
        macs: multiply-accumulates of one query (of all its rows); each counts as two operations.
        ms: its latency.
        ceilings: of the machine that measured, with all threads that it allows.
        precision: of the fastest part that matters: ``"fp32"``, ``"bf16"`` (or ``"fp16"``),
            ``"int8"``.

    Returns:
        The share (1.0 = the ceiling), or ``None`` where that ceiling was not measured.

    Raises:
        MeasurementError: the result is more than 10 % above the ceiling, which
            is the ceiling's own error: then the clock or the count is wrong.
    """
    peaks = {
        "fp32": ceilings.fp32_ops_per_s,
        "bf16": ceilings.bf16_ops_per_s,
        "fp16": ceilings.bf16_ops_per_s,
        "int8": ceilings.int8_ops_per_s,
    }
    peak = peaks.get(precision)
    if peak is None or ms <= 0:
        return None
    share = 2 * macs / (ms / 1e3) / peak
    if share > 1 + _ALLOWANCE:
        raise MeasurementError(
            f"{macs / 1e9:.3g} GMAC in {ms:.4g} ms would be {share:.0%} of the {precision} peak that"
            f" this machine reached ({peak / 1e12:.3g} TOP/s), so one of the two is wrong.",
            "Measure again on a quiet machine; if it stays, report it with the model.",
        )
    return share

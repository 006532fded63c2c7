"""How near to the hardware's measured peak a result comes, and that none lies above it; pure."""

from __future__ import annotations

import math
from collections.abc import Collection

import msgspec

from whet.core.evidence import Ceilings
from whet.errors import MeasurementError

__all__ = ["beyond_theory", "ceiling_share", "peak_of", "top_precision", "without_peak"]

_ALLOWANCE = 0.10

_FIELDS = {
    "fp32": "fp32_ops_per_s",
    "bf16": "bf16_ops_per_s",
    "fp16": "bf16_ops_per_s",
    "int8": "int8_ops_per_s",
}

# Parts of an int8 graph may run in floats, and on some CPUs that is the faster arithmetic.
_WIDER = {"int8": ("int8", "bf16", "fp32"), "bf16": ("bf16", "fp32"), "fp16": ("fp16", "fp32")}

# No CPU is clocked higher; what the system calls its highest clock leaves boosts out.
_CLOCK_HZ = 6.5e9
# Operations a cycle of one core, an add and a multiply each: two units of 512 or 256 bits.
_FP32_OPS = (("avx512f", 64), ("avx2", 32))
_TILE_OPS = {"bf16": ("amx_bf16", 2048), "fp16": ("amx_fp16", 2048), "int8": ("amx_int8", 4096)}
_NARROWER = {"fp32": 1, "bf16": 2, "fp16": 2, "int8": 4}


def peak_of(ceilings: Ceilings, precision: str) -> float | None:
    """Operations per second that were reached in a precision; ``None`` where unknown."""
    field = _FIELDS.get(precision)
    peak: float | None = None if field is None else getattr(ceilings, field)
    return peak


def top_precision(ceilings: Ceilings, precision: str) -> str:
    """Itself or a wider one, in which parts may run, whichever has the higher peak."""
    return max(_WIDER.get(precision, (precision,)), key=lambda p: peak_of(ceilings, p) or 0.0)


def without_peak(ceilings: Ceilings, precision: str) -> Ceilings:
    """The ceilings without the one of a precision."""
    return msgspec.structs.replace(ceilings, **{_FIELDS[precision]: None})


def ceiling_share(macs: int, ms: float, ceilings: Ceilings, precision: str) -> float | None:
    """Share of the measured compute ceiling that a latency amounts to.

    Args:
        macs: multiply-accumulates of one query (of all its rows); each counts as two operations.
        ms: its latency.
        ceilings: of the machine that measured, with all threads that it allows.
        precision: of the fastest part that matters: ``"fp32"``, ``"bf16"`` (or ``"fp16"``),
            ``"int8"``.

    Returns:
        The share (1.0 = the ceiling, that of a wider precision where it is higher), or ``None``
        where that of the precision itself was not measured.

    Raises:
        MeasurementError: the result is more than 10 % above the ceiling, which
            is the ceiling's own error: then the clock or the count is wrong, or the
            ceiling was measured on a busy machine (`whet.measure.ceiling_looks`).
    """
    if peak_of(ceilings, precision) is None or ms <= 0:
        return None
    precision = top_precision(ceilings, precision)
    peak = peak_of(ceilings, precision) or math.inf
    share = 2 * macs / (ms / 1e3) / peak
    if share > 1 + _ALLOWANCE:
        raise MeasurementError(
            f"{macs / 1e9:.3g} GMAC in {ms:.4g} ms would be {share:.0%} of the {precision} peak that"
            f" this machine reached ({peak / 1e12:.3g} TOP/s), so one of the two is wrong.",
            "Measure again on a quiet machine; if it stays, report it with the model.",
        )
    return share


def beyond_theory(
    macs: int, ms: float, *, cores: int, flags: Collection[str], precision: str
) -> bool:
    """Whether a latency is impossible on any CPU with these vector units.

    The bound is generous (no clock is that high) and holds however busy the machine was; it
    is only known for x86.

    Args:
        macs: multiply-accumulates of one query.
        ms: its latency.
        cores: that may work on it.
        flags: of the CPU.
        precision: as in `ceiling_share`.
    """
    wide = next((ops for flag, ops in _FP32_OPS if flag in flags), None)
    if wide is None or precision not in _NARROWER:
        return False
    per_cycle = wide * _NARROWER[precision]
    flag, tile = _TILE_OPS.get(precision, ("", 0))
    if flag in flags:
        per_cycle = max(per_cycle, tile)
    return 2 * macs > ms / 1e3 * per_cycle * cores * _CLOCK_HZ

"""Rung 0: can the limit be met at all, and by what; pure.

Three kinds of evidence, cheapest first. The *roofline* bound is arithmetic:
no run can be shorter than its operations at this machine's measured peak, nor,
where no cache could hold them, than its weights at the measured read
bandwidth (Williams, Waterman and Patterson 2009). The *probes* are measured:
the graph as it is on each runtime, and int8 with ranges from a handful of
samples, whose answers may be poor but whose speed is real. *Width scaling* is an estimate: the share of
the channels that would have to stay, since the work falls with the square of
the width.

What was measured wins: a bound above the fastest probe doesn't hold (the machine was busy
when its peak was measured, or the candidate computes in a narrower precision than the bound
is about), so it is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from whet.core.contract import Contract
from whet.core.evidence import Ceilings, Feasibility

__all__ = ["assess", "fitting_width", "roofline_ms"]

_BYTES = {"fp32": 4, "bf16": 2, "int8": 1}
# Weights up to here may stay in a last-level cache between requests, where memory bandwidth
# bounds nothing. No CPU has more; "out of reach" must never be said of what can be reached.
_LARGEST_CACHE = 1 << 30


def roofline_ms(macs: int, parameters: int, precision: str, ceilings: Ceilings) -> float | None:
    """Least time of one inference in milliseconds; ``None`` where no peak was measured.

    Args:
        macs: multiply-accumulates of one request (counted as two operations).
        parameters: weights that must be read.
        precision: ``"fp32"``, ``"bf16"`` or ``"int8"``.
        ceilings: measured peaks of this machine.
    """
    peak = {
        "fp32": ceilings.fp32_ops_per_s,
        "bf16": ceilings.bf16_ops_per_s,
        "int8": ceilings.int8_ops_per_s,
    }[precision]
    if peak is None:
        return None
    compute = 2 * macs / peak
    weights = parameters * _BYTES[precision]
    read = ceilings.read_bytes_per_s if weights > _LARGEST_CACHE else None
    stream = weights / read if read else 0.0
    return max(compute, stream) * 1e3


def assess(
    contract: Contract,
    *,
    macs: int | None,
    parameters: int,
    ceilings: Ceilings,
    probes_ms: Mapping[str, float],
    int8: bool = True,
) -> Feasibility:
    """Say whether the limit is within reach, from bounds and probes.

    Args:
        contract: with or without a limit.
        macs: of one row; the batch is multiplied in here. ``None`` where not all could be
            counted: then arithmetic bounds nothing.
        parameters: number of weights.
        ceilings: measured peaks.
        probes_ms: measured medians by the name of what was probed.
        int8: whether one of the probes computes in 8 bits; without one the limit may be in reach.
    """
    bounds = {
        f"roofline {p}": ms
        for p in _BYTES
        if macs is not None
        and (ms := roofline_ms(macs * contract.batch, parameters, p, ceilings)) is not None
        and ms <= min(probes_ms.values(), default=math.inf)
    }
    fastest = min(probes_ms, key=lambda name: probes_ms[name], default=None)
    if contract.limit_ms is None:
        words = f"the fastest probe so far is {fastest}" if fastest else "nothing was probed"
        sentence = f"No latency limit was set; {words}."
        return Feasibility(None, sentence, bounds, dict(probes_ms))
    limit = contract.limit_ms
    floor = min(bounds.values(), default=0.0)
    if floor > limit:
        sentence = (
            f"Out of reach here for this network: even at the measured peak one request takes"
            f" {floor:.3g} ms, the limit is {limit:g} ms."
        )
        return Feasibility(False, sentence, bounds, dict(probes_ms))
    if fastest is None:
        return Feasibility(None, "No runtime could run the graph.", bounds, dict(probes_ms))
    best = probes_ms[fastest]
    if best <= limit:
        sentence = (
            f"Within reach: {fastest} took {best:.3g} ms (median), the limit is {limit:g} ms."
        )
        return Feasibility(True, sentence, bounds, dict(probes_ms))
    found = (
        f"the fastest probe, {fastest}, took {best:.3g} ms (median) and the limit is {limit:g} ms."
        f" {fitting_width(limit, best)}"
    )
    if not int8:
        sentence = f"Not within reach of the runtimes alone, and int8 was not probed: {found}"
        return Feasibility(None, sentence, bounds, dict(probes_ms))
    sentence = f"Not within reach of runtimes and int8 alone: {found}"
    return Feasibility(False, sentence, bounds, dict(probes_ms))


def fitting_width(limit_ms: float, median_ms: float) -> str:
    """How much narrower a network would fit; work falls with the square of the width."""
    return (
        f"By its median, a network of about {math.sqrt(limit_ms / median_ms):.0%} of the width"
        " would fit."
    )

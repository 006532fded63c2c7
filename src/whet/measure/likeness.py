"""Whether an untouched engine computes the original at all: its answers, number by number.

An engine that compiles the untouched graph may add up in another order, so its answers may
differ from the original's by rounding, and by nothing else. The line is a thousandth of the
values around (`whet.measure.scales`). Whole numbers have no rounding, but those that come from
comparing real ones (a class map) flip where two are level; so a thousandth of them may differ.

It can settle what the samples were too few for; it never overrules a metric or another
output's check that failed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.core.evidence import Quality, Verdict
from whet.errors import EngineError
from whet.measure.chunks import row_chunks
from whet.measure.scales import scales_of

__all__ = ["SAME_WITHIN", "check_alike_in_form", "difference", "untouched_quality"]

Array = NDArray[np.generic]

SAME_WITHIN = 1e-3
"""Share of the values around (of an output's numbers, if they are whole) that may differ."""

_NO_LOSS = 1e-6


def difference(
    reference: Mapping[str, Array], candidate: Mapping[str, Array], ignore: Collection[str] = ()
) -> float:
    """Largest difference of any output, as a share of the values around it there.

    Of whole numbers: the share that differs. Infinite where one side holds a value that is
    not finite and the other doesn't.

    Args:
        reference: the original's outputs by name, (rows, ...).
        candidate: the engine's, of the same names and shapes.
        ignore: names of outputs that don't count.
    """
    return max(
        (_apart(want, candidate[name]) for name, want in reference.items() if name not in ignore),
        default=0.0,
    )


def check_alike_in_form(
    reference: Mapping[str, Array], candidate: Mapping[str, Array], ignore: Collection[str] = ()
) -> None:
    """See that the outputs have the original's names and shapes.

    Raises:
        EngineError: they haven't, so nothing can be compared.
    """
    for name, want in reference.items():
        have = candidate.get(name)
        if name in ignore or (have is not None and have.shape == want.shape):
            continue
        found = "is missing" if have is None else f"has shape {have.shape}"
        raise EngineError(
            f"Output '{name}' {found}; the original's has shape {want.shape}.",
            "Leave this runtime out with --runtimes, or report it to its makers.",
        )


def untouched_quality(
    quality: Quality,
    reference: Mapping[str, Array],
    candidate: Mapping[str, Array],
    ignore: Collection[str] = (),
) -> Quality:
    """The quality of an untouched engine: passed where its answers are the original's.

    Where they aren't, or the metric or another output's check failed, the verdict
    stands, as for any other candidate.

    Args:
        quality: by the contract's metric.
        reference: the original's outputs by name.
        candidate: the engine's.
        ignore: names of outputs that don't count.
    """
    found = difference(reference, candidate, ignore)
    shown = found if math.isfinite(found) else None
    if found > SAME_WITHIN or _failed(quality):
        return msgspec.structs.replace(quality, same=False, difference=shown)
    return msgspec.structs.replace(
        quality,
        same=True,
        difference=shown,
        verdict=Verdict.PASSED,
        needed=None,
        method=f"every output differs from the original's by at most {found:.2g} of the values"
        f" around, which is rounding (up to {SAME_WITHIN:g}); beside it: {quality.method}",
    )


def _failed(quality: Quality) -> bool:
    """Whether anything failed; a loss that is itself rounding is none (of a floor of 0)."""
    if any(check.verdict is Verdict.FAILED for check in quality.outputs):
        return True
    beyond = quality.drop - quality.allowed
    lost = beyond > _NO_LOSS * max(1.0, abs(quality.reference))
    return quality.verdict is Verdict.FAILED and lost


def _apart(want: Array, have: Array) -> float:
    if want.size == 0:
        return 0.0
    parts = row_chunks(want)
    if want.dtype.kind not in "fc":
        return sum(int((want[p] != have[p]).sum()) for p in parts) / want.size
    scales = scales_of(want, parts)
    worst = 0.0
    for part in parts:
        a, b = want[part].astype(np.float64), have[part].astype(np.float64)
        finite = np.isfinite(a), np.isfinite(b)
        if not (finite[0].all() and finite[1].all()):
            odd_a, odd_b = (np.where(f, 0.0, x) for f, x in zip(finite, (a, b), strict=True))
            if not np.array_equal(odd_a, odd_b, equal_nan=True):
                return math.inf
            a, b = np.where(finite[0], a, 0.0), np.where(finite[0], b, 0.0)
        around = np.maximum(scales.of(part, a.shape), np.abs(a))
        worst = max(worst, float((np.abs(a - b) / around).max(initial=0.0)))
    return worst

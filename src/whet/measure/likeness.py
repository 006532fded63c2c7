"""Whether an untouched engine computes the original at all: its answers, number by number.

An engine that compiles the untouched graph may add up in another order, so its answers may
differ from the original's by rounding, and by nothing else. The export check draws the same
line (`whet.optimize.export`): a thousandth of the output's largest value. Whole numbers have
no rounding, but those that come from comparing real ones (a class map) flip where two are
level; so a thousandth of them may differ.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.core.evidence import Quality, Verdict
from whet.errors import EngineError

__all__ = ["SAME_WITHIN", "check_alike_in_form", "difference", "untouched_quality"]

Array = NDArray[np.generic]

SAME_WITHIN = 1e-3
"""Share of an output's largest value (of its numbers, if they are whole) that may differ."""

_CHUNK = 256


def difference(
    reference: Mapping[str, Array], candidate: Mapping[str, Array], ignore: Collection[str] = ()
) -> float:
    """Largest difference of any output, as a share of the original's largest value there.

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

    Where they aren't, the metric's verdict stands, as for any other candidate.

    Args:
        quality: by the contract's metric.
        reference: the original's outputs by name.
        candidate: the engine's.
        ignore: names of outputs that don't count.
    """
    found = difference(reference, candidate, ignore)
    shown = found if math.isfinite(found) else None
    if found > SAME_WITHIN:
        return msgspec.structs.replace(quality, same=False, difference=shown)
    return msgspec.structs.replace(
        quality,
        same=True,
        difference=shown,
        verdict=Verdict.PASSED,
        needed=None,
        outputs=(),  # every output was compared number by number, which says more
        method=f"every output differs from the original's by at most {found:.2g} of its largest"
        f" value, which is rounding (up to {SAME_WITHIN:g}); beside it: {quality.method}",
    )


def _apart(want: Array, have: Array) -> float:
    if want.size == 0:
        return 0.0
    parts = [slice(i, i + _CHUNK) for i in range(0, len(want), _CHUNK)]
    if want.dtype.kind not in "fc":
        return sum(int((want[p] != have[p]).sum()) for p in parts) / want.size
    largest = gap = 0.0
    for part in parts:
        a, b = want[part].astype(np.float64), have[part].astype(np.float64)
        finite = np.isfinite(a)
        if not np.array_equal(finite, np.isfinite(b)):
            return math.inf
        largest = max(largest, float(np.abs(a[finite]).max(initial=0.0)))
        gap = max(gap, float(np.abs(a[finite] - b[finite]).max(initial=0.0)))
    return gap / max(largest, 1e-12)

"""Which sizes are worth rounding up by padding; pure.

Padding is proposed where a mask tells filling from content, and where enough
of the samples need filling that their quality shows whether the network heeds
its mask. A set of samples that all happen to be 64 tokens long would prove
nothing about the requests to come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whet.core.spec import Signature

__all__ = ["masked_symbols", "round_ups"]

_MULTIPLES = (8, 16)
# Share of the samples that must need filling.
_FILLED = 0.5


def masked_symbols(signature: Signature) -> tuple[str, ...]:
    """Dynamic sizes, other than the batch, that an input named like a mask shares with another."""
    batch = signature.batch_symbol
    shared: dict[str, list[str]] = {}
    for spec in signature.inputs:
        for dim in dict.fromkeys(spec.shape):
            if isinstance(dim, str) and dim != batch:
                shared.setdefault(dim, []).append(spec.name)
    return tuple(
        symbol
        for symbol, names in shared.items()
        if len(names) > 1 and any("mask" in name.lower() for name in names)
    )


def round_ups(sizes: Mapping[str, Sequence[int]]) -> tuple[dict[str, int], ...]:
    """Values of `Settings.round_up` to try, the most promising first.

    Args:
        sizes: of each symbol that may be padded, in a number of samples.
    """
    return tuple(
        dict.fromkeys(sizes, multiple)
        for multiple in _MULTIPLES
        if sizes
        and all(
            seen and sum(size % multiple != 0 for size in seen) >= _FILLED * len(seen)
            for seen in sizes.values()
        )
    )

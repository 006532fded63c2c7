"""How much quality may be lost: what a drop is, how it is written, and which ones allow anything."""

from __future__ import annotations

import enum
import math
import re

import msgspec

from whet.errors import ContractError, Issue

__all__ = ["NUMBER", "Drop", "DropKind", "boundless", "check_drop", "parse_drop", "unread"]

NUMBER = r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*"
"""A number in a clause's text, as a regular expression."""

# From the best to the worst that a metric can be: an absolute drop of so much allows anything.
_SPANS = {
    **dict.fromkeys(("top1", "top5", "f1", "agreement", "cosine", "closeness"), 1.0),
    "spearman": 2.0,
}


class DropKind(enum.StrEnum):
    """How a maximal drop is meant."""

    ABSOLUTE = "absolute"  # in units of the metric: 0.01 = one point of top-1
    RELATIVE = "relative"  # share of the original's value


class Drop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much quality may be lost."""

    value: float
    kind: DropKind = DropKind.ABSOLUTE

    def absolute(self, reference: float) -> float:
        """The allowed drop in units of the metric, given the original's value."""
        return self.value * abs(reference) if self.kind is DropKind.RELATIVE else self.value

    def __str__(self) -> str:
        if self.kind is DropKind.RELATIVE:
            return f"{self.value:.4g} of the original's value ({self.value:.2%})"
        return f"{self.value:.4g}"


def check_drop(metric: str, drop: Drop) -> None:
    """Refuse a drop that allows anything, once it is known which metric ``auto`` stands for.

    Args:
        metric: the concrete one.
        drop: of a checked contract.

    Raises:
        ContractError: says what was probably meant.
    """
    issues = boundless(metric, drop)
    if issues:
        raise ContractError(issues)


def boundless(metric: str, drop: Drop) -> tuple[Issue, ...]:
    """What is wrong with a drop that leaves nothing of a metric; nothing where it isn't so."""
    span = _SPANS.get(metric)
    relative = drop.kind is DropKind.RELATIVE
    if span is None or relative or not math.isfinite(drop.value) or drop.value < span:
        return ()
    meant = drop.value if drop.value < 100 else 1.0
    return (
        Issue(
            "max_drop",
            f"{drop.value:g} is {100 * drop.value:g} points, and '{metric}' can't lose more than"
            f" {100 * span:g}.",
            f"Write '{meant:g}%' (of the original's value) or '{meant:g}pt' (points).",
        ),
    )


def unread(where: str, text: str, remedy: str) -> ContractError:
    """The error that a clause's text can't be read."""
    return ContractError((Issue(where, f"'{text}' can't be read.", remedy),))


def parse_drop(text: str) -> Drop:
    """A drop: ``"1%"`` is relative to the original, ``"1pt"`` and ``"0.01"`` are absolute.

    Raises:
        ContractError: no such drop.
    """
    match = re.fullmatch(NUMBER + r"(%|pt|pts)?\s*", text)
    if match is None:
        raise unread("max_drop", text, "Write '1%' (relative), '1pt' or '0.01' (absolute).")
    value, unit = float(match[1]), match[2]
    if unit == "%":
        return Drop(value / 100, DropKind.RELATIVE)
    return Drop(value / 100 if unit else value, DropKind.ABSOLUTE)

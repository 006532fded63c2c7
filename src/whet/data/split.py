"""Split samples into repair, select and certify: disjoint, seeded, stratified.

Copies of the same inputs go into one part, so that nothing is certified on a
picture that repair or search has seen. Units (a sample, or a group of copies)
are shuffled, ordered by class and dealt one after another to the part that is
furthest behind its share; so each class is spread over the parts as evenly as
its size allows, and the parts' sizes are met.

What n certify samples can prove: if a share d of the answers would change,
all n stay unchanged with probability (1 - d)^n. Seeing no change therefore
bounds d at confidence c by 1 - (1 - c)^(1/n), about 3/n at 95 %: the exact
(Clopper-Pearson) bound for zero successes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whet.core.note import Note
from whet.errors import OptionError, SamplesError

__all__ = ["Shares", "Splits", "certify_needed", "provable_drop", "split"]

_PARTS = ("repair", "select", "certify")
_ROUGH_CALIBRATION = 100


@dataclass(frozen=True)
class Shares:
    """How much of the samples each part gets; certify gets the rest.

    Attributes:
        repair, select: shares of all samples (0-1).
        repair_most, select_most: caps in samples.

    Raises:
        OptionError: shares that leave nothing, or a cap below 1.
    """

    repair: float = 0.2
    select: float = 0.3
    repair_most: int = 1024
    select_most: int = 4096

    def __post_init__(self) -> None:
        shares_fit = self.repair > 0 and self.select > 0 and self.repair + self.select < 1
        if not shares_fit or self.repair_most < 1 or self.select_most < 1:
            raise OptionError(
                f"{self} can't be a split.", "Give shares above 0 that add up to less than 1."
            )

    def sizes(self, count: int) -> tuple[int, int, int]:
        """Samples in repair, select and certify; each gets one if there are three."""
        if count < len(_PARTS):
            return count, 0, 0
        repair = min(max(1, int(self.repair * count)), self.repair_most)
        select = min(max(1, round(self.select * count)), self.select_most, count - repair - 1)
        return repair, select, count - repair - select


@dataclass(frozen=True)
class Splits:
    """Indices of samples in three disjoint parts, each in random order: any prefix is a fair draw.

    ``notes`` say what these numbers can and can't prove.
    """

    repair: NDArray[np.int64]
    select: NDArray[np.int64]
    certify: NDArray[np.int64]
    notes: tuple[Note, ...]


def provable_drop(n: int, confidence: float = 0.95) -> float:
    """Smallest drop of a rate that n samples without any loss can prove; 1 for n = 0."""
    return 1.0 if n == 0 else 1.0 - (1.0 - confidence) ** (1.0 / n)


def certify_needed(drop: float, confidence: float = 0.95) -> int:
    """Fewest samples that can prove a drop of a rate below ``drop`` (0-1, absolute).

    Raises:
        OptionError: ``drop`` or ``confidence`` isn't between 0 and 1.
    """
    if not (0 < drop < 1 and 0 < confidence < 1):
        raise OptionError(
            f"A drop of {drop} at confidence {confidence} can't be planned for.",
            "Both lie between 0 and 1.",
        )
    return math.ceil(math.log(1.0 - confidence) / math.log(1.0 - drop))


def split(
    count: int,
    labels: NDArray[np.generic] | None,
    *,
    seed: int,
    shares: Shares | None = None,
    groups: NDArray[np.int64] | None = None,
    max_drop: float | None = None,
    confidence: float = 0.95,
) -> Splits:
    """Split ``count`` samples.

    Args:
        count: number of samples.
        labels: stratified by them if they are integers.
        seed: equal seeds give equal splits.
        shares: of the parts; the defaults of `Shares` if ``None``.
        groups: equal numbers stay together (`SampleStore.groups`).
        max_drop: the absolute drop that has to be proved, for the notes.
        confidence: of that proof.

    Raises:
        SamplesError: no samples, or labels or groups of another length.
    """
    if count < 1:
        raise SamplesError("There are no samples to split.", "Give at least three.")
    for name, given in (("labels", labels), ("groups", groups)):
        if given is not None and given.shape != (count,):
            raise SamplesError(
                f"There are {count} samples and {name} of shape {given.shape}.", "Give one each."
            )
    wanted = (shares or Shares()).sizes(count)
    strata = (
        labels if labels is not None and labels.dtype.kind in "iu" else np.zeros(count, np.int64)
    )
    rng = np.random.default_rng(seed)
    units = _units(strata.astype(np.int64), groups, rng)
    parts = [rng.permutation(part) for part in _deal(units, wanted)]
    notes = (
        *_copy_notes(count, units),
        *_class_notes(labels),
        *_size_notes(count, [part.size for part in parts], max_drop, confidence),
    )
    return Splits(parts[0], parts[1], parts[2], notes)


def _units(
    strata: NDArray[np.int64], groups: NDArray[np.int64] | None, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Samples that stay together, in random order within a class, class after class."""
    keys = np.arange(strata.size) if groups is None else groups
    order = np.argsort(keys, kind="stable").astype(np.int64)
    breaks = np.flatnonzero(np.diff(keys[order])) + 1
    units = np.split(order, breaks)
    shuffled = [units[i] for i in rng.permutation(len(units))]
    # Large groups first: they fit while the parts are still empty.
    return sorted(
        shuffled, key=lambda unit: (-unit.size if unit.size > 1 else 0, int(strata[unit[0]]))
    )


def _deal(units: list[NDArray[np.int64]], wanted: tuple[int, int, int]) -> list[NDArray[np.int64]]:
    total = sum(wanted)
    given, seen = [0, 0, 0], 0
    dealt: list[list[NDArray[np.int64]]] = [[], [], []]
    for unit in units:
        seen += unit.size
        room = [p for p in range(3) if given[p] + unit.size <= wanted[p]]
        # No room for a large group anywhere: it goes where most is missing.
        part = (
            max(room, key=lambda p: wanted[p] * seen / total - given[p])
            if room
            else max(range(3), key=lambda p: wanted[p] - given[p])
        )
        dealt[part].append(unit)
        given[part] += unit.size
    return [np.concatenate(part) if part else np.empty(0, np.int64) for part in dealt]


def _copy_notes(count: int, units: list[NDArray[np.int64]]) -> tuple[Note, ...]:
    copies = count - len(units)
    if not copies:
        return ()
    return (
        Note(
            "samples",
            f"{copies:,} of {count:,} samples are exact copies of others; copies stay in one part.",
        ),
    )


def _class_notes(labels: NDArray[np.generic] | None) -> tuple[Note, ...]:
    if labels is None or labels.dtype.kind not in "iu":
        return ()
    sizes = np.unique(labels, return_counts=True)[1]
    few = int((sizes < len(_PARTS)).sum())
    if not few:
        return ()
    return (
        Note(
            "samples",
            f"{few:,} of {sizes.size:,} classes have fewer than three samples and are missing in a part;"
            " nothing is proved for such a class by itself.",
        ),
    )


def _size_notes(
    count: int, sizes: list[int], max_drop: float | None, confidence: float
) -> tuple[Note, ...]:
    repair, _, certify = sizes
    notes: list[Note] = []
    if count < len(_PARTS):
        notes.append(
            Note("samples", f"{count} sample(s) can't be split in three; all serve calibration.")
        )
    if repair < _ROUGH_CALIBRATION:
        notes.append(
            Note(
                "repair",
                f"Calibration on {repair} sample(s) is rough; {_ROUGH_CALIBRATION} or more are usual.",
            )
        )
    if certify == 0:
        notes.append(Note("certify", "No sample is left to certify with: nothing can be proved."))
        return tuple(notes)
    least = provable_drop(certify, confidence)
    notes.append(
        Note(
            "certify",
            f"{certify:,} sample(s) can prove, at {confidence:.0%} confidence, that a rate such as top-1 drops"
            f" by less than {least:.2%}, if no answer gets worse; a smaller drop can't be proved with them.",
        )
    )
    if max_drop is not None and 0 < max_drop < least:
        needed = certify_needed(max_drop, confidence)
        notes.append(
            Note(
                "certify",
                f"The contract's drop of {max_drop:.2%} needs at least {needed:,} certify samples"
                f" (there are {certify:,}), about {math.ceil(needed * count / certify):,} samples in all.",
            )
        )
    return tuple(notes)

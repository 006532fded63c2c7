"""Split samples into repair, select and certify: disjoint, seeded, stratified.

Copies of the same inputs go into one part, so that nothing is certified on a
picture that repair or search has seen. Units (a sample, or a group of copies)
are shuffled, ordered by class and dealt one after another to the part that is
furthest behind its share; so each class is spread over the parts as evenly as
its size allows, and the parts' sizes are met.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whet.core.note import Note
from whet.errors import OptionError, SamplesError

__all__ = ["Shares", "Splits", "check_enough", "split"]

_PARTS = ("repair", "select", "certify")
_ROUGH_CALIBRATION = 100
_LATER = 2 / 3


@dataclass(frozen=True)
class Shares:
    """How much of the samples each part gets; certify gets the rest.

    Calibration and ranking need a number of samples, a proof needs all that it can
    get: from ``enough`` samples on, a part grows only by two thirds of its share.

    Attributes:
        repair, select: shares of all samples (0-1).
        repair_enough, select_enough: samples that a part gets by its whole share.
        repair_most, select_most: caps in samples.

    Raises:
        OptionError: shares that leave nothing, or a cap below 1.
    """

    repair: float = 0.2
    select: float = 0.3
    repair_enough: int = 150
    select_enough: int = 200
    repair_most: int = 1024
    select_most: int = 4096

    def __post_init__(self) -> None:
        shares_fit = self.repair > 0 and self.select > 0 and self.repair + self.select < 1
        least = min(self.repair_enough, self.select_enough, self.repair_most, self.select_most)
        if not shares_fit or least < 1:
            raise OptionError(
                f"{self} can't be a split.", "Give shares above 0 that add up to less than 1."
            )

    def sizes(self, count: int) -> tuple[int, int, int]:
        """Samples in repair, select and certify, of at least three."""
        repair = _part(count, self.repair, self.repair_enough, self.repair_most)
        select = _part(count, self.select, self.select_enough, self.select_most)
        select = min(select, count - repair - 1)
        return repair, select, count - repair - select


def _part(count: int, share: float, enough: int, most: int) -> int:
    """The whole share up to ``enough`` samples, then a part of it."""
    first, later = share * count, _LATER * share * count
    return max(1, min(most, round(max(later, min(first, enough)))))


@dataclass(frozen=True)
class Splits:
    """Indices of samples in three disjoint parts, each in random order: any prefix is a fair draw.

    ``notes`` say what these numbers can and can't prove.
    """

    repair: NDArray[np.int64]
    select: NDArray[np.int64]
    certify: NDArray[np.int64]
    notes: tuple[Note, ...]


def check_enough(samples: int, groups: NDArray[np.int64]) -> None:
    """Refuse samples that can't be split in three.

    Args:
        samples: how many there are.
        groups: equal numbers for copies of the same inputs.

    Raises:
        SamplesError: fewer than three that differ.
    """
    different = len(np.unique(groups))
    if different >= len(_PARTS):
        return
    copies = f", of which {different} differ" if different < samples else ""
    raise SamplesError(
        f"There {'is' if samples == 1 else 'are'} {samples} sample{'s'[: samples != 1]}{copies};"
        f" {len(_PARTS)} that differ are the least: one to calibrate with, one to search with,"
        " one to certify with.",
        "Give more; some hundred are needed to prove anything about quality.",
    )


def split(
    count: int,
    labels: NDArray[np.generic] | None,
    *,
    seed: int,
    shares: Shares | None = None,
    groups: NDArray[np.int64] | None = None,
) -> Splits:
    """Split ``count`` samples; no part stays empty.

    Args:
        count: number of samples.
        labels: stratified by them if they are integers.
        seed: equal seeds give equal splits.
        shares: of the parts; the defaults of `Shares` if ``None``.
        groups: equal numbers stay together (`SampleStore.groups`).

    Raises:
        SamplesError: too few samples (`check_enough`), or labels or groups of another length.
    """
    for name, given in (("labels", labels), ("groups", groups)):
        if given is not None and given.shape != (count,):
            raise SamplesError(
                f"There are {count} samples and {name} of shape {given.shape}.", "Give one each."
            )
    check_enough(count, np.arange(count) if groups is None else groups)
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
        *_calibration_notes(parts[0].size),
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
    for number, unit in enumerate(units):
        seen += unit.size
        empty = [p for p in range(3) if not dealt[p]]
        if len(units) - number <= len(empty):  # no more than one for each: large ones came first
            dealt[empty[0]].append(unit)
            given[empty[0]] += unit.size
            continue
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


def _calibration_notes(repair: int) -> tuple[Note, ...]:
    if repair >= _ROUGH_CALIBRATION:
        return ()
    return (
        Note(
            "repair",
            f"Calibration on {repair} sample(s) is rough; {_ROUGH_CALIBRATION} or more are usual.",
        ),
    )

"""How far outputs moved, without labels; pure numpy.

Figures are always finite, since they are compared, added up and written down. Values that the
original itself masks, by an infinity or a large number, say nothing and are left out; a
candidate's value that is no number where the original's is one is the most damage that there is.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Sequence
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

from whet.core.spec import Arrays
from whet.measure.masks import masks_of
from whet.measure.variation import Variation, yardsticks

__all__ = ["MOST", "Damage", "measure"]

Array = NDArray[np.generic]
Floats = NDArray[np.float64]

MOST = 1e6
"""Damage of answers that are no numbers: above any other, and sums of it stay finite."""


class Damage(enum.StrEnum):
    """A measure of damage."""

    SQUARED = "squared"  # share of each number's variance that the error makes up, in the mean
    DIVERGENCE = "divergence"  # Kullback-Leibler divergence of the softmax, in nats per row


def measure(kind: Damage, reference: Sequence[Arrays], got: Iterable[Arrays]) -> float:
    """Damage over rows that ran one at a time, averaged over the outputs, at most `MOST`.

    A value that is no number in any output is `MOST` of the whole.

    Outputs whose shape differs from row to row (a sequence) are compared value
    by value; only outputs of one shape can be centred. An output that is zero on all rows has
    no yardstick of its own: it counts only where all are so, by its mean squared error.

    Args:
        kind: the measure.
        reference: the original's outputs, row by row.
        got: the candidate's, of the same rows; read once, so that it needn't be in memory.
    """
    compared = {name: _comparison(kind, [row[name] for row in reference]) for name in reference[0]}
    for want, have in zip(reference, got, strict=True):
        for name, comparison in compared.items():
            comparison.see(want[name], have[name])
    # Before any output is left out: one without a yardstick may be the one that broke.
    if not all(math.isfinite(comparison.error()) for comparison in compared.values()):
        return MOST
    relative = [comparison.damage() for comparison in compared.values()]
    known = [found for found in relative if found is not None]
    found = known or [comparison.error() for comparison in compared.values()]
    return float(np.mean([min(x, MOST) for x in found]))


class _Comparison(Protocol):
    """What is known of one output after the rows that it was shown."""

    def see(self, want: Array, have: Array) -> None: ...

    def damage(self) -> float | None: ...

    def error(self) -> float: ...


def _comparison(kind: Damage, rows: Sequence[Array]) -> _Comparison:
    same = len({row.shape for row in rows}) == 1
    if kind is Damage.DIVERGENCE and same:
        return _Divergence()
    return _SquaredError(rows, (1, -1) if same else (-1, 1))


@final
class _SquaredError:
    """Squared error over the variance around the mean, summed within each unit and averaged over them.

    Centred, because a constant part that all rows share (a bias, a prior) would hide any error; by
    unit (`whet.measure.variation`), because one in large numbers would hide the others.

    Args:
        reference: all rows of it.
        form: (rows, values) that each row is seen as.
    """

    def __init__(self, reference: Sequence[Array], form: tuple[int, int]) -> None:
        rows = [row.reshape(form) for row in reference]
        self._form = form
        self._masks = masks_of(rows)
        self._variation = Variation(rows[0].shape[1])
        self._squares, self._known, self._rows = np.zeros(rows[0].shape[1]), 0, 0

    def see(self, want: Array, have: Array) -> None:
        rows, known = self._masks.told(want.reshape(self._form))
        self._variation.see(rows, known)
        others = have.reshape(self._form).astype(np.float64)
        self._squares += (np.where(known, others - rows, 0.0) ** 2).sum(axis=0)
        self._known += int(known.sum())
        self._rows += len(rows)

    def damage(self) -> float | None:
        spread = self._variation.spread()
        if not spread.sizes.any():
            return None
        alone, units = yardsticks(spread.squares, spread.sizes, spread.told)
        squares, found = self._squares / max(1, self._rows), []
        for unit in np.unique(units):
            inside = units == unit
            told = inside & spread.told
            own = spread.squares[told].sum() if told.any() else alone[inside].sum()
            found.append(squares[inside].sum() / own)
        return float(np.mean(found))

    def error(self) -> float:
        return float(self._squares.sum() / max(1, self._known))


@final
class _Divergence:
    """Mean over rows of KL(softmax(reference) || softmax(got)), in nats, of what isn't masked."""

    def __init__(self) -> None:
        self._nats, self._rows = 0.0, 0

    def see(self, want: Array, have: Array) -> None:
        seen = np.isfinite(want)
        self._rows += 1
        if seen.any():
            wants, gots = _log_softmax(want[seen]), _log_softmax(have[seen])
            self._nats += float(np.sum(np.exp(wants) * (wants - gots)))

    def damage(self) -> float:
        return max(0.0, self._nats / self._rows) if math.isfinite(self._nats) else math.inf

    def error(self) -> float:
        return self.damage()


def _log_softmax(logits: Array) -> Floats:
    values = logits.astype(np.float64)
    if not np.isfinite(values).all():
        return np.full_like(values, -np.inf)
    shifted = values - values.max()
    normal: Floats = shifted - np.log(np.exp(shifted).sum())
    return normal

"""What squared distances are measured against."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from whet.measure.variation import Variation, Yardsticks

Floats = NDArray[np.float64]
RNG = np.random.default_rng(0)


def seen(rows: Floats, known: NDArray[np.bool_] | None = None) -> Yardsticks:
    told = np.ones(rows.shape, np.bool_) if known is None else known
    variation = Variation(rows.shape[1])
    for part in (slice(0, 7), slice(7, None)):
        variation.see(np.where(told, rows, 0.0)[part], told[part])
    return variation.yardsticks()


def test_it_is_the_variance_around_the_mean() -> None:
    rows = RNG.normal(size=(200, 5)) + 1e4
    found = seen(rows)
    np.testing.assert_allclose(found.squares, rows.var(axis=0), rtol=1e-9)
    np.testing.assert_allclose(found.means, rows.mean(axis=0))
    assert found.counted.all()
    assert found.varying.all()


@pytest.mark.parametrize(("known", "told"), [(29, False), (30, True)])
def test_a_number_known_too_rarely_is_measured_by_its_size(known: int, told: bool) -> None:
    rows = 3 + RNG.normal(size=(200, 2))
    where = np.ones(rows.shape, np.bool_)
    where[known:, 1] = False
    found = seen(rows, where)
    own = rows[:known, 1]
    assert found.squares[1] == pytest.approx(own.var() if told else (own**2).mean())
    assert found.varying.tolist() == [True, told]
    assert found.counted.all(), "what is rarely known counts all the same"


def test_the_rounding_of_float32_is_no_variation() -> None:
    rows = np.float32(1e5 + 1e-2 * RNG.normal(size=(200, 1))).astype(np.float64)
    assert rows.var() > 0
    both = np.concatenate([rows, RNG.normal(size=(200, 1))], axis=1)
    found = seen(both)
    assert found.counted.tolist() == [False, True]
    assert found.squares[0] == pytest.approx(1e10)


@pytest.mark.parametrize(("ratio", "units"), [(20.0, 1), (60.0, 1), (150.0, 2)])
def test_a_wide_gap_parts_units(ratio: float, units: int) -> None:
    rows = RNG.normal(size=(400, 30))
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    rows[:, 20:] *= np.sqrt(ratio)
    found = seen(rows)
    assert len(set(found.units.tolist())) == units
    assert (np.diff(found.units) >= 0).all(), "the smallest unit is first"


def test_what_is_next_to_nothing_is_no_unit_and_is_lifted() -> None:
    rows = RNG.normal(size=(400, 64))
    rows[:, 5] *= 1e-5
    rows[:, 6] = 0.0
    found = seen(rows)
    assert not found.units.any()
    assert found.squares[[5, 6]].min() > 0.5


def test_all_but_a_twentieth_of_each_unit_keep_their_own() -> None:
    rows = RNG.normal(size=(400, 200))
    rows[:, :100] *= np.exp(RNG.normal(0, 0.2, 100)) * 1e3
    found, own = seen(rows), rows.var(axis=0)
    for unit in (slice(0, 100), slice(100, 200)):
        lifted = found.squares[unit] > 1.000001 * own[unit]
        assert lifted.sum() == 4, "of a hundred the four below the twentieth's last"


def test_zeros_alone_have_no_yardstick() -> None:
    found = seen(np.zeros((40, 3)))
    assert not found.squares.any()
    assert found.counted.all()

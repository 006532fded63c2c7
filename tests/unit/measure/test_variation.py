"""What squared distances are measured against."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from whet.measure.variation import Spread, Variation, yardsticks

Floats = NDArray[np.float64]
RNG = np.random.default_rng(0)


def seen(rows: Floats, known: NDArray[np.bool_] | None = None) -> Spread:
    told = np.ones(rows.shape, np.bool_) if known is None else known
    variation = Variation(rows.shape[1])
    for part in (slice(0, 7), slice(7, None)):
        variation.see(np.where(told, rows, 0.0)[part], told[part])
    return variation.spread()


def of(*variances: float, sizes: Floats | None = None) -> tuple[Floats, list[int]]:
    squares = np.array(variances)
    found, units = yardsticks(
        squares, np.zeros_like(squares) if sizes is None else sizes, squares > 0
    )
    return found, units.tolist()


def test_it_is_the_variance_around_the_mean() -> None:
    rows = RNG.normal(size=(200, 5)) + 1e4
    found = seen(rows)
    np.testing.assert_allclose(found.squares, rows.var(axis=0), rtol=1e-9)
    np.testing.assert_allclose(found.means, rows.mean(axis=0))
    np.testing.assert_allclose(found.sizes, (rows**2).mean(axis=0))
    assert found.told.all()


@pytest.mark.parametrize(("known", "told"), [(29, False), (30, True)])
def test_a_number_known_too_rarely_tells_no_variation(known: int, told: bool) -> None:
    rows = 3 + RNG.normal(size=(200, 2))
    where = np.ones(rows.shape, np.bool_)
    where[known:, 1] = False
    found = seen(rows, where)
    own = rows[:known, 1]
    assert found.told.tolist() == [True, told]
    assert found.means[1] == pytest.approx(own.mean())
    assert found.squares[1] == pytest.approx(own.var() * known / 200)


def test_the_rounding_of_float32_is_no_variation() -> None:
    rows = np.float32(1e5 + 1e-2 * RNG.normal(size=(200, 1))).astype(np.float64)
    assert rows.var() > 0
    assert seen(rows).told.tolist() == [False]


@pytest.mark.parametrize(("ratio", "units"), [(20.0, 1), (60.0, 1), (150.0, 2)])
def test_a_wide_gap_parts_units(ratio: float, units: int) -> None:
    _, found = of(*[1.0] * 20, *[ratio] * 10)
    assert sorted(set(found)) == list(range(units))
    assert found == sorted(found), "the smallest unit is first"


@pytest.mark.parametrize("unit", [1.0, 1e6])
def test_in_a_unit_of_many_none_is_below_a_fifth_of_the_mean(unit: float) -> None:
    found, _ = of(*[unit] * 19, 0.1 * unit, *[1e4 * unit] * 19)
    assert found[19] == pytest.approx(0.2 * 19.1 / 20 * unit)
    few, _ = of(*[unit] * 18, 0.1 * unit)
    assert few[18] == pytest.approx(0.1 * unit), "of nineteen each counts by itself"


def test_what_is_next_to_nothing_is_no_unit_and_goes_by_the_others() -> None:
    found, units = of(1.0, 2.0, 3.0, 1e-9, 0.0)
    assert not any(units)
    assert found.tolist() == [1.0, 2.0, 3.0, 1.0, 1.0]


def test_what_never_varies_goes_by_its_own_size_if_that_is_larger() -> None:
    found, _ = of(1.0, 2.0, 0.0, sizes=np.array([1.0, 2.0, 25.0]))
    assert found.tolist() == [1.0, 2.0, 25.0]


def test_where_nothing_varies_what_is_zero_goes_by_the_others() -> None:
    found, _ = of(0.0, 0.0, sizes=np.array([4.0, 0.0]))
    assert found.tolist() == [4.0, 4.0]
    nothing, _ = of(0.0, 0.0)
    assert (nothing > 0).all()
    assert nothing.max() < 1e-20

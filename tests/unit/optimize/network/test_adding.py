from __future__ import annotations

import pytest

from whet.optimize.network.menus.adding import add_up, rank_correlation
from whet.optimize.network.menus.menu import Combined


def test_correlation_is_spearmans() -> None:
    def of(*pairs: tuple[float, float]) -> float | None:
        return rank_correlation([Combined(a, b) for a, b in pairs])

    assert of((1, 10), (2, 100), (3, 1000)) == pytest.approx(1)
    assert of((1, 3), (2, 2), (3, 1)) == pytest.approx(-1)
    assert of((1, 1), (2, 3), (3, 2), (4, 4)) == pytest.approx(0.8)
    assert of((1, 1), (1, 1)) is None
    assert of() is None


def test_damages_add_up_where_sums_rank_well_and_where_nothing_is_known() -> None:
    assert add_up([])
    assert add_up([Combined(1, 5), Combined(2, 6), Combined(3, 90)])
    assert not add_up([Combined(1, 2), Combined(2, 1), Combined(3, 3)])  # correlation 0.5

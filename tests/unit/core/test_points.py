from __future__ import annotations

from whet.core.evidence import Percentile
from whet.core.points import shown_point

POINTS = tuple(Percentile(q, q / 10, None, None) for q in (50.0, 99.9, 99.0))


def test_the_contract_s_percentile_is_shown_although_a_higher_one_was_measured() -> None:
    found = shown_point(POINTS, 99.0)
    assert found is not None
    assert found.q == 99.0


def test_else_the_highest() -> None:
    for asked in (95.0, None):
        found = shown_point(POINTS, asked)
        assert found is not None
        assert found.q == 99.9
    assert shown_point((), 99.0) is None

from __future__ import annotations

from types import SimpleNamespace

import pytest
from trial_factory import quality, trial

from whet.core.contract import Contract, Drop
from whet.search.ladder.polish import _best

SETUP = SimpleNamespace(
    contract=Contract(max_drop=Drop(0.01)), certify=SimpleNamespace(samples=1000)
)


@pytest.mark.parametrize(("its_speed", "taken"), [(2.95, "rounded"), (2.5, "plain")])
def test_of_two_as_fast_the_one_that_is_sure_is_tuned_further(its_speed: float, taken: str) -> None:
    plain = trial("plain", 3.0, select=quality(0.009))
    rounded = trial("rounded", its_speed, select=quality(0.0))
    found = _best(SETUP, [plain, rounded])  # type: ignore[arg-type]  # the fields it looks at
    assert found.name == taken

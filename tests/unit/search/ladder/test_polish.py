from __future__ import annotations

from types import SimpleNamespace

import pytest
from trial_factory import quality, trial

from whet.core.contract import Contract, Drop
from whet.core.evidence import Trial
from whet.search.ladder.polish import _best, judge_the_fast

SETUP = SimpleNamespace(
    contract=Contract(max_drop=Drop(0.01)), certify=SimpleNamespace(samples=1000)
)


@pytest.mark.parametrize(("its_speed", "taken"), [(2.95, "rounded"), (2.5, "plain")])
def test_of_two_as_fast_the_one_that_is_sure_is_tuned_further(its_speed: float, taken: str) -> None:
    plain = trial("plain", 3.0, select=quality(0.009))
    rounded = trial("rounded", its_speed, select=quality(0.0))
    found = _best(SETUP, [plain, rounded])  # type: ignore[arg-type]  # the fields it looks at
    assert found.name == taken


@pytest.mark.parametrize(
    ("limit", "judged"),
    [(None, ["fast", "int8"]), (900, ["int4", "int8"])],
    ids=["no limit", "broken by all"],
)
def test_where_all_break_a_limit_what_comes_nearest_to_it_is_judged_first(
    limit: int | None, judged: list[str]
) -> None:
    whole = trial("whole", 1.0, untouched=True, disk=5000)
    known = [
        whole,
        trial("fast", 2.0, disk=4000),
        trial("int8", 1.2, disk=1600),
        trial("int4", 0.4, disk=926),
    ]
    setup = SimpleNamespace(
        contract=Contract(max_drop=Drop(0.01), max_bytes=limit),
        certify=SimpleNamespace(samples=1000),
    )
    asked: list[str] = []

    def judge(found: Trial) -> None:
        asked.append(found.name)

    trials = SimpleNamespace(all={t.id: t for t in known}, judge=judge)
    judge_the_fast(setup, trials)  # type: ignore[arg-type]  # the fields it looks at
    assert asked == judged

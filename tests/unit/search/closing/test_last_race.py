from __future__ import annotations

import msgspec
import numpy as np
import pytest
from trial_factory import latency, trial

from whet.core.evidence import Trial
from whet.core.settings import Settings
from whet.measure.clock import ClockPlan
from whet.measure.plan import Race, Turn
from whet.search.closing.last_race import fastest_of, rivals_of


def untouched(name: str, runtime: str, speedup: float) -> Trial:
    found = trial(name, speedup, untouched=True)
    return msgspec.structs.replace(
        found, recipe=msgspec.structs.replace(found.recipe, runtime=runtime)
    )


BASE = untouched("ort", "onnxruntime", 1.50)
NEAR = untouched("ort pinned", "onnxruntime", 1.49)
OTHER = untouched("ov", "openvino", 1.47)
FAR = untouched("slow", "inductor", 0.7)


def race(**ms: float) -> Race:
    plan = ClockPlan.full(batch=1, concurrency=1, percentile=50.0, seed=0, seconds=1.0)
    rng = np.random.default_rng(0)
    turns = {
        name: tuple(
            tuple(Turn(value * rng.uniform(0.99, 1.01, 50), 1.0) for _ in range(plan.rounds))
            for _ in range(plan.restarts)
        )
        for name, value in ms.items()
    }
    return Race(plan, turns, {name: latency(value) for name, value in ms.items()}, {}, {})


def test_rivals_are_what_the_quick_timing_does_not_rule_out() -> None:
    assert rivals_of(BASE, [BASE, NEAR, FAR, OTHER]) == [OTHER, NEAR]
    assert rivals_of(BASE, [BASE, FAR]) == []


def test_no_more_than_two_and_another_runtime_first() -> None:
    more = [untouched(f"ort {i}", "onnxruntime", 1.5 + i / 100) for i in range(3)]
    assert [t.name for t in rivals_of(BASE, [*more, OTHER])] == ["ov", "ort 2"]


def test_an_engine_that_was_never_timed_has_no_rivals() -> None:
    assert rivals_of(msgspec.structs.replace(BASE, speedup=None), [OTHER]) == []


@pytest.mark.parametrize(("ov", "expected"), [(2.0, "ov"), (8.0, "ort")])
def test_the_last_race_says_which_untouched_is_best(ov: float, expected: str) -> None:
    assert fastest_of(race(ort=4.0, ov=ov), [BASE, OTHER]).name == expected


ANY = untouched("any", "onnxruntime", 1.50)
FIXED = msgspec.structs.replace(
    BASE,
    recipe=msgspec.structs.replace(BASE.recipe, settings=Settings(pin=True, fixed={"batch": 1})),
)


@pytest.mark.parametrize(
    ("any_ms", "expected"), [(4.05, "any"), (3.97, "any"), (4.2, "ort"), (3.0, "any")]
)
def test_of_engines_alike_the_plainest_is_the_best(any_ms: float, expected: str) -> None:
    timed = race(ort=4.0, any=any_ms)
    assert fastest_of(timed, [FIXED, ANY]).name == expected
    assert fastest_of(timed, [ANY, FIXED]).name == expected, "whoever comes first"


def test_equals_have_a_fixed_order() -> None:
    names = {
        fastest_of(race(ort=a, ov=b), order).name
        for a, b in ((4.0, 4.02), (4.02, 4.0))
        for order in ([BASE, OTHER], [OTHER, BASE])
    }
    assert len(names) == 1


def test_one_that_failed_in_the_race_is_not_the_best() -> None:
    assert fastest_of(race(ov=9.0), [BASE, OTHER]).name == "ov"
    assert fastest_of(race(ov=9.0), [BASE]).name == "ort"

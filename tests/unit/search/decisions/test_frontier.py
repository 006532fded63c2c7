from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from trial_factory import quality, trial

from whet.core.evidence import Status, Trial, Verdict
from whet.search.decisions.frontier import damage, frontier, of_use, speed


def test_dominated_and_failed_trials_are_left_out() -> None:
    a = trial("a", 1.0, select=quality(0.0))
    b = trial("b", 2.0, select=quality(0.01))
    dominated = trial("dominated", 1.5, select=quality(0.02))
    crashed = trial("crashed", 9.0, select=quality(0.0), status=Status.CRASHED)
    unjudged = trial("unjudged", 9.0)
    assert [t.name for t in frontier([b, dominated, a, crashed, unjudged])] == ["a", "b"]


def test_what_loses_more_must_be_faster_beyond_its_interval() -> None:
    base = trial("base", 1.0, untouched=True)
    level = trial("level", 1.01, select=quality(0.004))
    faster = trial("faster", 1.03, select=quality(0.004))
    assert [t.name for t in frontier([base, level])] == ["base"]
    assert [t.name for t in frontier([base, level, faster])] == ["base", "faster"]


def test_luck_is_not_quality() -> None:
    lucky = trial("lucky", 1.0, select=quality(-0.02))
    fast = trial("fast", 2.0, select=quality(0.0))
    assert [t.name for t in frontier([lucky, fast])] == ["fast"]


def test_what_failed_is_packed_only_where_it_is_the_nearest_miss() -> None:
    base = trial("base", 1.0, untouched=True)
    fine = trial("fine", 2.0, certify=quality(0.0))
    open_ = trial("open", 3.0, certify=quality(0.009))
    failed = trial("failed", 4.0, certify=quality(0.2))
    assert failed.certify is not None
    assert failed.certify.verdict is Verdict.FAILED
    assert of_use([base, fine, open_, failed], fine) == (base, fine, open_)
    assert of_use([base, failed], failed) == (base, failed)


points = st.lists(
    st.tuples(st.floats(0.1, 10), st.floats(0, 0.1)), min_size=1, max_size=12, unique=True
)


@given(points)
def test_no_member_is_beaten_and_every_other_is(rows: list[tuple[float, float]]) -> None:
    trials = [trial(f"t{i}", s, select=quality(d)) for i, (s, d) in enumerate(rows)]
    front = frontier(trials)
    speeds = [speed(t) for t in front]
    assert speeds == sorted(speeds)

    def beaten(t: Trial, by: Trial) -> bool:
        assert t.speedup is not None
        better = damage(by) < damage(t) and speed(by) >= t.speedup.low
        return better or (damage(by) == damage(t) and speed(by) > speed(t))

    # Intervals make it no order: one that is beaten may itself be level with a member.
    assert not any(beaten(t, other) for t in front for other in front)
    outside = [t for t in trials if t not in front]
    for t in outside:
        same = [f for f in front if (speed(f), damage(f)) == (speed(t), damage(t))]
        assert same or any(beaten(t, f) for f in front)

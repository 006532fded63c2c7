"""The largest size of each family that is fast enough, by a clock that the test makes up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from whet.optimize.network.students.zoo import Sized, Student
from whet.search.solver.sizing import SizeSearch, lines_of

FAMILIES = ("a", "b", "c")


@st.composite
def zoos(draw: st.DrawFn) -> tuple[Sized, ...]:
    found = []
    for family in draw(st.lists(st.sampled_from(FAMILIES), unique=True)):
        macs = draw(st.lists(st.integers(1, 10**9), min_size=1, max_size=40))
        found += [Sized(Student(family, 1 + i), m, m) for i, m in enumerate(macs)]
    return tuple(found)


def searched(zoo: tuple[Sized, ...], most: float, clock: dict[Student, float]) -> SizeSearch:
    search, asked = SizeSearch(lines_of(zoo), most), set[Student]()
    while students := search.ask():
        assert asked.isdisjoint(students), "nothing is timed twice"
        assert len({s.family for s in students}) == len(students)
        asked.update(students)
        search.tell({s: clock[s] for s in students})
        assert len(asked) <= len(zoo)
    return search


@given(zoo=zoos(), most=st.floats(0.05, 1), seed=st.randoms(use_true_random=False))
def test_whatever_is_found_was_fast_enough(
    zoo: tuple[Sized, ...], most: float, seed: object
) -> None:
    clock = {each.student: seed.uniform(0.01, 2) for each in zoo}  # type: ignore[attr-defined]
    found = searched(zoo, most, clock).found()
    assert all(clock[each.student] <= most for each in found)
    assert len({each.student.family for each in found}) == len(found)
    assert [each.macs for each in found] == sorted((e.macs for e in found), reverse=True)


@given(zoo=zoos(), most=st.floats(0.05, 1), power=st.floats(0.3, 1.5), of=st.floats(1e3, 1e10))
def test_of_each_family_it_is_about_the_largest(
    zoo: tuple[Sized, ...], most: float, power: float, of: float
) -> None:
    clock = {each.student: (each.macs / of) ** power for each in zoo}
    found = {each.student.family: each for each in searched(zoo, most, clock).found()}
    for line in lines_of(zoo):
        family = line[0].student.family
        fast = [each for each in line if clock[each.student] <= most]
        assert (family in found) == bool(fast)
        if fast:
            assert fast[-1].macs < 1.25 * found[family].macs or fast[-1] == found[family]


def test_few_rounds_settle_a_long_line() -> None:
    zoo = tuple(Sized(Student("a", 1 + i), 1000 + 300 * i, 1) for i in range(64))
    search, rounds = SizeSearch(lines_of(zoo), 0.7), 0
    while asked := search.ask():
        rounds += 1
        by_student = {each.student: each.macs / 9000 for each in zoo}
        search.tell({student: by_student[student] for student in asked})
    assert rounds <= 4
    (best,) = search.found()
    assert 0.7 * 9000 / 1.25 < best.macs <= 0.7 * 9000


def test_no_family_that_is_too_slow_is_found() -> None:
    zoo = (Sized(Student("a"), 100, 1), Sized(Student("b"), 50, 1))
    assert searched(zoo, 0.5, {Student("a"): 0.4, Student("b"): 0.9}).found() == (zoo[0],)
    assert SizeSearch((), 0.5).ask() == ()

from __future__ import annotations

import time

import pytest

from whet.measure.noise import CpuUse, read_cpu_use, uneven, unrest


def use(at: float, busy: float, steal: float, own: float) -> CpuUse:
    return CpuUse(at=at, cores=2, busy=busy, steal=steal, own=own)


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (use(10, 12, 0, 12), ""),
        (use(10, 14, 0, 12), ""),
        (use(10, 16, 0, 12), "other processes took 20%"),
        (use(10, 12, 0.5, 12), "the hypervisor kept 2%"),
        (use(0, 12, 0.5, 12), ""),
        (use(10, 5, 0, 12), ""),  # our count is finer than the kernel's: no negative noise
    ],
)
def test_who_took_the_time(after: CpuUse, words: str) -> None:
    reason = unrest(use(0, 0, 0, 0), after)
    assert reason.startswith(words)
    assert bool(reason) is bool(words)


def test_own_work_is_counted_as_own() -> None:
    before = read_cpu_use()
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    after = read_cpu_use()
    assert after.own - before.own >= 0.19
    assert after.busy >= before.busy
    assert after.cores >= 1


def test_restarts_that_differ_by_a_tenth_are_not_alike() -> None:
    assert uneven(0.099) == ""
    assert "differ by 14%" in uneven(0.14)

"""Whether the machine was quiet enough for a figure to mean anything.

Time that other processes spend on our cores, and time that the hypervisor keeps (steal), slow
every contender, and not evenly. What no counter shows (a neighbour's caches, clocks that
change) still shows in restarts that differ. The rules are pure; reading the counters is not.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from dataclasses import dataclass

import psutil

__all__ = ["TOO_NOISY", "CpuUse", "read_cpu_use", "uneven", "unrest"]

TOO_NOISY = "Too noisy to trust small differences"
"""How a note on a race begins whose figures mean little."""

_FOREIGN = 0.15
_STEAL = 0.02
_SPREAD = 0.10


@dataclass(frozen=True)
class CpuUse:
    """Counters since some past moment, in seconds, over the cores that this process may use.

    Attributes:
        at: when they were read, on a steady clock.
        cores: how many cores they cover.
        busy: spent on work of any process.
        steal: kept by the hypervisor.
        own: spent by this process and by its children that have ended.
    """

    at: float
    cores: int
    busy: float
    steal: float
    own: float


def unrest(before: CpuUse, after: CpuUse) -> str:
    """Why the time between two readings was not quiet; empty where it was.

    It was not where other processes took 15 % or more of our cores, or the hypervisor 2 %.
    """
    capacity = (after.at - before.at) * after.cores
    if capacity <= 0:
        return ""
    foreign = ((after.busy - before.busy) - (after.own - before.own)) / capacity
    steal = (after.steal - before.steal) / capacity
    if steal >= _STEAL:
        return f"the hypervisor kept {steal:.0%} of the cores' time from this machine"
    if foreign >= _FOREIGN:
        return f"other processes took {foreign:.0%} of the cores' time"
    return ""


def uneven(restart_spread: float) -> str:
    """Why the restarts of a contender were not alike; empty where they were.

    Args:
        restart_spread: largest over smallest median of a restart, minus one; 10 % is too much.
    """
    if restart_spread < _SPREAD:
        return ""
    return f"the medians of its restarts differ by {restart_spread:.0%}"


def read_cpu_use() -> CpuUse:
    """Read the counters now; call it when children of interest have ended."""
    each = psutil.cpu_times(percpu=True)
    allowed = (
        sorted(os.sched_getaffinity(0)) if sys.platform.startswith("linux") else range(len(each))
    )
    mine = [each[core] for core in allowed if core < len(each)] or each
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return CpuUse(
        at=time.monotonic(),
        cores=len(mine),
        busy=sum(core.user + core.system for core in mine),
        steal=sum(float(core._asdict().get("steal", 0.0)) for core in mine),
        own=sum(use.ru_utime + use.ru_stime for use in own),
    )

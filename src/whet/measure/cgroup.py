"""What this process may use: cores by affinity and quota, memory by limit.

A container often shows all cores and all memory of its host while its control group allows
a fraction. Version 2 writes ``cpu.max`` and ``memory.max``; version 1 ``cpu.cfs_quota_us`` and
``memory.limit_in_bytes``. A limit may stand at any ancestor, so all are read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

__all__ = [
    "allowed_cores",
    "allowed_memory",
    "available_memory",
    "core_quota",
    "cores_for",
    "memory_limit",
]

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def allowed_cores() -> int:
    """Cores that this process can keep busy: its affinity, cut by its group's quota.

    A fraction of a core is not counted: threads beyond the quota are throttled, which is
    worse than not having them. At least 1.
    """
    cores = os.cpu_count() or 1
    if sys.platform.startswith("linux"):
        cores = len(os.sched_getaffinity(0))
        quota = core_quota(_ROOT, _text(_OWN))
        cores = cores if quota is None else min(cores, int(quota))
    return max(1, cores)


def cores_for(threads: int) -> tuple[int, ...]:
    """The cores that contenders of so many threads are pinned to: the first that are allowed."""
    return tuple(sorted(os.sched_getaffinity(0)))[: max(threads, 1)]


def allowed_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or its group's limit."""
    total = int(psutil.virtual_memory().total)
    limit = memory_limit(_ROOT, _text(_OWN))
    return total if limit is None else min(total, limit)


def available_memory() -> int:
    """Bytes that can be taken now without swapping or passing the group's limit."""
    free = int(psutil.virtual_memory().available)
    for folder in _folders(_ROOT, _text(_OWN), "memory"):
        limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
        used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes")
        if limit is not None and used is not None:
            free = min(free, limit - used + _reclaimable(folder))
    return max(0, free)


def core_quota(root: Path, own: str) -> float | None:
    """Cores' worth of time that the group may use; ``None`` without a quota.

    Args:
        root: where the groups are mounted.
        own: the text of ``/proc/self/cgroup``.
    """
    found = []
    for folder in _folders(root, own, "cpu"):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if not quota:
            quota = _text(folder / "cpu.cfs_quota_us")
            period = _text(folder / "cpu.cfs_period_us")
        with suppress(ValueError, ZeroDivisionError):  # "max", or no such file
            if int(quota) > 0:
                found.append(int(quota) / int(period))
    return min(found, default=None)


def memory_limit(root: Path, own: str) -> int | None:
    """Bytes that the group may hold; ``None`` without a limit."""
    limits = [
        limit
        for folder in _folders(root, own, "memory")
        for name in ("memory.max", "memory.limit_in_bytes")
        # Version 1 writes a huge number for "no limit".
        if (limit := _number(folder / name)) is not None and limit < 1 << 60
    ]
    return min(limits, default=None)


def _folders(root: Path, own: str, controller: str) -> Iterator[Path]:
    """Folders of the own group and its ancestors, for one controller."""
    for line in own.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            mounts = [root, root / "unified"]
        elif controller in controllers.split(","):
            mounts = [root / controllers, root / controller]
        else:
            continue
        for mount in mounts:
            # In a container the path may be the host's, and absent here: its root then counts.
            inside = Path(path.strip().lstrip("/"))
            for part in (inside, *inside.parents):
                if (mount / part).is_dir():
                    yield mount / part


def _reclaimable(folder: Path) -> int:
    """Page cache in the group, which the kernel gives back when asked."""
    for line in _text(folder / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file"):
            return int(value)
    return 0


def _number(path: Path) -> int | None:
    with suppress(ValueError):
        return int(_text(path))
    return None


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text().strip()
    return ""

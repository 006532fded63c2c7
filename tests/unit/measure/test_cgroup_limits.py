from __future__ import annotations

import os
from pathlib import Path

import psutil

from whet.measure.cgroup import (
    allowed_cores,
    allowed_memory,
    available_memory,
    core_quota,
    memory_limit,
)


def put(root: Path, **files: str) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / name.replace("__", ".")).write_text(text + "\n")


def test_version_two_takes_the_tightest_ancestor(tmp_path: Path) -> None:
    put(tmp_path / "a/b", cpu__max="max 100000", memory__max="max")
    put(tmp_path / "a", cpu__max="150000 100000", memory__max="3000000")
    put(tmp_path, cpu__max="400000 100000")
    assert core_quota(tmp_path, "0::/a/b") == 1.5
    assert memory_limit(tmp_path, "0::/a/b") == 3_000_000


def test_version_one_with_its_controllers(tmp_path: Path) -> None:
    put(tmp_path / "cpu,cpuacct/job", cpu__cfs_quota_us="50000", cpu__cfs_period_us="100000")
    put(tmp_path / "memory/job", memory__limit_in_bytes="1048576")
    own = "4:cpu,cpuacct:/job\n3:memory:/job\n1:name=systemd:/x"
    assert core_quota(tmp_path, own) == 0.5
    assert memory_limit(tmp_path, own) == 1 << 20


def test_no_limit_reads_as_none(tmp_path: Path) -> None:
    put(tmp_path / "cpu", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    put(tmp_path / "memory", memory__limit_in_bytes="9223372036854771712")
    own = "1:cpu:/\n2:memory:/"
    assert core_quota(tmp_path, own) is None
    assert memory_limit(tmp_path, own) is None
    assert core_quota(tmp_path, "") is None


def test_a_host_path_that_is_absent_here_falls_back_to_the_root(tmp_path: Path) -> None:
    put(tmp_path, cpu__max="200000 100000")
    assert core_quota(tmp_path, "0::/kubepods/pod1/container") == 2.0


def test_this_machine() -> None:
    assert 1 <= allowed_cores() <= len(os.sched_getaffinity(0))
    assert 0 < allowed_memory() <= psutil.virtual_memory().total
    assert 0 < available_memory() <= psutil.virtual_memory().total

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from whet.search.workers.memory import MemoryWatch


def test_the_highest_figure_seen_stands() -> None:
    figures = iter([100, 900, 300])
    seen = threading.Event()

    def look(pid: int) -> int:
        assert pid == os.getpid()
        value = next(figures, 200)
        if value == 200:
            seen.set()
        return value

    with MemoryWatch(every_s=0.001, look=look) as watch:
        assert seen.wait(10)
        assert watch.peak_bytes() == 900
    before = threading.active_count()
    time.sleep(0.01)
    assert threading.active_count() <= before, "its thread has ended"


def test_nothing_known_is_none() -> None:
    with MemoryWatch(every_s=60, look=lambda _: 0) as watch:
        assert watch.peak_bytes() is None


def test_a_worker_counts_too() -> None:
    with MemoryWatch(every_s=60) as watch:
        alone = watch.peak_bytes()
        assert alone is not None
        hold = "import sys; x = bytearray(80_000_000); print(len(x), flush=True); sys.stdin.read()"
        worker = subprocess.Popen(
            [sys.executable, "-c", hold],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"80000000\n"
            together = watch.peak_bytes()
        finally:
            worker.kill()
            worker.communicate()
    assert together is not None
    assert together > alone + 60_000_000


def test_an_error_inside_ends_the_watch() -> None:
    watch = MemoryWatch(every_s=0.01, look=lambda _: 1)
    with pytest.raises(ValueError, match="inside"), watch:
        raise ValueError("inside")
    assert all(thread.name != "whet-memory" for thread in threading.enumerate())

"""Ctrl-C at a real terminal's manner: the signal goes to the whole process group."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from stripes import Job

import whet
from whet.bundle.read import read_bundle

INTERRUPTED = 130
LEFT_BY_LIBRARIES = ("torchinductor_", ".ses")  # caches that torch and NNCF put there


class Search:
    """``whet optimize`` in a process group of its own, read line by line."""

    def __init__(self, job: Job, place: Path) -> None:
        self.out, self.ledger = place / "out.whet", place / "ledger.sqlite"
        self.temporary = place / "tmp"
        self.temporary.mkdir()
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "whet", "optimize", job.network),
                *("--weights", str(job.weights), "--samples", str(job.samples)),
                *("--max-drop", "5pt", "--metric", "top1", "--runtimes", "openvino,onnxruntime"),
                *("--budget", "10m", "--ledger", str(self.ledger), "--out", str(self.out)),
            ],
            env={
                **os.environ,
                "WHET_CACHE": str(place / "cache"),
                "TMPDIR": str(self.temporary),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.seen: dict[int, psutil.Process] = {}
        self.said = ""

    def until(self, words: str) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line
            self._look()
            if words in line:
                return
        raise AssertionError(f"it never said {words!r}: {self.said}")

    def interrupt(self) -> None:
        self._look()
        os.killpg(self.process.pid, signal.SIGINT)

    def ended(self) -> int:
        out, err = self.process.communicate(timeout=300)
        self.said += err + out
        return self.process.returncode

    def left_behind(self) -> list[object]:
        """Processes that still run, and files in the temporary folder."""
        end = time.monotonic() + 10.0
        while time.monotonic() < end and any(map(_runs, self.seen.values())):
            time.sleep(0.1)
        files = [p.name for p in self.temporary.iterdir()]
        return [
            *(p for p in self.seen.values() if _runs(p)),
            *(name for name in files if not name.startswith(LEFT_BY_LIBRARIES)),
        ]

    def _look(self) -> None:
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.Error:
            return
        self.seen.update({child.pid: child for child in children})


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def finished(ledger: Path) -> int:
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as db:
        return int(db.execute("SELECT COUNT(*) FROM trials").fetchone()[0])


@pytest.fixture
def search(job: Job, tmp_path: Path) -> Iterator[Search]:
    started = Search(job, tmp_path)
    yield started
    if started.process.poll() is None:
        os.killpg(started.process.pid, signal.SIGKILL)
        started.process.communicate()


def test_before_anything_is_measured_it_just_ends(search: Search) -> None:
    search.until("Exporting the network")
    time.sleep(0.5)
    search.interrupt()
    assert search.ended() == INTERRUPTED, search.said
    assert "Traceback" not in search.said
    assert "Stopped." in search.said
    assert not search.out.exists()
    assert search.left_behind() == []


@pytest.mark.slow
def test_the_first_closes_with_the_best_so_far(search: Search, job: Job) -> None:
    search.until("onnxruntime fp32")
    time.sleep(1.0)  # in the middle of the next candidate
    search.interrupt()
    assert search.ended() == 0, search.said
    assert "Traceback" not in search.said
    assert search.left_behind() == []
    evidence = whet.inspect(search.out).evidence
    assert evidence is not None
    assert any("stopped early" in note.reason for note in evidence.notes)
    assert finished(search.ledger) >= 2
    with whet.load(search.out) as model:
        import numpy as np

        with np.load(job.samples) as held:
            answer = model.run({"images": held["images"][:1]})
    assert next(iter(answer.values())).shape == (1, 4)


@pytest.mark.slow
def test_the_second_ends_at_once_and_keeps_the_ledger(search: Search) -> None:
    search.until("onnxruntime fp32")
    search.interrupt()
    search.until("Timing the finalists")
    began = time.monotonic()
    search.interrupt()
    assert search.ended() == INTERRUPTED, search.said
    assert time.monotonic() - began < 10.0
    assert "Traceback" not in search.said
    assert "give the same command again" in search.said
    assert not search.out.exists()
    assert search.left_behind() == []
    assert finished(search.ledger) >= 2


@pytest.mark.slow
def test_a_termination_closes_too(search: Search) -> None:
    search.until("onnxruntime fp32")
    search.process.send_signal(signal.SIGTERM)
    assert search.ended() == 0, search.said
    assert read_bundle(search.out).manifest.variants
    assert search.left_behind() == []

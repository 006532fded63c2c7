"""A search that is killed half-way goes on where it was, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from stripes import Job

pytestmark = pytest.mark.slow

_BUDGET_S = 150


def command(job: Job, place: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "whet", "optimize", job.network),
        *("--weights", str(job.weights), "--samples", str(job.samples)),
        *("--max-drop", "0.05", "--metric", "top1", "--runtimes", "openvino,onnxruntime"),
        *("--budget", f"{_BUDGET_S}s", "--ledger", str(place / "ledger.sqlite")),
        *("--out", str(place / "out.whet"), "--json"),
    ]


def finished(ledger: Path) -> dict[str, str]:
    """What the ledger holds of each trial that was finished."""
    if not ledger.exists():
        return {}
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as db:
        try:
            return dict(db.execute("SELECT recipe, body FROM trials").fetchall())
        except sqlite3.OperationalError:
            return {}


def alive(cache: Path) -> list[psutil.Process]:
    """Processes that were started by a search with this cache."""
    found = []
    for process in psutil.process_iter():
        try:
            mine = process.environ().get("WHET_CACHE") == str(cache)
            if mine and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def kill_after(job: Job, place: Path, environment: dict[str, str], trials: int) -> None:
    """Start the search in a group of its own and kill the group once so many trials are done."""
    search = subprocess.Popen(
        command(job, place),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + _BUDGET_S
    while len(finished(place / "ledger.sqlite")) < trials and time.monotonic() < deadline:
        time.sleep(0.2)
    os.killpg(search.pid, signal.SIGKILL)
    assert search.wait() == -signal.SIGKILL


def test_nothing_that_was_finished_is_tried_again(job: Job, tmp_path: Path) -> None:
    cache, scratch = tmp_path / "cache", tmp_path / "tmp"
    scratch.mkdir()
    environment = {**os.environ, "WHET_CACHE": str(cache), "TMPDIR": str(scratch)}
    kill_after(job, tmp_path, environment, 4)
    deadline = time.monotonic() + 10
    while alive(cache) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(cache)
    before = finished(tmp_path / "ledger.sqlite")
    assert len(before) >= 4

    second = subprocess.run(
        command(job, tmp_path), env=environment, capture_output=True, text=True, check=False
    )
    assert second.returncode == 0, second.stderr
    trials = {t["id"]: t for t in json.loads(second.stdout)["evidence"]["trials"]}
    for recipe, body in before.items():
        kept = json.loads(body)
        if kept["status"] not in {"ok", "refused"}:
            continue  # one that failed is tried afresh by each run
        assert trials[recipe]["seconds"] == kept["seconds"]
    assert (tmp_path / "out.whet" / "manifest.json").exists()
    assert not list(scratch.glob("*whet-*"))

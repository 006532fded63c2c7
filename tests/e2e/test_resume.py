"""A search that is killed half-way goes on where it was, and ends with the same choice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

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


def test_nothing_that_was_finished_is_tried_again(job: Job, tmp_path: Path) -> None:
    environment = {**os.environ, "WHET_CACHE": str(tmp_path / "cache")}
    ledger = tmp_path / "ledger.sqlite"
    first = subprocess.Popen(
        command(job, tmp_path),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + _BUDGET_S
    while len(finished(ledger)) < 4 and time.monotonic() < deadline:
        time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = finished(ledger)
    assert len(before) >= 4
    second = subprocess.run(
        command(job, tmp_path), env=environment, capture_output=True, text=True, check=False
    )
    assert second.returncode == 0, second.stderr
    trials = {t["id"]: t for t in json.loads(second.stdout)["evidence"]["trials"]}
    for recipe, body in before.items():
        kept = json.loads(body)
        assert trials[recipe]["seconds"] == kept["seconds"]
    assert (tmp_path / "out.whet" / "manifest.json").exists()

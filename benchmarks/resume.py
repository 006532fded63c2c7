"""A search that is killed half-way and started again, against one that runs through.

    python benchmarks/resume.py [--quick] [--json FILE]

The same search runs twice, each time with a ledger and a cache of its own: once
to its end; once until half as many trials are finished, then the whole process
group gets SIGKILL, and the same command is started again. Counted are the
finished trials that were repeated, the processes that outlived the kill, and the
scratch folders that are left after the second start. Both must choose the same
recipe: what they choose rests on two separate sets of measurements.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
import psutil
from support.cases import NETWORKS, cifar_pictures
from support.digits import write_digits
from support.harness import Goal, arguments, data_dir, finish

import whet
from whet.core.evidence import Evidence, Trial

SEED = 0
_PICTURES = 8000
_END_S = 10.0
_MOST_S = 3600.0
# What belongs to a search in the temporary folder; compilers' own caches may stay.
_SCRATCH = ("whet-scratch-*", ".whet-new-*")


@dataclass(frozen=True)
class Job:
    """One search as a command line, in a place of its own."""

    options: tuple[str, ...]
    place: Path

    @property
    def ledger(self) -> Path:
        return self.place / "ledger.sqlite"

    @property
    def log(self) -> Path:
        return self.place / "log.txt"

    @property
    def scratch(self) -> Path:
        return self.place / "tmp"

    def start(self) -> subprocess.Popen[str]:
        """Start it in a process group of its own."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            return self._started(log)

    def _started(self, log: IO[bytes]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "whet", "optimize", *self.options),
                *("--seed", str(SEED)),
                *("--ledger", str(self.ledger), "--out", str(self.place / "out.whet"), "--json"),
            ],
            env={
                **os.environ,
                "WHET_CACHE": str(self.place / "cache"),
                "TMPDIR": str(self.scratch),
            },
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )

    def finished(self) -> dict[str, Trial]:
        """The trials in the ledger, by recipe."""
        if not self.ledger.exists():
            return {}
        with sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True) as db:
            try:
                rows = db.execute("SELECT recipe, body FROM trials ORDER BY id").fetchall()
            except sqlite3.OperationalError:
                return {}  # it isn't made yet, or is just being written
        return {recipe: msgspec.json.decode(body, type=Trial) for recipe, body in rows}

    def processes(self) -> list[psutil.Process]:
        """Every process that was started on its behalf and is alive."""
        found = []
        for process in psutil.process_iter():
            try:
                mine = process.environ().get("WHET_CACHE") == str(self.place / "cache")
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def left_over(self) -> list[str]:
        """Scratch folders that are there still."""
        return [p.name for pattern in _SCRATCH for p in self.scratch.glob(pattern)]


@dataclass(frozen=True)
class Run:
    """A search that came to its end."""

    evidence: Evidence
    seconds: float

    @property
    def chosen(self) -> Trial:
        return next(t for t in self.evidence.trials if t.id == self.evidence.chosen)


@dataclass(frozen=True)
class Killed:
    """A search that was killed."""

    finished: dict[str, Trial]
    survivors: int
    left_over: int


def main() -> None:
    args = arguments(__doc__.splitlines()[0]).parse_args()
    with tempfile.TemporaryDirectory(prefix="whet-bench-") as folder:
        place = Path(folder)
        options = digits(place) if args.quick else cifar(place, data_dir())
        through = ended(Job(options, place / "through"), "uninterrupted")
        job = Job(options, place / "killed")
        killed = kill_at(job, len(through.evidence.trials) // 2)
        resumed = ended(job, "started again")
        left_over = job.left_over()
    rows = [row("uninterrupted", through), killed_row(killed), row("started again", resumed)]
    goals = goals_of(through, killed, resumed, left_over)
    machine = msgspec.to_builtins(through.evidence.machine)
    finish(rows, goals, machine=machine, seed=SEED, file=args.json)


def cifar(place: Path, data: Path) -> tuple[str, ...]:
    """ResNet-20 on the CIFAR-10 test pictures, as fast as possible.

    As a graph, which can't learn: without a budget, learning alone would take hours.
    """
    pictures, labels = cifar_pictures(data, "test", _PICTURES)
    samples = place / "samples.npz"
    np.savez(samples, picture=pictures, label=labels)
    made = whet.apply(
        whet.Pipeline([whet.ToGraph()]),
        f"{NETWORKS / 'resnet.py'}:cifar_resnet20",
        {"picture": pictures[:256]},
        out=place / "graph",
        weights=data / "weights" / "resnet20_cifar10.safetensors",
    )
    return (
        *(str(made.graph), "--samples", str(samples), "--label-key", "label"),
        *("--metric", "top1", "--max-drop", "1pt"),
        *("--runtimes", "openvino,onnxruntime", "--budget", "none"),
    )


def digits(place: Path) -> tuple[str, ...]:
    """A perceptron for scikit-learn's digits, under a limit that ends the search early."""
    network, samples = write_digits(place)
    return (
        *(str(network), "--samples", str(samples)),
        *("--metric", "top1", "--max-drop", "1pt", "--p99", "100ms"),
        *("--runtimes", "onnxruntime", "--budget", "none"),
    )


def ended(job: Job, name: str) -> Run:
    """Run a search to its end."""
    began = time.monotonic()
    process = job.start()
    out, _ = process.communicate(timeout=_MOST_S)
    if process.returncode not in (0, 2):
        sys.exit(f"The search failed:\n{job.log.read_text()[-2000:]}")
    evidence = msgspec.convert(json.loads(out)["evidence"], type=Evidence)
    found = Run(evidence, time.monotonic() - began)
    print(
        f"{name}: {len(evidence.trials)} trials in {found.seconds:.0f} s, chose {found.chosen.name}",
        flush=True,
    )
    return found


def kill_at(job: Job, count: int) -> Killed:
    """Start a search and kill its process group once ``count`` trials are in the ledger."""
    process = job.start()
    deadline = time.monotonic() + _MOST_S
    while len(job.finished()) < count and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    if process.poll() is not None:
        sys.exit(f"The search ended before it could be killed:\n{job.log.read_text()[-2000:]}")
    workers = len(job.processes()) - 1
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + _END_S
    while (left := job.processes()) and time.monotonic() < deadline:
        time.sleep(0.05)
    found = Killed(job.finished(), len(left), len(job.left_over()))
    print(
        f"killed: {len(found.finished)} trials finished, {workers} workers running,"
        f" {found.survivors} alive afterwards",
        flush=True,
    )
    return found


def repeated(killed: Killed, resumed: Run) -> list[str]:
    """Names of the trials that were finished before the kill and were tried again."""
    again = {t.id: t.seconds for t in resumed.evidence.trials}
    return [t.name for t in killed.finished.values() if again.get(t.id, t.seconds) != t.seconds]


def row(name: str, run: Run) -> dict[str, Any]:
    chosen = run.chosen
    return {
        "run": name,
        "trials": len(run.evidence.trials),
        "seconds": run.seconds,
        "kept": run.evidence.kept,
        "chosen": chosen.name,
        "recipe": chosen.id,
        "speedup": msgspec.to_builtins(chosen.speedup),
        "finalists": {
            t.name: msgspec.to_builtins(t.speedup)
            for t in run.evidence.trials
            if t.variant is not None
        },
    }


def killed_row(killed: Killed) -> dict[str, Any]:
    return {
        "run": "killed",
        "trials": len(killed.finished),
        "survivors": killed.survivors,
        "scratch_folders": killed.left_over,
    }


def goals_of(through: Run, killed: Killed, resumed: Run, left_over: list[str]) -> list[Goal]:
    again = repeated(killed, resumed)
    missing = set(killed.finished) - {t.id for t in resumed.evidence.trials}
    # A repeated or a lost trial is named in the output, since the count alone helps nobody.
    for name in again:
        print(f"  repeated: {name}")
    same = through.evidence.chosen == resumed.evidence.chosen
    half = len(through.evidence.trials) // 2
    choice = resumed.chosen.name if same else f"{through.chosen.name} / {resumed.chosen.name}"
    return [
        Goal(
            "trials finished before the kill",
            f">= {half}",
            float(len(killed.finished)),
            "",
            len(killed.finished) >= half,
        ),
        Goal("finished trials repeated", "0", float(len(again)), "", not again),
        Goal("finished trials forgotten", "0", float(len(missing)), "", not missing),
        Goal("same choice as uninterrupted", "same", choice, "", same),
        Goal(
            "processes that outlived the kill",
            "0",
            float(killed.survivors),
            "",
            killed.survivors == 0,
        ),
        Goal("scratch folders after the next run", "0", float(len(left_over)), "", not left_over),
    ]


if __name__ == "__main__":
    main()

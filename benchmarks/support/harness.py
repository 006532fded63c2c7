"""What every benchmark shares: arguments, goals, the JSON file."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Goal", "arguments", "data_dir", "finish", "joined_with"]

ROOT = Path(__file__).resolve().parents[2]
_VERSIONS = ("whet", "torch", "onnx", "onnxruntime", "openvino", "nncf", "numpy")


@dataclass(frozen=True)
class Goal:
    """One line of a goals table. ``met`` is ``None`` where this machine can't decide it."""

    name: str
    goal: str
    reached: float | str | None
    unit: str
    met: bool | None


def arguments(description: str) -> argparse.ArgumentParser:
    """The arguments that every benchmark takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--quick", action="store_true", help="at most 60 s: same code, smaller sizes"
    )
    parser.add_argument("--json", type=Path, help="write the result to this file")
    return parser


def data_dir() -> Path:
    """The folder with real data: ``WHET_DATA``, else ``../shared/data`` beside the checkout."""
    found = Path(os.environ.get("WHET_DATA") or ROOT.parent / "shared" / "data")
    if not found.is_dir():
        sys.exit(f"There is no data folder at {found}; set WHET_DATA.")
    return found


def joined_with(
    file: Path | None, rows: list[dict[str, Any]], goals: list[Goal], *, machine: Any
) -> tuple[list[dict[str, Any]], list[Goal]]:
    """Rows and goals of the networks that were measured now, and of the others from an earlier run.

    Networks are measured one by one and compared within themselves, so each may have its own run; but
    only on one machine, with the same versions.

    Args:
        file: of the earlier run, if there is one.
        rows: measured now, each with its ``network``.
        goals: each named ``NETWORK: ...``.
        machine: on which.
    """
    if file is None or not file.is_file():
        return rows, goals
    before = json.loads(file.read_text())
    same = before["machine"]["cpu"] == machine["cpu"] and before["versions"] == _versions()
    if not same:
        sys.exit(f"{file} is of another machine or other versions; write to another file.")
    names = {row["network"] for row in rows}
    kept_rows = [row for row in before["rows"] if row["network"] not in names]
    kept = [Goal(**goal) for goal in before["goals"]]
    kept = [goal for goal in kept if goal.name.partition(":")[0] not in names]
    order = list(dict.fromkeys(row["network"] for row in [*before["rows"], *rows]))
    every = sorted(kept_rows + rows, key=lambda row: order.index(row["network"]))
    return every, sorted(kept + goals, key=lambda goal: order.index(goal.name.partition(":")[0]))


def finish(
    rows: list[dict[str, Any]], goals: list[Goal], *, machine: Any, seed: int, file: Path | None
) -> None:
    """Print the goals last and write the JSON file."""
    width = max((len(goal.name) for goal in goals), default=0)
    print("\nGoals")
    for goal in goals:
        state = {True: "met", False: "MISSED", None: "not decidable here"}[goal.met]
        reached = f"{goal.reached:.4g}" if isinstance(goal.reached, float) else str(goal.reached)
        print(f"  {goal.name:<{width}}  {goal.goal:<12} reached {reached} {goal.unit}  {state}")
    if file is None:
        return
    document = {
        "machine": machine,
        "versions": _versions(),
        "seed": seed,
        "rows": rows,
        "goals": [asdict(goal) for goal in goals],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1) + "\n")
    print(f"\nWritten to {file}")


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **_installed()}


def _installed() -> dict[str, str]:
    found = {}
    for name in _VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found

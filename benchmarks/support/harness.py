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

__all__ = ["Goal", "arguments", "data_dir", "finish"]

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
        "versions": {"python": platform.python_version(), **_installed()},
        "seed": seed,
        "rows": rows,
        "goals": [asdict(goal) for goal in goals],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1) + "\n")
    print(f"\nWritten to {file}")


def _installed() -> dict[str, str]:
    found = {}
    for name in _VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found

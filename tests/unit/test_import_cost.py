"""`import whet` is cheap, and no module of whet loads a heavy package by being imported."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "openvino",
    "nncf",
    "optuna",
    "transformers",
    "tokenizers",
    "scipy",
    "sklearn",
    "PIL",
)
# Subclasses of torch's own classes, and what changes networks, need torch when their module is
# imported; these are imported inside functions only.
NEED_TORCH = ("whet.optimize.intake.modules", "whet.optimize.network.")
PURE = ("whet.optimize.network.structure.segment",)
BUDGET_MS = 100.0


def fresh(code: str) -> str:
    """What a fresh interpreter prints for ``code``."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_whet_takes_less_than_100_ms() -> None:
    """Timed inside the process, so the interpreter's own start is not part of it."""
    code = "import time; t = time.perf_counter(); import whet; print(time.perf_counter() - t)"
    times_ms = [float(fresh(code)) * 1e3 for _ in range(7)]
    assert statistics.median(times_ms) < BUDGET_MS, times_ms


def test_import_whet_loads_nothing_heavy() -> None:
    loaded = fresh("import whet, sys; print(*{m.partition('.')[0] for m in sys.modules})").split()
    assert not {*HEAVY, "numpy", "msgspec"} & set(loaded)


DOORS = ("whet.api.searching", "whet.api.by_hand", "whet.api.bundles", "whet.cli.main")


@pytest.mark.parametrize("module", DOORS)
def test_the_doors_load_nothing_heavy(module: str) -> None:
    code = f"import {module}, sys; print(*{{m.partition('.')[0] for m in sys.modules}})"
    assert not set(HEAVY) & set(fresh(code).split())


def test_a_machine_that_only_answers_loads_nothing_of_the_search() -> None:
    code = "import whet, sys; whet.load, whet.bench, whet.verify, whet.inspect; print(*sys.modules)"
    loaded = {".".join(name.split(".")[:2]) for name in fresh(code).split()}
    assert "whet.serve" in loaded
    assert not {"whet.search", "whet.optimize", "whet.report"} & loaded


def test_no_module_loads_a_heavy_package_by_being_imported() -> None:
    """Heavy packages are imported inside the functions that need them.

    One process imports every module in turn and says which one brought what.
    """
    code = f"""
import importlib, json, pkgutil, sys, whet
heavy, blame = set({HEAVY!r}), {{}}
for found in pkgutil.walk_packages(whet.__path__, "whet."):
    if found.name.startswith("whet.testing") or found.name.endswith("__main__"):
        continue
    if found.name.startswith({NEED_TORCH!r}) and found.name not in {PURE!r}:
        continue
    before = heavy & set(sys.modules)
    importlib.import_module(found.name)
    if new := (heavy & set(sys.modules)) - before:
        blame[found.name] = sorted(new)
print(json.dumps(blame))
"""
    assert json.loads(fresh(code)) == {}

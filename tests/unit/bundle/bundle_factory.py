"""A small valid bundle, and how an attacker who knows the format would change it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from whet.bundle.draft import BundleDraft, GoldenDraft, VariantDraft
from whet.bundle.manifest import LatencySummary, QualitySummary, Tolerance
from whet.bundle.read import Bundle, seal_line
from whet.bundle.write import write_bundle
from whet.core.artifact import Artifact, Format
from whet.core.contract import Contract
from whet.core.evidence import (
    Ceilings,
    Evidence,
    Feasibility,
    Machine,
    Percentile,
    SampleSummary,
    Status,
    Trial,
    Verdict,
)
from whet.core.note import Note
from whet.core.recipe import Recipe, Step
from whet.core.settings import Settings
from whet.core.spec import Signature, TensorSpec

SIGNATURE = Signature(
    (TensorSpec("x", "float32", ("batch", 3)),), (TensorSpec("y:0", "float32", ("batch", 2)),)
)
MACHINE = Machine(
    "Imaginary CPU", "x86_64", "Linux", 2, 8 << 30, ("avx2",), Ceilings(), {"whet": "0.1.0"}
)
INPUTS = {"x": np.arange(12, dtype=np.float32).reshape(4, 3)}
WEIGHTS = np.array([[1, 0], [0, 1], [1, 1]], np.float32)


def run_model(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"y:0": inputs["x"] @ WEIGHTS}


def evidence(note: str = "fine") -> Evidence:
    recipe = Recipe((), "onnxruntime", Settings())
    trial = Trial(recipe.digest(), "untouched", recipe, 1, Status.OK, 1.5)
    return Evidence(
        contract=Contract(limit_ms=5.0),
        machine=MACHINE,
        samples=SampleSummary("samples.npz", 100, 10, 40, 50, True),
        network="net.py:build",
        baseline=trial.id,
        chosen=trial.id,
        kept=Verdict.PASSED,
        sentence="It keeps the contract.",
        trials=(trial,),
        feasibility=Feasibility(True, "Reachable."),
        started="2026-01-01T00:00:00Z",
        seconds=1.5,
        seed=0,
        command="whet optimize net.py:build",
        notes=(Note("here", note),),
    )


def variant(folder: Path, name: str, content: bytes, **fields: Any) -> VariantDraft:
    folder.mkdir(parents=True, exist_ok=True)
    main, weights = folder / f"{name}.onnx", folder / f"{name}.onnx.data"
    main.write_bytes(b"graph of " + name.encode())
    weights.write_bytes(content)
    given: dict[str, Any] = {
        "name": name,
        "artifact": Artifact(str(main), Format.ONNX, SIGNATURE, (weights.name,)),
        "runtime": "onnxruntime",
        "settings": Settings(threads=2),
        "recipe": Recipe((Step("tidy", {"level": 1}),), "onnxruntime", Settings(threads=2)),
        "trial": "0123456789abcdef",
        "latency": (LatencySummary(1, 1, 2.5, (Percentile(50.0, 2.4, 2.3, 2.5),), 400.0),),
        "quality": QualitySummary(
            "top1", 500, 0.9, 0.89, 0.01, 0.02, 0.03, 0.95, Verdict.PASSED, True
        ),
        "goldens": run_model(INPUTS),
        "tolerance": Tolerance(1e-6, 1e-3, 1.0),
    }
    return VariantDraft(**(given | fields))


def draft(folder: Path, **fields: Any) -> BundleDraft:
    """Two variants, a tokenizer, evidence, goldens and a report, from files in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = folder / "tok.json"
    tokenizer.write_text('{"a": 1}', encoding="utf-8")
    given: dict[str, Any] = {
        "name": "digits",
        "created": "2026-01-01T00:00:00Z",
        "whet": "0.1.0",
        "machine": MACHINE,
        "signature": SIGNATURE,
        "variants": (
            variant(folder, "exact", bytes(range(256)) * 4),
            variant(folder, "small", b"int8" * 32),
        ),
        "default": "small",
        "goldens": GoldenDraft(INPUTS, 1, run_model(INPUTS)),
        "evidence": evidence(),
        "transform": {"type": "text", "tokenizer": "transform/tokenizer.json", "mean": [0.5, 1e-9]},
        "transform_files": {"transform/tokenizer.json": tokenizer},
        "extra": {"report.html": b"<html>report</html>"},
    }
    return BundleDraft(**(given | fields))


def make_bundle(where: Path, **fields: Any) -> Bundle:
    return write_bundle(where, draft(where.parent / f"{where.name}-sources", **fields))


def manifest_of(bundle: Path) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((bundle / "manifest.json").read_bytes())
    return made


def reseal(bundle: Path, manifest: bytes | dict[str, Any]) -> None:
    """Write a manifest with a seal that fits, as anybody can who may write the folder."""
    data = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    (bundle / "manifest.json").write_bytes(data)
    (bundle / "manifest.sha256").write_bytes(seal_line(data))


def change(bundle: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    plain = manifest_of(bundle)
    edit(plain)
    reseal(bundle, plain)

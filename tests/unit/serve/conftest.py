"""Bundles of a small real network, with any mixture of variants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from whet.bundle.draft import BundleDraft, GoldenDraft, VariantDraft
from whet.bundle.manifest import Tolerance
from whet.bundle.write import write_bundle
from whet.core.artifact import Artifact
from whet.core.evidence import Ceilings, Machine
from whet.core.recipe import Recipe
from whet.core.settings import Settings
from whet.testing.small_net import SmallNet

NET = SmallNet()
INPUTS = NET.inputs(4)
MACHINE = Machine("Imaginary CPU", "x86_64", "Linux", 1, 8 << 30, (), Ceilings(), {})


@pytest.fixture(scope="session")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return NET.onnx(tmp_path_factory.mktemp("graph"))


@pytest.fixture
def variant(graph: Artifact) -> Callable[..., VariantDraft]:
    """A variant that answers as recorded, unless its fields say otherwise."""

    def make(name: str, runtime: str = "onnxruntime", **fields: Any) -> VariantDraft:
        settings = fields.pop("settings", Settings())
        given: dict[str, Any] = {
            "artifact": graph,
            "recipe": Recipe((), runtime, settings),
            "trial": name,
            "goldens": NET.answer(INPUTS),
            "tolerance": Tolerance(1e-3, 1e-3),
        }
        return VariantDraft(name=name, runtime=runtime, settings=settings, **(given | fields))

    return make


@pytest.fixture
def bundle_of(tmp_path: Path) -> Callable[..., Path]:
    """Write a bundle; the first variant is the default."""

    def write(*variants: VariantDraft, **fields: Any) -> Path:
        given: dict[str, Any] = {
            "name": "small",
            "created": "2026-01-01T00:00:00Z",
            "whet": "0.1.0",
            "machine": MACHINE,
            "signature": NET.signature,
            "default": variants[0].name,
            "goldens": GoldenDraft(INPUTS, 2),
        }
        draft = BundleDraft(variants=variants, **(given | fields))
        return write_bundle(tmp_path / "small.whet", draft).folder

    return write

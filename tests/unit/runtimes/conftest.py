"""A runtime without an engine: its compiled form is the graph's text in capitals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, cast

import pytest

from whet.core.artifact import Artifact, Format
from whet.core.settings import Settings
from whet.core.spec import Signature, TensorSpec
from whet.errors import EngineError
from whet.runtimes.base import Availability, Session
from whet.runtimes.seal import check_seal, is_graph_itself, seal_engine


@dataclass
class PaperRuntime:
    name: ClassVar[str] = "paper"
    reads: ClassVar[frozenset[Format]] = frozenset({Format.ONNX})
    honours: ClassVar[frozenset[str]] = frozenset({"threads", "fixed"})
    bakes: ClassVar[frozenset[str]] = frozenset({"fixed"})
    version: str = "1.0"
    compiled: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    weight: int = 1
    jammed: bool = False
    keeps: bool = True

    def available(self) -> Availability:
        return Availability(ok=True, version=self.version)

    def compile(self, graph: Artifact, settings: Settings, where: Path) -> Path:
        text = graph.file.read_text()
        if "unknown" in text:
            raise EngineError("No such operator.", "Leave it out.")
        self.compiled.append(text)
        if not self.keeps:
            return graph.file
        engine = where / "engine.txt"
        engine.write_text(text.upper() * self.weight)
        return seal_engine(self, engine, graph, settings)

    def open(self, engine: Path, graph: Artifact, settings: Settings) -> Session:
        if not is_graph_itself(engine, graph):
            check_seal(self, engine, graph, settings)
        if self.jammed:
            raise EngineError("The paper is jammed.", "Pull.")
        self.opened.append(engine.read_text())
        return cast("Session", object())


@pytest.fixture
def paper() -> PaperRuntime:
    return PaperRuntime()


@pytest.fixture
def text_graph(tmp_path: Path) -> Artifact:
    return write_graph(tmp_path, "conv relu")


@pytest.fixture
def make_graph() -> Callable[..., Artifact]:
    return write_graph


def write_graph(folder: Path, text: str, name: str = "graph.txt") -> Artifact:
    (folder / name).write_text(text)
    spec = (TensorSpec("x", "float32", ("batch", 3)),)
    return Artifact(str(folder / name), Format.ONNX, Signature(spec, spec))

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from whet.core.artifact import Artifact
from whet.core.settings import Settings
from whet.errors import EngineError
from whet.runtimes.base import Runtime
from whet.runtimes.seal import baked, check_seal, is_graph_itself, seal_path


@pytest.fixture
def engine(paper: Runtime, text_graph: Artifact, tmp_path: Path) -> Path:
    where = tmp_path / "engine"
    where.mkdir()
    return paper.compile(text_graph, Settings(threads=2, fixed={"batch": 1}), where)


def test_holds_for_the_same_build_and_any_settings_that_are_not_baked(
    paper: Runtime, text_graph: Artifact, engine: Path
) -> None:
    for threads in (1, 2, 8):
        check_seal(paper, engine, text_graph, Settings(threads=threads, fixed={"batch": 1}))
    assert baked(paper, Settings(threads=2, fixed={"batch": 1})) == Settings(fixed={"batch": 1})


def test_baked_settings_must_be_the_same(
    paper: Runtime, text_graph: Artifact, engine: Path
) -> None:
    with pytest.raises(EngineError, match="settings"):
        check_seal(paper, engine, text_graph, Settings(fixed={"batch": 2}))


def change(key: str, value: object) -> Callable[[dict[str, object]], None]:
    return lambda seal: seal.__setitem__(key, value)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (change("runtime", "other"), "the runtime was 'other'"),
        (change("runtime_version", "0.9"), "version was '0.9'"),
        (change("cpu", "0" * 16), "instruction set"),
        (change("kind", "cake"), "can't be read"),
        (change("version", 1), "can't be read"),
        (change("more", 1), "can't be read"),
        (change("files", [{"name": "../x", "size_bytes": 1, "sha256": ""}]), "outside"),
        (change("files", [{"name": "/etc/passwd", "size_bytes": 1, "sha256": ""}]), "outside"),
        (change("files", [{"name": "lost", "size_bytes": 1, "sha256": ""}]), "lost"),
    ],
)
def test_refuses_another_build_and_a_bent_seal(
    paper: Runtime,
    text_graph: Artifact,
    engine: Path,
    damage: Callable[[dict[str, object]], None],
    says: str,
) -> None:
    seal = json.loads(seal_path(engine).read_text())
    damage(seal)
    seal_path(engine).write_text(json.dumps(seal))
    with pytest.raises(EngineError, match=says) as refusal:
        check_seal(paper, engine, text_graph, Settings(fixed={"batch": 1}))
    assert refusal.value.remedy


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_refuses_a_seal_that_is_none(
    paper: Runtime, text_graph: Artifact, engine: Path, content: bytes
) -> None:
    seal_path(engine).write_bytes(content)
    with pytest.raises(EngineError, match="can't be read"):
        check_seal(paper, engine, text_graph, Settings(fixed={"batch": 1}))


def test_every_byte_counts(paper: Runtime, text_graph: Artifact, engine: Path) -> None:
    content = engine.read_bytes()
    for place in range(len(content)):
        engine.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(EngineError, match="damaged"):
            check_seal(paper, engine, text_graph, Settings(fixed={"batch": 1}))


def test_the_signature_is_sealed_too(paper: Runtime, text_graph: Artifact, engine: Path) -> None:
    spec = msgspec.structs.replace(text_graph.signature.inputs[0], dtype="int64")
    signature = msgspec.structs.replace(text_graph.signature, inputs=(spec,))
    with pytest.raises(EngineError, match="signature"):
        check_seal(
            paper,
            engine,
            msgspec.structs.replace(text_graph, signature=signature),
            Settings(fixed={"batch": 1}),
        )


def test_a_graph_is_known_by_its_file_however_it_is_written(text_graph: Artifact) -> None:
    roundabout = text_graph.file.parent / "sub" / ".." / text_graph.file.name
    assert is_graph_itself(roundabout, text_graph)
    assert not is_graph_itself(text_graph.file.with_name("other"), text_graph)

"""The record beside a compiled engine that says what it is and proves it is whole.

Engines are read by native code that trusts their bytes: a damaged OpenVINO
blob or AOTInductor package may end the process instead of raising. So
whatever `Runtime.compile` writes is sealed with a ``<engine>.seal`` file
(JSON: runtime, version, CPU, baked settings, signature, SHA-256 of each
file), and `Runtime.open` opens nothing whose seal is missing or doesn't
match. A seal finds accidents and mix-ups. It is no signature: who can write
the engine can write the seal, so engines are taken only from our own cache, a
bundle whose manifest was checked, or a path that the user named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from whet.core.artifact import Artifact
from whet.core.settings import Settings
from whet.core.spec import Signature
from whet.errors import EngineError, StorageError
from whet.runtimes.base import Runtime
from whet.runtimes.cpu import cpu_digest

__all__ = [
    "SEAL_SUFFIX",
    "Seal",
    "baked",
    "check_seal",
    "is_graph_itself",
    "seal_engine",
    "seal_path",
]

SEAL_SUFFIX = ".seal"
_AGAIN = "Compile it again (a cached engine is rebuilt when its folder is removed)."
_LARGEST_SEAL = 1 << 20


class SealedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of an engine, by its name in the engine's folder."""

    name: str
    size_bytes: int
    sha256: str


class Seal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a compiled engine is bound to."""

    kind: Literal["whet-engine"] = "whet-engine"
    # 1 was also given to blobs of recurrent networks that mix the rows of a batch.
    version: Literal[2] = 2
    runtime: str
    runtime_version: str
    cpu: str
    settings: Settings
    signature: Signature
    files: tuple[SealedFile, ...]


def seal_path(engine: Path) -> Path:
    """Where the seal of an engine's main file lies."""
    return engine.with_name(engine.name + SEAL_SUFFIX)


def baked(runtime: Runtime, settings: Settings) -> Settings:
    """The settings with every field that may still change at `open` set to its default."""
    return Settings(**{name: getattr(settings, name) for name in runtime.bakes})


def is_graph_itself(engine: Path, graph: Artifact) -> bool:
    """Whether ``engine`` is the graph's own file, which no seal covers."""
    return engine.resolve() == graph.file.resolve()


def seal_engine(
    runtime: Runtime,
    engine: Path,
    graph: Artifact,
    settings: Settings,
    *,
    sidecars: Sequence[Path] = (),
) -> Path:
    """Write the seal for a freshly compiled engine and return the engine's path.

    Raises:
        StorageError: the seal can't be written.
    """
    seal = Seal(
        runtime=runtime.name,
        runtime_version=runtime.available().version,
        cpu=cpu_digest(),
        settings=baked(runtime, settings),
        signature=graph.signature,
        files=tuple(_describe(file) for file in (engine, *sidecars)),
    )
    try:
        seal_path(engine).write_bytes(msgspec.json.encode(seal))
    except OSError as error:
        raise StorageError(
            f"The seal of {engine.name} can't be written: {error.strerror}.", "Free some space."
        ) from error
    return engine


def check_seal(runtime: Runtime, engine: Path, graph: Artifact, settings: Settings) -> None:
    """Make sure that an engine is whole and made for this runtime, CPU, graph and settings.

    Raises:
        EngineError: it is missing, damaged or of another build.
    """
    seal = _read(engine)
    for what, have, want in (
        ("the runtime", seal.runtime, runtime.name),
        ("the runtime's version", seal.runtime_version, runtime.available().version),
        ("the CPU's instruction set", seal.cpu, cpu_digest()),
        ("the settings", seal.settings.brief(), baked(runtime, settings).brief()),
        ("the signature", _names(seal.signature), _names(graph.signature)),
    ):
        if have != want:
            raise EngineError(
                f"The engine {engine.name} was compiled for another build: {what} was '{have}',"
                f" here it is '{want}'.",
                _AGAIN,
            )
    for sealed in seal.files:
        _check_file(engine.parent, sealed)


def _read(engine: Path) -> Seal:
    where = seal_path(engine)
    try:
        with where.open("rb") as stream:
            text = stream.read(_LARGEST_SEAL)
        return msgspec.json.decode(text, type=Seal)
    except FileNotFoundError as error:
        missing = where.name if engine.is_file() else engine.name
        raise EngineError(f"The engine's file {missing} is missing.", _AGAIN) from error
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EngineError(f"The seal {where.name} can't be read: {error}.", _AGAIN) from error


def _check_file(folder: Path, sealed: SealedFile) -> None:
    if Path(sealed.name).name != sealed.name:
        raise EngineError(f"The seal names a file outside its folder: '{sealed.name}'.", _AGAIN)
    try:
        found = _describe(folder / sealed.name, expect_bytes=sealed.size_bytes)
    except OSError as error:
        raise EngineError(
            f"The engine's file {sealed.name} can't be read: {error.strerror}.", _AGAIN
        ) from error
    if found != sealed:
        raise EngineError(f"The engine's file {sealed.name} is damaged.", _AGAIN)


def _describe(file: Path, expect_bytes: int | None = None) -> SealedFile:
    size = file.stat().st_size
    if expect_bytes is not None and size != expect_bytes:
        return SealedFile(file.name, size, "")  # differs already; spare the hashing
    with file.open("rb") as stream:
        return SealedFile(file.name, size, hashlib.file_digest(stream, "sha256").hexdigest())


def _names(signature: Signature) -> str:
    return f"{'; '.join(map(str, signature.inputs))} -> {'; '.join(map(str, signature.outputs))}"

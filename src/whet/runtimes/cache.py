"""Compiled engines on disk, so that each is compiled once per machine.

An entry is a folder ``<runtime>/<key>`` that holds what `Runtime.compile`
wrote and its seal. The key is a digest of the graph, the settings that the
runtime bakes in, the CPU's instruction set and the runtime's version. Folders
are written under another name and renamed, so an entry is whole or absent.
Names change hands under a lock on the cache's folder, while compiling needs
none: of two processes that compile the same engine at once, the first to
finish wins and the other takes its result. A damaged entry is found by its
seal and replaced.

Where a runtime compiles ahead but says that for this graph the graph's own file is
the engine, the entry holds only a mark of it, so that nobody has to find out again.

The size is bounded: when an entry is added, those not used for longest go, but
none that was used within the last minutes. Whoever holds an engine's path for
longer than one use says with `renew` that it is in use, and has it compiled
again where that finds it gone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import msgspec

from whet.bundle.disk import locked
from whet.core.artifact import Artifact
from whet.core.scratch import is_scratch, scratch_folder, sweep
from whet.core.settings import Settings
from whet.errors import EngineError, StorageError
from whet.runtimes.base import Runtime, Session, check_settings
from whet.runtimes.cpu import cpu_digest
from whet.runtimes.seal import SEAL_SUFFIX, baked, check_seal, is_graph_itself, seal_path

__all__ = ["DEFAULT_LIMIT_BYTES", "EngineCache", "engine_key", "renew"]

DEFAULT_LIMIT_BYTES = 8 << 30
# An entry used this lately may be about to be opened: a race of engines that are larger than the
# limit together must not evict one to make room for another.
_IN_USE_S = 120.0
# The mark in an entry whose engine is the graph's own file.
_GRAPH_ITSELF = "graph-itself"


def engine_key(runtime: Runtime, graph: Artifact, settings: Settings) -> str:
    """32 hex digits: equal exactly where a compiled engine may be used again."""
    parts = {
        "runtime": runtime.name,
        "version": runtime.available().version,
        "cpu": cpu_digest(),
        "graph": graph.digest(),
        "signature": graph.signature,
        "settings": baked(runtime, settings),
    }
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()[:32]


def renew(engine: Path) -> bool:
    """Say that an engine is in use, so that no cache evicts it soon.

    Args:
        engine: its main file, or a graph's own file, which no cache holds.

    Returns:
        Whether it is still there.
    """
    if not engine.is_file():
        return False
    if seal_path(engine).is_file():
        with contextlib.suppress(OSError):  # evicted meanwhile, or a cache that is only read
            os.utime(engine.parent)
    return engine.is_file()


@final
@dataclass(frozen=True)
class EngineCache:
    """A folder of compiled engines.

    Attributes:
        root: the folder; made when it is needed.
        limit_bytes: least recently used entries go when all together are larger.
            The newest entry and those in use stay even so.
    """

    root: Path
    limit_bytes: int = DEFAULT_LIMIT_BYTES

    def compiled(self, runtime: Runtime, graph: Artifact, settings: Settings) -> Path:
        """The main file of the compiled engine, compiled now unless it was before.

        For a runtime that compiles nothing ahead, or not this graph, it is the graph's own file.

        Raises:
            OptionError: a setting that the runtime doesn't honour.
            EngineError: the runtime could not compile the graph.
            StorageError: the folder can't be written.
        """
        return self._compiled(self._entry(runtime, graph, settings), runtime, graph, settings)

    def opened(self, runtime: Runtime, graph: Artifact, settings: Settings) -> tuple[Session, Path]:
        """A session of the engine, and the engine's main file; compiled now unless it was before.

        Opening checks an engine's seal, so one that is found isn't read twice for it.

        Raises:
            OptionError: a setting that the runtime doesn't honour.
            EngineError: the runtime could not compile the graph, or not open the engine.
            StorageError: the folder can't be written.
        """
        entry = self._entry(runtime, graph, settings)
        for engine in _sealed(entry):
            # Damaged, evicted at this moment, or of no use: the long way finds out, or mends it.
            with contextlib.suppress(EngineError):
                session = runtime.open(engine, graph, settings)
                renew(engine)
                return session, engine
        engine = self._compiled(entry, runtime, graph, settings)
        return runtime.open(engine, graph, settings), engine

    def _entry(self, runtime: Runtime, graph: Artifact, settings: Settings) -> Path:
        check_settings(runtime.name, runtime.honours, settings)
        try:
            return self.root / runtime.name / engine_key(runtime, graph, settings)
        except OSError as error:
            raise EngineError(
                f"The graph {graph.path} can't be read: {error.strerror}.", "Check its files."
            ) from error

    def _compiled(self, entry: Path, runtime: Runtime, graph: Artifact, settings: Settings) -> Path:
        with contextlib.suppress(FileNotFoundError):  # replaced or evicted while we look
            found = _intact(entry, runtime, graph, settings)
            if found is not None:
                os.utime(entry)
                return found
        with _storage(self.root), self._scratch() as folder:
            engine = runtime.compile(graph, settings, folder)
            itself = is_graph_itself(engine, graph)
            if itself and not runtime.bakes:  # it compiles nothing ahead: nothing to remember
                return engine
            if itself:
                (folder / _GRAPH_ITSELF).touch()
            with locked(self.root):
                if _intact(entry, runtime, graph, settings) is None:
                    self._replace(entry, folder)
                self._evict(keep=entry)
        return engine if itself else entry / engine.name

    @contextlib.contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A folder to write into; gone at the end unless it was renamed."""
        self.root.mkdir(parents=True, exist_ok=True)
        with scratch_folder(self.root) as folder:
            yield folder

    def _replace(self, entry: Path, folder: Path) -> None:
        """Give a finished folder its name; what has it now is damaged or absent."""
        entry.parent.mkdir(parents=True, exist_ok=True)
        if entry.exists():
            self._set_aside(entry)
        folder.rename(entry)

    def _set_aside(self, entry: Path) -> None:
        """Remove an entry; renamed first, so that no reader finds half of one."""
        with self._scratch() as aside:
            entry.rename(aside / entry.name)

    def _evict(self, keep: Path) -> None:
        sweep(self.root)  # what compilations that were killed left
        entries = sorted(_entries(self.root), key=_used, reverse=True)
        total, now = _size_bytes(keep), time.time()
        for entry in (entry for entry in entries if entry != keep):
            total += _size_bytes(entry)
            if total > self.limit_bytes and now - _used(entry) > _IN_USE_S:
                self._set_aside(entry)


def _intact(entry: Path, runtime: Runtime, graph: Artifact, settings: Settings) -> Path | None:
    """The entry's main file if there is one and its seal holds, or the graph's own."""
    if (entry / _GRAPH_ITSELF).is_file():
        return graph.file
    for engine in _sealed(entry):
        with contextlib.suppress(EngineError):
            check_seal(runtime, engine, graph, settings)
            return engine
    return None


def _sealed(entry: Path) -> list[Path]:
    """The main files in an entry that have a seal, whether or not it holds."""
    seals = entry.glob(f"*{SEAL_SUFFIX}")
    return [seal.with_name(seal.name.removesuffix(SEAL_SUFFIX)) for seal in seals]


def _entries(root: Path) -> Iterator[Path]:
    """The finished entries; files that aren't ours are left alone."""
    groups = [group for group in root.iterdir() if group.is_dir() and not is_scratch(group)]
    return (entry for group in groups for entry in group.iterdir() if entry.is_dir())


def _used(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:  # another process has just set it aside
        return 0.0


def _size_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


@contextlib.contextmanager
def _storage(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"The engine cache {root} can't be written: {error.strerror or error}.",
            "Free some space, or choose another folder.",
        ) from error

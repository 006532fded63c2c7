"""Where a search keeps what it makes, and how it recognises the same search again.

Everything lies below one folder whose name is a digest of what was given (the
network's bytes, the samples, the transform, the seed) and of the machine with
the versions of its runtimes: an answer that was computed elsewhere, or by an
older runtime, proves nothing here. A stopped search that is started again with
the same inputs finds its exported graph, its decoded samples, its built graphs
and its answers there.

The ledger is shared by all searches of one network, whatever their samples, so
that each finds what the others measured.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from whet.core.places import cache_home, engines_home
from whet.errors import StorageError
from whet.measure.machine import fingerprint
from whet.search.identity import machine_digest

__all__ = ["Workspace", "identity", "shared_ledger"]


class Workspace:
    """The folders of one search.

    Args:
        inputs: what `identity` gave for the network, the samples and options.
        ledger: where the ledger lies; by default inside the folder.
        home: root of all searches; by default below `cache_home`.
    """

    def __init__(self, inputs: str, *, ledger: Path | None, home: Path | None = None) -> None:
        root = home if home is not None else cache_home() / "searches"
        here = machine_digest(fingerprint(ceilings=False, cache=None))
        self.folder = root / f"{inputs[:32]}-{here[:8]}"
        self.ledger = ledger if ledger is not None else self.folder / "ledger.sqlite"
        self.engines = engines_home()
        try:
            for folder in (self.folder, self.ledger.parent, self.engines):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"The folder '{error.filename}' can't be made: {error.strerror}.",
                "Free some space, or name another place with --ledger or WHET_CACHE.",
            ) from error

    def drop_built(self, keep: set[str]) -> None:
        """Delete built graphs other than those named, to give the space back."""
        built = self.folder / "built"
        for folder in built.iterdir() if built.is_dir() else ():
            if folder.name not in keep:
                shutil.rmtree(folder, ignore_errors=True)


def shared_ledger(network: str) -> Path:
    """Where the ledger of a network's searches lies, unless the user names another file.

    Args:
        network: its identity, as `identity` gives it.
    """
    return cache_home() / "ledgers" / f"{network[:32]}.sqlite"


def identity(value: Any) -> str:
    """A digest of something the user gave: a path, arrays, a module, plain data.

    Files are read; of a folder the names, sizes and times of its files count,
    so that a folder of 100 GB isn't read twice. A generator has no identity
    that would survive its use: it gets a random one.
    """
    total = hashlib.sha256()
    _update(total, value)
    return total.hexdigest()


def _update(total: hashlib._Hash, value: Any) -> None:
    if isinstance(value, (str, Path)) and _is_path(value):
        _update_path(total, Path(value))
    elif isinstance(value, np.ndarray):
        total.update(f"array {value.dtype} {value.shape}".encode())
        total.update(np.ascontiguousarray(value).data)
    elif isinstance(value, Mapping):
        for key in sorted(value):
            total.update(f"key {key}".encode())
            _update(total, value[key])
    elif isinstance(value, (tuple, list)):
        for item in value:
            _update(total, item)
    elif value is None or isinstance(value, (str, int, float, bool)):
        total.update(repr(value).encode())
    elif isinstance(value, msgspec.Struct):
        total.update(msgspec.json.encode(value))
    elif _is_module(value):
        total.update(str(value).encode())
        for name, tensor in value.state_dict().items():
            total.update(name.encode())
            _update(total, tensor.detach().cpu().numpy())
    else:
        total.update(os.urandom(16))


def _is_module(value: Any) -> bool:
    return any(kind.__module__ == "torch.nn.modules.module" for kind in type(value).__mro__)


def _is_path(value: str | Path) -> bool:
    """Whether it names a file or folder, perhaps with a ``:function`` or ``#prefix``."""
    text = str(value)
    return len(text) < 4096 and "\0" not in text and Path(_file_part(text)).exists()


def _file_part(text: str) -> str:
    if Path(text).exists():
        return text
    for mark in ("#", ":"):
        head, found, _ = text.rpartition(mark)
        if found and Path(head).exists():
            return head
    return text


def _update_path(total: hashlib._Hash, path: Path) -> None:
    total.update(str(path).encode())
    file = Path(_file_part(str(path)))
    if file.is_dir():
        for member in sorted(p for p in file.rglob("*") if p.is_file()):
            stat = member.stat()
            total.update(f"{member.relative_to(file)} {stat.st_size} {stat.st_mtime_ns}".encode())
        return
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            total.update(chunk)

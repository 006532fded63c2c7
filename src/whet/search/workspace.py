"""Where a search keeps what it makes.

Everything lies below one folder whose name is a digest of what the search works
on (the exported graph with its weights, the decoded samples, the seed) and of
the machine with the versions of its runtimes: an answer that was computed
elsewhere, or by an older runtime, proves nothing here. A stopped search that is
started again finds its built graphs and its answers there, and one whose
network was trained again meanwhile finds another folder
(`docs/adr/0008-known-by-what-was-made.md`).

The ledger is shared by all searches of one graph, whatever their samples, so
that each finds what the others measured.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from whet.core.places import cache_home, engines_home
from whet.errors import StorageError
from whet.measure.machine import fingerprint
from whet.search.identity import machine_digest

__all__ = ["Workspace", "arrivals", "here", "make_folders", "shared_ledger", "unwritable"]


class Workspace:
    """The folders of one search.

    Args:
        content: digest of everything that the search works on.
        ledger: where the ledger lies; by default inside the folder.
        home: root of all searches; by default below `cache_home`.

    Raises:
        StorageError: a folder can't be made.
    """

    def __init__(self, content: str, *, ledger: Path | None, home: Path | None = None) -> None:
        root = home if home is not None else cache_home() / "searches"
        self.folder = root / f"{content[:32]}-{here()[:8]}"
        self.ledger = ledger if ledger is not None else self.folder / "ledger.sqlite"
        self.engines = engines_home()
        make_folders(self.folder, self.ledger.parent, self.engines)

    def drop_built(self, keep: set[str]) -> None:
        """Delete built graphs other than those named, to give the space back."""
        built = self.folder / "built"
        for folder in built.iterdir() if built.is_dir() else ():
            if folder.name not in keep:
                shutil.rmtree(folder, ignore_errors=True)


def here() -> str:
    """A digest of this machine and the versions of its runtimes."""
    return machine_digest(fingerprint(ceilings=False, cache=None))


def arrivals() -> Path:
    """Where exports and samples lie until it is known what they are."""
    return cache_home() / "arrivals"


def shared_ledger(graph: str) -> Path:
    """Where the ledger of a graph's searches lies, unless the user names another file.

    Args:
        graph: digest of the exported graph.
    """
    return cache_home() / "ledgers" / f"{graph[:32]}.sqlite"


def make_folders(*folders: Path) -> None:
    """Make folders that a search needs.

    Raises:
        StorageError: one can't be made.
    """
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The folder '{error.filename}' can't be made: {error.strerror}.",
            "Free some space, or name another place with --ledger or WHET_CACHE.",
        ) from error


def unwritable(where: Path, error: OSError) -> StorageError:
    """What to say where something can't be written into the cache."""
    return StorageError(
        f"'{where}' can't be written: {error.strerror}.",
        "Free some space, or name another place with WHET_CACHE.",
    )

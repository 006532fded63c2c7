"""Where a search keeps what it makes.

Everything lies below one folder whose name is a digest of what the search works
on (the exported graph with its weights, the decoded samples, the seed) and of
the machine with the versions of its runtimes: an answer that was computed
elsewhere, or by an older runtime, proves nothing here. A stopped search that is
started again finds its built graphs and its answers there, and one whose
network was trained again meanwhile finds another folder
(`docs/adr/0008-known-by-what-was-made.md`).

One search at a time works there. Folders that no search has used for a month go
when another search begins, unless their lock is held.

The ledger is shared by all searches of one graph, whatever their samples, so
that each finds what the others measured. It is small and stays however old: it
alone knows which certify samples were asked before.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from whet.core.places import cache_home, engines_home
from whet.errors import StorageError
from whet.measure.machine import fingerprint
from whet.search.ledger.holding import hold
from whet.search.ledger.identity import machine_digest

__all__ = [
    "GONE",
    "OLD_S",
    "Workspace",
    "arrivals",
    "here",
    "make_folders",
    "shared_ledger",
    "unwritable",
]


_LOCK = "search.lock"
OLD_S = 30 * 86_400.0
GONE = ".gone-"  # begins the name of what is being removed


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

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other searches out of the folder, whatever ledger they have.

        Raises:
            StorageError: another search is in it, or it can't be written.
        """
        try:
            handle = hold(self.folder / _LOCK)
        except FileNotFoundError:  # cleaned away since it was made
            make_folders(self.folder)
            with self.held():
                yield
            return
        except OSError as error:
            raise unwritable(self.folder, error) from error
        if isinstance(handle, str):
            raise StorageError(
                f"A search on the same network and samples is running: {handle} holds"
                f" '{self.folder}'.",
                "Wait until that search ends, stop it, or give this one another WHET_CACHE.",
            )
        try:
            yield
        finally:
            os.close(handle)

    def clean(self, now_s: float | None = None) -> int:
        """Remove the folders of searches that nobody went on with; returns how many.

        What the compiler wrote as long ago goes too; it is made again where it is wanted.

        Args:
            now_s: seconds since the epoch; by default this moment.
        """
        before_s = (time.time() if now_s is None else now_s) - OLD_S
        removed = 0
        for folder in self.folder.parent.iterdir():
            with contextlib.suppress(OSError):  # another search cleans too, or it isn't ours
                removed += folder.is_dir() and folder != self.folder and _removed(folder, before_s)
        for file in (cache_home() / "inductor").rglob("*"):
            with contextlib.suppress(OSError):
                if file.is_file() and file.stat().st_mtime < before_s:
                    file.unlink()
        return removed

    def drop_built(self, keep: set[str]) -> None:
        """Delete built graphs other than those named, to give the space back; only while held."""
        built = self.folder / "built"
        for folder in built.iterdir() if built.is_dir() else ():
            if folder.name not in keep:
                shutil.rmtree(folder, ignore_errors=True)


def _removed(folder: Path, before_s: float) -> bool:
    if folder.name.startswith(GONE):  # its owner was killed while it cleaned
        shutil.rmtree(folder, ignore_errors=True)
        return True
    lock = folder / _LOCK
    if (lock if lock.exists() else folder).stat().st_mtime > before_s:
        return False
    handle = hold(lock)
    if isinstance(handle, str):
        return False
    try:
        # Renamed first: whoever is killed here must not leave half of a folder to go on with.
        gone = folder.rename(folder.with_name(GONE + folder.name))
        shutil.rmtree(gone, ignore_errors=True)
    finally:
        os.close(handle)
    return True


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

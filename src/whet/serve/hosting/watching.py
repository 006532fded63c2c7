"""Bundles that are loaded again when a new one lies in their place."""

from __future__ import annotations

import asyncio
from pathlib import Path

from whet.bundle.check import MANIFEST
from whet.errors import ServeError
from whet.serve.hosting.sources import Sources

__all__ = ["watched"]

_EVERY_S = 1.0  # asked for its name a folder costs microseconds

_Stamp = tuple[int, int] | None


async def watched(sources: Sources) -> None:
    """Look after folders until cancelled.

    A bundle is written beside its place and renamed into it, so a new manifest is that of a whole
    bundle. One that can't be loaded is told once, and what answered goes on.

    Args:
        sources: that load models.
    """
    folders = sources.folders
    seen = {name: _stamp(folder) for name, folder in folders.items()}
    while True:
        await asyncio.sleep(_EVERY_S)
        for name, folder in folders.items():
            now = _stamp(folder)
            if now is None or now == seen[name]:
                continue
            seen[name] = now
            if not sources.serves(name):  # it was unloaded, and stays so
                continue
            try:
                await sources.load(name)
            except ServeError:
                continue  # told where it was tried


def _stamp(folder: Path) -> _Stamp:
    """What a new manifest has otherwise; ``None`` while there is none."""
    try:
        status = (folder / MANIFEST).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns

"""Where whet keeps what can be made again: compiled engines, searches, ceilings."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_home", "engines_home", "inductor_home"]


def cache_home() -> Path:
    """``$WHET_CACHE``, else ``$XDG_CACHE_HOME/whet``, else ``~/.cache/whet``."""
    own = os.environ.get("WHET_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "whet"


def engines_home() -> Path:
    """The folder of the cache of compiled engines."""
    return cache_home() / "engines"


def inductor_home() -> str:
    """Where Inductor keeps what it generates: the user's own choice, else a folder of the cache.

    Left to itself it makes one in the temporary folder, which nobody cleans.
    """
    return os.environ.get("TORCHINDUCTOR_CACHE_DIR") or str(cache_home().absolute() / "inductor")

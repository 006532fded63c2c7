"""Whether a package is installed and in which version, without importing it."""

from __future__ import annotations

import importlib.metadata

from whet._optional import installed
from whet.runtimes.base import Availability

__all__ = ["availability"]


def availability(package: str, extra: str) -> Availability:
    """Look a package up.

    Args:
        package: its top-level module.
        extra: the extra of whet that brings it, for the reason.
    """
    if not installed(package):
        return Availability(
            ok=False, reason=f"{package} is not installed (pip install 'whet[{extra}]')"
        )
    try:
        return Availability(ok=True, version=importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        # The module may come from a distribution of another name (a vendor's build).
        for name in importlib.metadata.packages_distributions().get(package, ()):
            return Availability(ok=True, version=f"{name} {importlib.metadata.version(name)}")
    return Availability(ok=False, reason=f"{package} has no version and can't be told apart")

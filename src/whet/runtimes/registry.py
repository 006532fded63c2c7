"""The runtimes by name, and which of them can be used here."""

from __future__ import annotations

from whet.core.registry import names, resolve
from whet.runtimes.base import Availability, Runtime

__all__ = ["available", "get"]


def get(name: str) -> Runtime:
    """The runtime of that name, whether or not it can be used here.

    Raises:
        OptionError: no such runtime.
    """
    runtime: Runtime = resolve("runtime", name)()
    return runtime


def available() -> dict[str, Availability]:
    """Every registered runtime and whether it can be used here; imports none of them."""
    return {name: get(name).available() for name in names("runtime")}

"""The runtime that a variant was made for."""

from __future__ import annotations

import msgspec

from whet.bundle.manifest import Variant
from whet.core.registry import names
from whet.core.settings import Settings
from whet.errors import RuntimeUnavailableError
from whet.runtimes.base import Runtime
from whet.runtimes.registry import get

__all__ = ["fewer_threads", "runtime_of"]


def runtime_of(variant: Variant) -> Runtime:
    """The runtime that a variant was made for; whether it is installed shows when it is used.

    Raises:
        RuntimeUnavailableError: this whet doesn't know it.
    """
    if variant.runtime not in names("runtime"):
        raise RuntimeUnavailableError(
            f"The variant '{variant.name}' needs the runtime '{variant.runtime}', which this whet"
            " doesn't know.",
            "Install the whet that made the bundle, or choose another variant.",
        )
    return get(variant.runtime)


def fewer_threads(settings: Settings, most: int | None) -> Settings:
    """Settings for fewer cores than they were tuned for: more threads than cores only wait."""
    if most is None or settings.threads <= most:
        return settings
    return msgspec.structs.replace(settings, threads=most)

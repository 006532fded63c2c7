"""The two interfaces that every runtime implements, and what they promise.

`whet.testing.runtime_contract` holds an implementation to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Protocol, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.core.artifact import Artifact, Format
from whet.core.evidence import LayerTime
from whet.core.settings import Settings
from whet.core.spec import Arrays, Signature
from whet.errors import OptionError

__all__ = ["Availability", "Runtime", "Session", "check_settings"]


class Availability(msgspec.Struct, frozen=True):
    """Whether a runtime can be used here, its version, and why not."""

    ok: bool
    version: str = ""
    reason: str = ""


class Session(Protocol):
    """A loaded engine. A context manager; closing twice is allowed.

    ``run`` may be called from several threads at once.
    """

    signature: Signature

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Arrays:
        """Answer one request; the arrays returned belong to the caller."""
        ...

    def layers(self, inputs: Mapping[str, NDArray[np.generic]]) -> tuple[LayerTime, ...]:
        """Profile one request layer by layer; empty where the runtime can't."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class Runtime(Protocol):
    """One engine: compiles graphs ahead of time and opens them.

    Attributes:
        name: the registered name, e.g. ``"openvino"``.
        reads: formats that `compile` takes.
        honours: fields of `Settings` that have an effect here; a non-default
            value of any other is refused with `OptionError`.
        bakes: those of them that are fixed when an engine is compiled; the rest
            may differ each time it is opened. Caches key by these only.
    """

    name: ClassVar[str]
    reads: ClassVar[frozenset[Format]]
    honours: ClassVar[frozenset[str]]
    bakes: ClassVar[frozenset[str]]

    def available(self) -> Availability:
        """Whether this runtime can be used here, without raising."""
        ...

    def compile(self, graph: Artifact, settings: Settings, where: Path) -> Path:
        """Write a compiled engine into the folder ``where`` and return its main file.

        The result is bound to this CPU and these versions; callers key their
        cache accordingly. Runtimes that can't compile ahead return the graph's own file, and
        so do those whose compiled form of this graph would not answer as the graph does.

        Raises:
            UnsupportedOperatorError: the runtime doesn't know an operator.
            EngineError: anything else that the runtime refused.
            OptionError: a setting that this runtime doesn't honour.
        """
        ...

    def open(self, engine: Path, graph: Artifact, settings: Settings) -> Session:
        """Open a file that `compile` wrote (or the graph's own file).

        Raises:
            EngineError: the file is missing, corrupted or of another build.
        """
        ...


def check_settings(runtime: str, honours: frozenset[str], settings: Settings) -> None:
    """Refuse settings that ``runtime`` would ignore.

    Raises:
        OptionError: names the fields.
    """
    ignored = settings.changed() - honours
    if ignored:
        raise OptionError(
            f"The runtime '{runtime}' doesn't honour {', '.join(sorted(ignored))}.",
            f"Leave them out; it honours {', '.join(sorted(honours))}.",
        )
    for name in ("threads", "streams"):
        if getattr(settings, name) < 1:
            raise OptionError(f"{name}={getattr(settings, name)} can't run.", "Give 1 or more.")

"""The models of a server by name and version: which are there, and which answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import final

from whet.errors import UnknownModelError
from whet.serve.hosting.counts import Counts, statistics_of
from whet.serve.hosting.hosted import Hosted

__all__ = ["Entry", "Repository"]


@dataclass
class Entry:
    """One version of a model, and what it did."""

    hosted: Hosted
    counts: Counts = field(default_factory=Counts)


@final
class Repository:
    """Models by name, of each its versions; the last one answers where none is named.

    Attributes:
        open: whether requests are to be sent here.
    """

    def __init__(self) -> None:
        self.open = False
        self._models: dict[str, dict[str, Entry]] = {}

    def __iter__(self) -> Iterator[Entry]:
        for versions in self._models.values():
            yield from versions.values()

    @property
    def ready(self) -> bool:
        """Whether requests are to be sent here, and all models would answer them."""
        return self.open and all(entry.hosted.answers for entry in self)

    def put(self, hosted: Hosted) -> Hosted | None:
        """Let a model answer; what answered under its name and version before."""
        versions = self._models.setdefault(hosted.name, {})
        before = versions.pop(hosted.version, None)
        versions[hosted.version] = Entry(hosted, before.counts if before else Counts())
        return before.hosted if before else None

    def drop(self, name: str) -> tuple[Hosted, ...]:
        """Forget a model; what answered under its name.

        Raises:
            UnknownModelError: there is none.
        """
        if name not in self._models:
            raise _unknown(name, "")
        return tuple(entry.hosted for entry in self._models.pop(name).values())

    def find(self, name: str, version: str = "") -> Entry:
        """The one that answers.

        Raises:
            UnknownModelError: there is none of that name or version.
        """
        versions = self._models.get(name, {})
        entry = versions.get(version) if version else next(reversed(versions.values()), None)
        if entry is None:
            raise _unknown(name, version)
        return entry

    def statistics(self, name: str = "", version: str = "") -> list[dict[str, object]]:
        """What a model did, as the protocol has it; what all did, where none is named.

        Raises:
            UnknownModelError: there is none of that name or version.
        """
        return [
            statistics_of(entry.hosted.name, entry.hosted.version, entry.counts)
            for entry in ([self.find(name, version)] if name else self)
        ]

    def versions(self, name: str) -> tuple[str, ...]:
        """All versions of a model, in the order in which they came."""
        return tuple(self._models.get(name, {}))


def _unknown(name: str, version: str) -> UnknownModelError:
    which = f" version '{version[:64]}'" if version else ""
    return UnknownModelError(
        f"Request for unknown model: '{name[:128]}'{which} is not found.",
        "Ask for the repository's index to see what is there.",
    )

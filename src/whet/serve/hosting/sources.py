"""Models that are opened, opened again and let go while the server answers: no gap, no lost request.

A new one is opened, warmed and replayed beside the old one; only then does it answer, and the old one
ends what it has begun. One that can't be opened changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

from whet.errors import ServeError, UnknownModelError
from whet.serve.hosting.hosted import Hosted, Hosting, host
from whet.serve.hosting.repository import Repository
from whet.serve.logs import EVENTS

__all__ = ["Sources"]


@final
class Sources:
    """Where the models of a repository come from.

    Args:
        folders: of bundles by the models' names; no client can name another one.
        hosting: how each is served.
        repository: that answers.
        drain_s: for what an old one has begun.

    Attributes:
        folders: as they were given.
        repository: see above.
    """

    def __init__(
        self,
        folders: Mapping[str, Path],
        hosting: Hosting,
        repository: Repository,
        *,
        drain_s: float,
    ) -> None:
        self.folders: Mapping[str, Path] = dict(folders)
        self._hosting = hosting
        self.repository = repository
        self._drain_s = drain_s
        self._loading = asyncio.Lock()
        self._ending: set[asyncio.Task[bool]] = set()
        self._reasons: dict[str, str] = {}

    def index(self) -> list[dict[str, str]]:
        """All models, with those that don't answer, as the protocol lists them."""
        found = []
        for name in self.folders:
            versions = self.repository.versions(name)
            state = "READY" if versions else "UNAVAILABLE"
            reason = "" if versions else self._reasons.get(name, "unloaded")
            found += [
                {"name": name, "version": version, "state": state, "reason": reason}
                for version in versions or ("1",)
            ]
        return found

    def serves(self, name: str) -> bool:
        """Whether a model of that name answers."""
        return bool(self.repository.versions(name))

    async def load(self, name: str) -> None:
        """Open a model anew and let it answer in the place of the old one.

        Raises:
            UnknownModelError: there is none of that name.
            ServeError: it can't be opened; what answered goes on.
        """
        folder = self._known(name)
        async with self._loading:
            try:
                hosted = await asyncio.to_thread(host, folder, self._hosting, name=name)
            except Exception as error:
                self._reasons[name] = "failed to load"
                EVENTS.error("a model failed to load", extra={"model": name, "reason": str(error)})
                raise ServeError(f"failed to load '{name}', which goes on as it was.") from error
            self._reasons.pop(name, None)
            before = self.repository.put(hosted)
            EVENTS.info("a model was loaded", extra={"model": name})
        if before is not None:
            self._end([before])

    async def unload(self, name: str) -> None:
        """Let a model answer no more; what it has begun it ends.

        Raises:
            UnknownModelError: there is none of that name.
        """
        self._known(name)
        async with self._loading:  # what is being loaded is unloaded too
            if self.repository.versions(name):
                self._end(self.repository.drop(name))
                EVENTS.info("a model was unloaded", extra={"model": name})

    async def close(self) -> bool:
        """End all models; whether all that was there by then got its answer."""
        held = [entry.hosted for entry in self.repository]
        ended = [await hosted.close(self._drain_s) for hosted in held]
        others = await asyncio.gather(*self._ending)
        return all(ended) and all(others)

    def _known(self, name: str) -> Path:
        folder = self.folders.get(name)
        if folder is None:
            raise UnknownModelError(
                f"Request for unknown model: '{name}' is not found.", "See the repository's index."
            )
        return folder

    def _end(self, old: Sequence[Hosted]) -> None:
        """Beside all else: nobody waits for an old model to end."""
        for hosted in old:
            task = asyncio.ensure_future(hosted.close(self._drain_s))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

"""What is told of the server and its models: everything that is asked for without an inference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

import msgspec

from whet.monitor.exposition.negotiation import exposed
from whet.serve.described import config_of, model_metadata, regions_of, server_metadata
from whet.serve.hosting.repository import Repository
from whet.serve.hosting.sources import Sources
from whet.serve.http.compat import tensorflow
from whet.serve.http.exchange import Reply
from whet.serve.http.openapi import description
from whet.serve.http.routes import Route
from whet.serve.metrics import Metrics
from whet.serve.wire.regions import Regions, need_regions

__all__ = ["Told"]


@final
class Told:
    """Answers by the names of routes.

    Args:
        repository: the models.
        sources: where they come from; ``None`` where they stay as they are.
        name: of the server.
        regions: of shared memory; ``None`` where there are none.
    """

    def __init__(
        self,
        repository: Repository,
        sources: Sources | None,
        name: str,
        regions: Regions | None = None,
    ) -> None:
        self._repository = repository
        self._sources = sources
        self._regions = regions
        self._metrics = Metrics(repository)
        self._answers: dict[str, Callable[[Route, Mapping[bytes, bytes]], Reply]] = {
            "live": lambda *_: _json({"live": True}),
            "ready": self._is_ready,
            "ping": self._ping,
            "server": lambda *_: _json(server_metadata(name, shared_memory=regions is not None)),
            "shm_status": self._shm_status,
            "model": self._model,
            "model_ready": self._model_ready,
            "config": self._config,
            "model_stats": self._stats,
            "all_stats": self._stats,
            "index": self._index,
            "metrics": self._exposed,
            "openapi": lambda *_: _json(description(name)),
            "v1_status": self._v1_status,
            "v1_metadata": self._v1_metadata,
        }

    def __contains__(self, name: object) -> bool:
        return name in self._answers

    def answer(self, route: Route, headers: Mapping[bytes, bytes]) -> Reply:
        """What a route asks for.

        Raises:
            UnknownModelError: there is no such model.
        """
        return self._answers[route.name](route, headers)

    def _is_ready(self, *_: object) -> Reply:
        ready = self._repository.ready
        return _json({"ready": ready}, 200 if ready else 503)

    def _ping(self, *_: object) -> Reply:
        ready = self._repository.ready
        return _json({"status": "Healthy" if ready else "Unhealthy"}, 200 if ready else 503)

    def _model(self, route: Route, _: object) -> Reply:
        hosted = self._repository.find(route.model, route.version).hosted
        return _json(model_metadata(hosted, self._repository.versions(route.model)))

    def _model_ready(self, route: Route, _: object) -> Reply:
        hosted = self._repository.find(route.model, route.version).hosted
        ready = hosted.answers
        return _json({"name": hosted.name, "ready": ready}, 200 if ready else 503)

    def _config(self, route: Route, _: object) -> Reply:
        return _json(config_of(self._repository.find(route.model, route.version).hosted))

    def _stats(self, route: Route, _: object) -> Reply:
        return _json({"model_stats": self._repository.statistics(route.model, route.version)})

    def _index(self, *_: object) -> Reply:
        if self._sources is not None:
            return _json(self._sources.index())
        return _json(
            [
                {"name": e.hosted.name, "version": e.hosted.version, "state": "READY", "reason": ""}
                for e in self._repository
            ]
        )

    def _exposed(self, _: Route, headers: Mapping[bytes, bytes]) -> Reply:
        accept = headers.get(b"accept", b"").decode("latin-1")
        kind, text = exposed(self._metrics.families(), accept)
        return Reply(200, (text,), ((b"content-type", kind.encode()),))

    def _shm_status(self, route: Route, _: object) -> Reply:
        return _json(regions_of(need_regions(self._regions).status(route.model)))

    def _v1_status(self, route: Route, _: object) -> Reply:
        self._repository.find(route.model, route.version)
        every = self._repository.versions(route.model)
        return _json(tensorflow.status_of((route.version,) if route.version else every))

    def _v1_metadata(self, route: Route, _: object) -> Reply:
        hosted = self._repository.find(route.model, route.version).hosted
        signature = hosted.manifest.signature
        return _json(tensorflow.metadata_of(hosted.name, hosted.version, signature))


def _json(value: object, status: int = 200) -> Reply:
    return Reply(status, (msgspec.json.encode(value),))

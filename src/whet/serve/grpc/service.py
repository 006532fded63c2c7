"""The protocol's calls: each asks the models, and writes what they say."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, final

from whet._optional import require
from whet.errors import RequestError, ServeError, UnknownModelError
from whet.serve.described import config_of, model_metadata, regions_of, server_metadata
from whet.serve.grpc.messages import message
from whet.serve.grpc.refusals import refused
from whet.serve.grpc.translated import request_of, response_of
from whet.serve.hosting.sources import Sources
from whet.serve.inference import infer
from whet.serve.logs import EVENTS
from whet.serve.wire.limits import Limits
from whet.serve.wire.regions import Region, Regions, need_regions

__all__ = ["Service"]

_AT_ONCE = 64  # requests of one stream that are under way


@final
class Service:
    """Models over gRPC.

    Args:
        sources: from which models come, and can be loaded again.
        name: of the server.
        limits: on requests.
        control: whether clients may have models loaded again and unloaded.
        regions: of shared memory that clients may use; ``None`` where they may not.
    """

    def __init__(
        self,
        sources: Sources,
        *,
        name: str,
        limits: Limits,
        control: bool,
        regions: Regions | None = None,
    ) -> None:
        self._repository = sources.repository
        self._sources = sources
        self._name = name
        self._limits = limits
        self._control = control
        self._regions = regions

    def handlers(self) -> list[Any]:
        """What gRPC's server is given: all calls by their names."""
        calls: dict[str, Callable[[Any, Any], Awaitable[Any]]] = {
            "ServerLive": self._live,
            "ServerReady": self._is_ready,
            "ServerMetadata": self._server,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model,
            "ModelInfer": self._infer,
            "ModelConfig": self._config,
            "ModelStatistics": self._statistics,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
            "SystemSharedMemoryStatus": self._shm_status,
            "SystemSharedMemoryRegister": self._shm_register,
            "SystemSharedMemoryUnregister": self._shm_unregister,
        }
        grpc = require("grpc", "speak gRPC")
        methods = {name: self._unary(f"inference.{name}", call) for name, call in calls.items()}
        methods["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
            self._stream,
            request_deserializer=message("inference.ModelInferRequest").FromString,
            response_serializer=message("inference.ModelStreamInferResponse").SerializeToString,
        )
        health = {"Check": self._unary("grpc.health.v1.HealthCheck", self._check)}
        return [
            grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods),
            grpc.method_handlers_generic_handler("grpc.health.v1.Health", health),
        ]

    def _unary(self, name: str, call: Callable[[Any, Any], Awaitable[Any]]) -> Any:
        """A call whose errors have a code, and whose faults say nothing of our insides."""
        grpc = require("grpc", "speak gRPC")

        async def called(request: Any, context: Any) -> Any:
            try:
                return await call(request, context)
            except ServeError as error:
                return await refused(context, error)
            except Exception:  # noqa: BLE001 (clients hear nothing of its insides)
                EVENTS.exception("a request failed")
                return await context.abort(grpc.StatusCode.INTERNAL, "Something went wrong here.")

        return grpc.unary_unary_rpc_method_handler(
            called,
            request_deserializer=message(f"{name}Request").FromString,
            response_serializer=message(f"{name}Response").SerializeToString,
        )

    async def _live(self, _: Any, __: Any) -> Any:
        return message("inference.ServerLiveResponse")(live=True)

    async def _is_ready(self, _: Any, __: Any) -> Any:
        return message("inference.ServerReadyResponse")(ready=self._repository.ready)

    async def _check(self, request: Any, _: Any) -> Any:
        """Of the server as a whole, or of a model by its name."""
        ready = self._repository.ready
        if request.service not in {"", "inference.GRPCInferenceService"}:
            ready = self._repository.open and self._repository.find(request.service).hosted.answers
        status = "SERVING" if ready else "NOT_SERVING"
        return message("grpc.health.v1.HealthCheckResponse")(status=status)

    async def _server(self, _: Any, __: Any) -> Any:
        return _message_of(
            "inference.ServerMetadataResponse",
            server_metadata(self._name, shared_memory=self._regions is not None),
        )

    async def _model_ready(self, request: Any, _: Any) -> Any:
        try:
            ready = self._repository.find(request.name, request.version).hosted.answers
        except UnknownModelError:
            ready = False
        return message("inference.ModelReadyResponse")(ready=ready)

    async def _model(self, request: Any, _: Any) -> Any:
        hosted = self._repository.find(request.name, request.version).hosted
        told = model_metadata(hosted, self._repository.versions(request.name))
        return _message_of("inference.ModelMetadataResponse", told)

    async def _config(self, request: Any, _: Any) -> Any:
        hosted = self._repository.find(request.name, request.version).hosted
        return _message_of("inference.ModelConfigResponse", {"config": config_of(hosted)})

    async def _statistics(self, request: Any, _: Any) -> Any:
        stats = self._repository.statistics(request.name, request.version)
        return _message_of("inference.ModelStatisticsResponse", {"model_stats": stats})

    async def _index(self, _: Any, __: Any) -> Any:
        told = {"models": self._sources.index()}
        return _message_of("inference.RepositoryIndexResponse", told)

    async def _load(self, request: Any, _: Any) -> Any:
        self._need_control()
        await self._sources.load(request.model_name)
        return message("inference.RepositoryModelLoadResponse")()

    async def _unload(self, request: Any, _: Any) -> Any:
        self._need_control()
        await self._sources.unload(request.model_name)
        return message("inference.RepositoryModelUnloadResponse")()

    async def _shm_status(self, request: Any, _: Any) -> Any:
        regions = regions_of(need_regions(self._regions).status(request.name))
        told = {"regions": {region["name"]: region for region in regions}}
        return _message_of("inference.SystemSharedMemoryStatusResponse", told)

    async def _shm_register(self, request: Any, _: Any) -> Any:
        region = Region(request.name, request.key, request.offset, request.byte_size)
        need_regions(self._regions).register(region)
        return message("inference.SystemSharedMemoryRegisterResponse")()

    async def _shm_unregister(self, request: Any, _: Any) -> Any:
        need_regions(self._regions).unregister(request.name)
        return message("inference.SystemSharedMemoryUnregisterResponse")()

    def _need_control(self) -> None:
        if not self._control:
            raise RequestError(
                "Models aren't changed from here.", "Start it with --model-control.", status=501
            )

    async def _infer(self, asked: Any, context: Any) -> Any:
        arrived_s = time.monotonic()
        entry = self._repository.find(asked.model_name, asked.model_version)
        remaining_s = context.time_remaining()
        try:
            answer = await infer(
                entry,
                request_of(asked, self._limits, self._regions),
                arrived_s=arrived_s,
                within_s=math.inf if remaining_s is None else remaining_s,
            )
            return response_of(answer, self._regions)
        except ServeError as error:
            entry.counts.failed(error, time.monotonic() - arrived_s)
            raise
        except asyncio.CancelledError:
            entry.counts.left()
            raise

    async def _stream(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        """Requests of a stream run side by side and are answered in their order."""
        ends: asyncio.Queue[asyncio.Task[Any] | None] = asyncio.Queue()
        room = asyncio.Semaphore(_AT_ONCE)

        async def read() -> None:
            try:
                async for asked in requests:
                    await room.acquire()
                    ends.put_nowait(asyncio.ensure_future(self._streamed(asked, context)))
            finally:
                ends.put_nowait(None)

        reader = asyncio.ensure_future(read())
        try:
            while (end := await ends.get()) is not None:
                yield await end
                room.release()
        finally:
            reader.cancel()
            while not ends.empty():
                if (left := ends.get_nowait()) is not None:
                    left.cancel()

    async def _streamed(self, asked: Any, context: Any) -> Any:
        response = message("inference.ModelStreamInferResponse")
        try:
            return response(infer_response=await self._infer(asked, context))
        except ServeError as error:
            return response(error_message=str(error))
        except Exception:  # noqa: BLE001 (a fault of ours must not end the stream of others)
            EVENTS.exception("a request failed")
            return response(error_message="Something went wrong here.")


def _message_of(name: str, told: Mapping[str, object]) -> Any:
    """A message of what is told as JSON; what only JSON has is left out."""
    parse = require("google.protobuf.json_format", "speak gRPC").ParseDict
    return parse(told, message(name)(), ignore_unknown_fields=True)

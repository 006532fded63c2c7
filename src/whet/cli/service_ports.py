"""What the command line hands to and takes from the verbs on services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypedDict

if TYPE_CHECKING:
    from whet.core.evidence import Percentile, Verdict

__all__ = ["ServeOptions", "ServiceBench", "ServiceLoad"]


class ServeOptions(TypedDict):
    """How bundles are served; see `whet.serve`."""

    host: str
    port: int
    uds: str | None
    grpc_port: int | None
    admin_port: int | None
    tls_cert: str | None
    tls_key: str | None
    deadline_ms: float | None
    variants: tuple[str, ...] | None
    most_rows: int
    workers: int
    isolated: bool
    keys: tuple[str, ...] | None
    server_name: str
    model_control: bool
    watch: bool
    shared_memory: bool
    drain_s: float
    access_log: bool
    log_format: str
    trust_code: bool


class ServiceLoad(Protocol):
    """One load on a service, and what came of it."""

    @property
    def requests(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def offered_per_s(self) -> float: ...
    @property
    def answered_per_s(self) -> float: ...
    @property
    def goodput_per_s(self) -> float: ...
    @property
    def limit_ms(self) -> float | None: ...
    @property
    def endings(self) -> Mapping[str, int]: ...
    @property
    def percentiles(self) -> tuple[Percentile, ...]: ...
    @property
    def refused_ms(self) -> float | None: ...
    @property
    def max_ms(self) -> float: ...
    @property
    def behind_ms(self) -> float: ...
    @property
    def variants(self) -> Mapping[str, int]: ...
    @property
    def verdict(self) -> Verdict | None: ...
    @property
    def percentile(self) -> float: ...


class ServiceBench(Protocol):
    """What `bench_service` gives back."""

    @property
    def model(self) -> str: ...
    @property
    def loads(self) -> Sequence[ServiceLoad]: ...
    @property
    def highest_per_s(self) -> float | None: ...

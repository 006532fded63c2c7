"""What the verbs use of `whet`, so that tests can give them another one."""

from __future__ import annotations

import argparse
import importlib
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, Unpack, cast

from whet.cli.service_ports import ServeOptions, ServiceBench, ServiceLoad

if TYPE_CHECKING:
    from whet.bundle.golden import GoldenResult
    from whet.bundle.manifest import LatencySummary, Manifest
    from whet.core.contract import Contract
    from whet.core.evidence import Evidence, Latency, Percentile, Verdict
    from whet.core.note import Note
    from whet.core.spec import Arrays
    from whet.core.standing import Standing
    from whet.data.text import Pairs
    from whet.errors import WhetError
    from whet.measure.scenarios import Outcome as LoadOutcome
    from whet.optimize.recipes.written import WrittenRecipe
    from whet.search.applied import Cost, Deviation
    from whet.search.events import Event
    from whet.serve.clauses import ClauseHere

__all__ = [
    "Api",
    "Applied",
    "Bench",
    "Check",
    "GetApi",
    "Inspection",
    "Loaded",
    "Outcome",
    "Verbs",
    "Verification",
    "the_api",
]


class Verbs(Protocol):
    """Where a verb adds its parser."""

    def add_parser(self, name: str, **options: Any) -> argparse.ArgumentParser: ...


class Outcome(Protocol):
    """What `optimize` gives back."""

    @property
    def evidence(self) -> Evidence: ...
    @property
    def bundle(self) -> Path | None: ...
    @property
    def exit_code(self) -> int: ...


class Loaded(Protocol):
    """An open bundle."""

    def run(self, inputs: Any) -> Arrays: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...


class Check(Protocol):
    """What `verify` says of one variant."""

    @property
    def variant(self) -> str: ...
    @property
    def standing(self) -> Standing: ...
    @property
    def results(self) -> tuple[GoldenResult, ...]: ...
    @property
    def error(self) -> WhetError | None: ...
    @property
    def exits(self) -> str: ...


class Verification(Protocol):
    """What `verify` gives back."""

    @property
    def ok(self) -> bool: ...
    @property
    def standing(self) -> Standing: ...
    @property
    def variant(self) -> str: ...
    @property
    def checks(self) -> tuple[Check, ...]: ...
    @property
    def differences(self) -> tuple[Note, ...]: ...
    @property
    def machine_same(self) -> bool: ...
    @property
    def expected(self) -> LatencySummary | None: ...
    @property
    def latency(self) -> Latency | None: ...
    @property
    def notes(self) -> tuple[Note, ...]: ...
    @property
    def made(self) -> Evidence | None: ...
    @property
    def clauses(self) -> tuple[ClauseHere, ...]: ...
    @property
    def kept(self) -> Verdict | None: ...
    @property
    def far_off(self) -> str: ...


class Inspection(Protocol):
    """What `inspect` gives back."""

    @property
    def manifest(self) -> Manifest: ...
    @property
    def evidence(self) -> Evidence | None: ...
    @property
    def size_bytes(self) -> int: ...


class Bench(Protocol):
    """What `bench` gives back."""

    @property
    def scenario(self) -> str: ...
    @property
    def variant(self) -> str: ...
    @property
    def outcome(self) -> LoadOutcome: ...
    @property
    def seconds(self) -> float: ...
    @property
    def rows(self) -> int: ...
    @property
    def runs(self) -> int: ...
    @property
    def needed(self) -> int: ...
    @property
    def transform(self) -> str | None: ...
    @property
    def parts(self) -> Mapping[str, tuple[Percentile, ...]]: ...
    @property
    def exits(self) -> Mapping[str, float]: ...
    @property
    def certified_exits(self) -> Mapping[str, float]: ...


class Applied(Protocol):
    """What `apply` gives back."""

    @property
    def graph(self) -> Path: ...
    @property
    def recipe(self) -> WrittenRecipe: ...
    @property
    def changed(self) -> bool: ...
    @property
    def notes(self) -> tuple[Note, ...]: ...
    @property
    def before(self) -> Cost: ...
    @property
    def after(self) -> Cost: ...
    @property
    def deviations(self) -> Mapping[str, Deviation]: ...
    @property
    def rows(self) -> int: ...


class Api(Protocol):
    """The public verbs."""

    def optimize(
        self,
        network: str | Path,
        samples: Any,
        contract: Contract | None = None,
        *,
        out: str | Path | None = None,
        weights: str | Path | None = None,
        transform: Any = None,
        labels: Any = None,
        train: Any = None,
        budget_s: float | None = 900.0,
        label_key: str | None = None,
        text_keys: tuple[str, ...] | None = None,
        pairs: Pairs | None = None,
        label_offset: int = 0,
        most: int = 20_000,
        ledger: str | Path | None = None,
        seed: int = 0,
        runtimes: tuple[str, ...] | None = None,
        on_event: Callable[[Event], None] | None = None,
        cancel: threading.Event | None = None,
        command: str = "",
    ) -> Outcome: ...

    def load(self, bundle: str | Path, variant: str | None = None) -> Loaded: ...

    def verify(
        self, bundle: str | Path, *, quick: bool = False, trust_code: bool = False
    ) -> Verification: ...

    def bench(
        self,
        bundle: str | Path,
        *,
        variant: str | None = None,
        scenario: str = "single-stream",
        seconds: float = 10.0,
        rate_per_s: float | None = None,
        limit_ms: float | None = None,
        percentile: float | None = None,
        inputs: str | Path | None = None,
        label_key: str | None = None,
        text_keys: tuple[str, ...] | None = None,
        trust_code: bool = False,
    ) -> Bench: ...

    def bench_service(
        self,
        url: str,
        *,
        model: str,
        rate_per_s: float | None,
        clients: int,
        arrivals: str,
        seconds: float,
        limit_ms: float | None,
        percentile: float,
        find_highest: bool,
        deadline_ms: float | None,
        inputs: str | None,
        rows: int,
        key: str | None,
        ca_file: str | None,
        on_load: Callable[[ServiceLoad], None],
    ) -> ServiceBench: ...

    def inspect(self, bundle: str | Path) -> Inspection: ...

    def serve(
        self,
        bundles: Sequence[str] | Mapping[str, str],
        *,
        on_ready: Callable[[str], None],
        **options: Unpack[ServeOptions],
    ) -> bool: ...

    def recipe_of(self, bundle: str | Path, variant: str | None = None) -> WrittenRecipe: ...

    def apply(
        self,
        recipe: str | Path,
        network: str | Path,
        samples: Any,
        *,
        out: str | Path,
        weights: str | Path | None = None,
        transform: Any = None,
        labels: Any = None,
        train: Any = None,
        label_key: str | None = None,
        text_keys: tuple[str, ...] | None = None,
        pairs: Pairs | None = None,
        label_offset: int = 0,
        most: int = 20_000,
        seed: int | None = None,
        threads: int | None = None,
        ignore_outputs: tuple[str, ...] | None = None,
        on_phase: Callable[[str], None] | None = None,
    ) -> Applied: ...


GetApi = Callable[[], Api]


def the_api() -> Api:
    """The real one: `whet` itself, which imports a verb only when it is asked for."""
    return cast("Api", importlib.import_module("whet"))

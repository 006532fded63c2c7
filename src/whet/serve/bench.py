"""``whet bench``: one variant of a bundle under one of MLPerf's scenarios, in this process."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from whet.bundle.manifest import Cascade
from whet.bundle.read import read_bundle
from whet.errors import OptionError
from whet.measure.cgroup import cores_for
from whet.measure.pinned import pinned
from whet.measure.scenarios import (
    MultiStream,
    Offline,
    Outcome,
    Scenario,
    Server,
    SingleStream,
    run_scenario,
)
from whet.measure.statistics import queries_needed
from whet.measure.workload import Q
from whet.serve.loaded import Loaded, load
from whet.serve.queries import Asking, Parts, golden_queries
from whet.serve.raw import raw_queries, read_raw
from whet.serve.timing import tuned_threads

__all__ = ["SCENARIOS", "Bench", "ScenarioName", "bench"]

ScenarioName = Literal["single-stream", "multi-stream", "server", "offline"]
SCENARIOS: tuple[str, ...] = get_args(ScenarioName)

_STREAMS = 8
_DEFAULT_PERCENTILE = 99.0
_QUICKEST_S = 5e-6  # no query takes less; bounds how many fit into the time


@dataclass(frozen=True)
class Bench:
    """What a scenario gave.

    Attributes:
        scenario: its name.
        variant: that ran.
        outcome: counts, percentiles, throughput and, with a limit, the verdict.
        seconds: wall time of the measured part, without the warm-up before it.
        rows: of a query.
        runs: of the engine that a query takes.
        needed: queries that prove a limit of the percentile even with one miss.
        transform: kind of what makes the network's inputs; it is inside of ``outcome`` only where
            raw samples were asked.
        parts: then, percentiles of ``transform`` and ``network`` apart.
        exits: share of the rows that left at each stage of a cascade, warm-up included.
        certified_exits: the same of the certify samples; where they differ, so does the latency.
    """

    scenario: str
    variant: str
    outcome: Outcome
    seconds: float
    rows: int = 1
    runs: int = 1
    needed: int = 0
    transform: str | None = None
    parts: Parts = field(default_factory=dict)
    exits: dict[str, float] = field(default_factory=dict)
    certified_exits: dict[str, float] = field(default_factory=dict)


def bench(
    path: str | Path,
    *,
    variant: str | None,
    scenario: str,
    seconds: float,
    rate_per_s: float | None,
    limit_ms: float | None,
    percentile: float | None = None,
    inputs: str | Path | None = None,
    label_key: str | None = None,
    text_keys: tuple[str, ...] | None = None,
    trust_code: bool = False,
) -> Bench:
    """Open a bundle on the cores it was tuned for and run a scenario for ``seconds``.

    Raises:
        BundleError: it is refused.
        OptionError: an unknown scenario, a missing rate, an option of another scenario, raw
            ``inputs`` for a bundle that takes arrays.
        SamplesError: raw inputs that can't be read.
    """
    _check(scenario, seconds, rate_per_s, limit_ms, percentile)
    if inputs is None and (label_key is not None or text_keys is not None):
        raise OptionError(
            "The golden inputs have no columns to name.",
            "Give raw samples with --inputs, or leave --label-key and --text-keys out.",
        )
    bundle = read_bundle(path)
    evidence = bundle.evidence()
    contract = evidence.contract if evidence is not None else None
    if percentile is None:
        percentile = contract.percentile if contract is not None else _DEFAULT_PERCENTILE
    plan = _plan(scenario, seconds, rate_per_s, limit_ms, percentile)
    cores = cores_for(tuned_threads(bundle.manifest.machine, contract))
    with pinned(cores), load(path, variant, trust_code=trust_code) as loaded:
        rows, before = _STREAMS if scenario == "multi-stream" else None, loaded.left
        if inputs is None:
            ran = _ran(plan, golden_queries(loaded, rows), limit_ms, seconds)
        else:
            samples = read_raw(
                Path(inputs), loaded.transform, label_key=label_key, text_keys=text_keys
            )
            ran = _ran(plan, raw_queries(loaded, samples, rows), limit_ms, seconds)
        outcome, asked, runs, parts = ran
        kind = (bundle.manifest.transform or {}).get("type")
        return Bench(
            scenario=scenario,
            variant=loaded.variant.name,
            outcome=outcome,
            seconds=outcome.wall_s,
            rows=asked,
            runs=runs,
            needed=queries_needed(percentile, 1),
            transform=str(kind) if kind is not None else None,
            parts=parts,
            exits=_exits(loaded, before),
            certified_exits=_certified_exits(loaded),
        )


def _exits(loaded: Loaded, before: tuple[int, ...]) -> dict[str, float]:
    """Shares of the rows that left at each stage since ``before``, which a self-test asked for."""
    if not isinstance(loaded.variant, Cascade):
        return {}
    left = [now - then for now, then in zip(loaded.left, before, strict=True)]
    total = max(1, sum(left))
    return {s.variant: n / total for s, n in zip(loaded.variant.stages, left, strict=True)}


def _certified_exits(loaded: Loaded) -> dict[str, float]:
    if not isinstance(loaded.variant, Cascade):
        return {}
    return {stage.variant: stage.exit_share for stage in loaded.variant.stages}


def _ran(
    plan: Scenario, asking: Asking[Q], limit_ms: float | None, seconds: float
) -> tuple[Outcome, int, int, Parts]:
    """What came of it, the rows and runs of a query, and the percentiles of its parts."""
    outcome = run_scenario(
        plan, asking.run, asking.queries, rows=asking.rows, limit_ms=limit_ms, seconds=seconds
    )
    answered = outcome.queries - outcome.errors - outcome.dropped
    return outcome, asking.rows, asking.runs, asking.parts(answered)


def _check(
    scenario: str,
    seconds: float,
    rate_per_s: float | None,
    limit_ms: float | None,
    percentile: float | None,
) -> None:
    if scenario not in SCENARIOS:
        raise OptionError(
            f"The scenario '{scenario}' is not known.", f"Take one of {', '.join(SCENARIOS)}."
        )
    if not seconds > 0:
        raise OptionError(f"{seconds} seconds measure nothing.", "Give more than 0.")
    if limit_ms is not None and not limit_ms > 0:
        raise OptionError(f"No query takes {limit_ms} ms.", "Give a limit above 0.")
    if percentile is not None and not 0 < percentile < 100:
        raise OptionError(
            f"{percentile} is no percentile.", "Give a number between 0 and 100, such as 99."
        )
    if scenario == "server" and (rate_per_s is None or not rate_per_s > 0 or limit_ms is None):
        raise OptionError(
            "The scenario 'server' needs a rate of arrivals and a limit.",
            "Give both, e.g. --rate 50 --limit 20ms.",
        )
    if scenario != "server" and rate_per_s is not None:
        raise OptionError(
            f"Nothing arrives at a rate in the scenario '{scenario}'.",
            "Leave --rate out, or take --scenario server.",
        )
    if scenario == "offline" and (limit_ms is not None or percentile is not None):
        raise OptionError(
            "The scenario 'offline' gives all samples at once and has no latency to judge.",
            "Leave --limit and --percentile out, or take another scenario.",
        )


def _plan(
    scenario: str,
    seconds: float,
    rate_per_s: float | None,
    limit_ms: float | None,
    percentile: float,
) -> Scenario:
    """The scenario; its time ends it and not its count of queries, but for arrivals at a rate."""
    if scenario == "server" and rate_per_s is not None and limit_ms is not None:
        queries = max(1, round(rate_per_s * seconds))
        return Server(rate_per_s, limit_ms, queries=queries, percentile=percentile)
    queries = max(1, int(seconds / _QUICKEST_S))
    if scenario == "multi-stream":
        return MultiStream(queries=queries, samples=_STREAMS, percentile=percentile)
    if scenario == "offline":
        return Offline(samples=queries)
    return SingleStream(queries=queries, percentile=percentile)

"""``whet bench``: one variant of a bundle under one of MLPerf's scenarios, in this process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from whet.bundle.golden import load_goldens
from whet.core.spec import Arrays
from whet.errors import OptionError
from whet.measure.scenarios import (
    MultiStream,
    Offline,
    Outcome,
    Scenario,
    Server,
    SingleStream,
    run_scenario,
)
from whet.serve.loaded import Loaded, load

__all__ = ["SCENARIOS", "Bench", "ScenarioName", "bench"]

ScenarioName = Literal["single-stream", "multi-stream", "server", "offline"]
SCENARIOS: tuple[str, ...] = get_args(ScenarioName)

_STREAMS = 8
_PROBES = 20


@dataclass(frozen=True)
class Bench:
    """What a scenario gave.

    Attributes:
        scenario: its name.
        variant: that ran.
        outcome: counts, percentiles, throughput and, with a limit, the verdict.
        seconds: wall time of the measured part and its warm-up.
    """

    scenario: str
    variant: str
    outcome: Outcome
    seconds: float


def bench(
    path: str | Path,
    *,
    variant: str | None,
    scenario: str,
    seconds: float,
    rate_per_s: float | None,
    limit_ms: float | None,
    trust_code: bool = False,
) -> Bench:
    """Open a bundle and run a scenario for about ``seconds``.

    Raises:
        BundleError: it is refused.
        OptionError: an unknown scenario, a missing rate, a fixed batch that doesn't fit.
    """
    _check(scenario, seconds, rate_per_s, limit_ms)
    with load(path, variant, trust_code=trust_code) as loaded:
        rows = _STREAMS if scenario == "multi-stream" else 1
        batches = _batches(loaded, rows)
        plan = _plan(scenario, loaded, batches, seconds, rate_per_s, limit_ms)
        began = time.monotonic()
        outcome = run_scenario(plan, loaded.session, batches, limit_ms=limit_ms)
        return Bench(scenario, loaded.variant.name, outcome, time.monotonic() - began)


def _check(scenario: str, seconds: float, rate_per_s: float | None, limit_ms: float | None) -> None:
    if scenario not in SCENARIOS:
        raise OptionError(
            f"The scenario '{scenario}' is not known.", f"Take one of {', '.join(SCENARIOS)}."
        )
    if not seconds > 0:
        raise OptionError(f"{seconds} seconds measure nothing.", "Give more than 0.")
    if scenario == "server" and (rate_per_s is None or not rate_per_s > 0 or limit_ms is None):
        raise OptionError(
            "The scenario 'server' needs a rate of arrivals and a limit.",
            "Give both, e.g. --rate 50 --limit 20ms.",
        )


def _batches(loaded: Loaded, rows: int) -> list[Arrays]:
    """The golden inputs as queries of ``rows`` rows, repeated where there are too few."""
    goldens = load_goldens(loaded.bundle, loaded.variant.name)
    if goldens is None:
        raise OptionError(
            f"The variant '{loaded.variant.name}' holds no golden inputs to ask with.",
            "Choose another variant.",
        )
    symbol = loaded.variant.signature.batch_symbol
    fixed = loaded.variant.settings.fixed.get(symbol) if symbol is not None else None
    if fixed is not None and fixed != rows:
        raise OptionError(
            f"The variant '{loaded.variant.name}' takes {fixed} rows a query, the scenario asks {rows}.",
            "Choose another scenario, or a variant with a free batch size.",
        )
    count = len(next(iter(goldens.inputs.values())))
    queries = max(1, count // rows)
    return [
        {
            name: array[np.arange(start * rows, (start + 1) * rows) % count]
            for name, array in goldens.inputs.items()
        }
        for start in range(queries)
    ]


def _plan(
    scenario: str,
    loaded: Loaded,
    batches: list[Arrays],
    seconds: float,
    rate_per_s: float | None,
    limit_ms: float | None,
) -> Scenario:
    """The scenario with as many queries as fit into the time."""
    if scenario == "server" and rate_per_s is not None and limit_ms is not None:
        return Server(rate_per_s, limit_ms, queries=max(1, round(rate_per_s * seconds)))
    began = time.perf_counter()
    for number in range(_PROBES):
        loaded.session.run(batches[number % len(batches)])
    queries = max(_PROBES, round(seconds * _PROBES / (time.perf_counter() - began)))
    if scenario == "multi-stream":
        return MultiStream(queries=queries, samples=_STREAMS)
    return Offline(samples=queries) if scenario == "offline" else SingleStream(queries=queries)

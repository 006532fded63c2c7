"""`whet bench`: what it asks, how long, on which cores, and what it refuses."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evidence_factory as factory
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.bundle.draft import GoldenDraft, VariantDraft
from whet.core.contract import Contract
from whet.core.settings import Settings
from whet.errors import OptionError
from whet.measure.cgroup import cores_for
from whet.measure.pinned import pinned
from whet.serve.bench import Bench, bench
from whet.serve.queries import in_parts
from whet.testing.small_net import SmallNet

Variants = Callable[..., VariantDraft]
Bundles = Callable[..., Path]
SCENARIOS = ("single-stream", "multi-stream", "server", "offline")


def run(bundle: Path, **options: Any) -> Bench:
    given: dict[str, Any] = {
        "variant": None,
        "scenario": "single-stream",
        "seconds": 0.3,
        "rate_per_s": None,
        "limit_ms": None,
    }
    return bench(bundle, **(given | options))


@pytest.mark.parametrize(("batch", "runs"), [(1, 8), (2, 4), (None, 1)])
def test_eight_samples_are_asked_in_as_many_runs_as_the_batch_takes(
    variant: Variants, bundle_of: Bundles, batch: int | None, runs: int
) -> None:
    settings = Settings(fixed={"batch": batch} if batch is not None else {})
    goldens = GoldenDraft(SmallNet().inputs(4), batch or 2)
    made = bundle_of(variant("a", "openvino", settings=settings), goldens=goldens)
    found = run(made, scenario="multi-stream")
    assert (found.rows, found.runs) == (8, runs)
    assert found.outcome.queries > 10
    assert found.outcome.throughput_per_s == pytest.approx(
        8 * found.outcome.queries / found.seconds
    )


@given(st.integers(0, 50), st.integers(1, 40), st.one_of(st.none(), st.integers(1, 12)))
def test_parts_cover_every_row_once_and_fill_up_with_the_last(
    first: int, rows: int, fixed: int | None
) -> None:
    parts = in_parts(first, rows, fixed)
    flat = np.concatenate(parts)
    assert flat[:rows].tolist() == list(range(first, first + rows))
    assert set(flat[rows:].tolist()) <= {first + rows - 1}
    assert len(parts) == (1 if fixed is None else -(-rows // fixed))
    assert {len(part) for part in parts} == {rows if fixed is None else fixed}


def test_the_contracts_percentile_is_judged_unless_another_is_asked_for(
    variant: Variants, bundle_of: Bundles
) -> None:
    evidence = factory.evidence(contract=Contract(percentile=95.0, threads=1))
    tuned = bundle_of(variant("a"), evidence=evidence)
    assert run(tuned, limit_ms=100.0).outcome.percentile == 95.0
    assert run(tuned, limit_ms=100.0, percentile=50.0).outcome.percentile == 50.0


def test_without_a_record_of_the_search_p99_is_judged(
    variant: Variants, bundle_of: Bundles
) -> None:
    bare = bundle_of(variant("a"))
    assert run(bare, limit_ms=100.0).outcome.percentile == 99.0
    assert run(bare, scenario="multi-stream", limit_ms=100.0).needed == 662


@pytest.mark.parametrize(
    "options",
    [
        *({"scenario": s, "rate_per_s": 5.0} for s in SCENARIOS if s != "server"),
        {"scenario": "offline", "limit_ms": 5.0},
        {"scenario": "offline", "percentile": 99.0},
        {"scenario": "server", "rate_per_s": 5.0},
        {"scenario": "server", "limit_ms": 5.0},
        {"percentile": 100.0},
        {"scenario": "other"},
        {"seconds": 0.0},
    ],
)
def test_what_a_scenario_has_no_use_for_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        run(Path("never-opened"), **options)


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream", "offline"])
@pytest.mark.parametrize("limit_ms", [None, 50.0])
def test_it_measures_as_long_as_it_was_told(
    variant: Variants, bundle_of: Bundles, scenario: str, limit_ms: float | None
) -> None:
    limit_ms = None if scenario == "offline" else limit_ms
    found = run(bundle_of(variant("a")), scenario=scenario, seconds=0.5, limit_ms=limit_ms)
    assert 0.5 <= found.seconds < 0.75


def test_it_runs_on_the_cores_that_the_bundle_was_tuned_for(
    variant: Variants, bundle_of: Bundles
) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core is all there is")
    before = os.sched_getaffinity(0)
    bundle = bundle_of(variant("a"))  # its machine has one core
    seen: list[set[int]] = []
    watched = threading.get_native_id()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            seen.append(os.sched_getaffinity(watched))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run(bundle)
    finally:
        done.set()
        watcher.join()
    assert set(cores_for(1)) in seen
    assert os.sched_getaffinity(0) == before


def test_pinning_ends_with_an_error_too() -> None:
    before = os.sched_getaffinity(0)
    with pytest.raises(OptionError), pinned(cores_for(1)):
        raise OptionError("No.", "Do.")
    assert os.sched_getaffinity(0) == before

"""How long an engine may take to answer, and that a hanging one is ended."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from endless import endless_graph
from hypothesis import given
from hypothesis import strategies as st
from trial_factory import quality, trial

from whet.core.contract import Contract
from whet.core.evidence import Quality, Status, Trial
from whet.core.settings import Settings
from whet.data.readers import open_samples
from whet.data.store import SampleStore, write_store
from whet.errors import TrialTimeoutError
from whet.measure.contender import Contender
from whet.search.answers import answers_of
from whet.search.budget.budget import Budget, closing_reserve_s
from whet.search.budget.closing import spare_s
from whet.search.budget.patience import answer_limit_s, step_limit_s
from whet.search.closing import proving
from whet.search.ladder.assay import judge_on
from whet.search.workers.jobs import Made

_MS = st.floats(0.01, 1e3)


@given(rows=st.integers(1, 20_000), original_ms=_MS, own_ms=_MS, left_s=st.floats(0, 1e5))
def test_the_limit_holds_what_is_usual_and_ends_with_the_time_left(
    rows: int, original_ms: float, own_ms: float, left_s: float
) -> None:
    own_s = rows * own_ms / 1e3
    limit_s = answer_limit_s(rows, original_ms=original_ms, own_ms=own_ms, left_s=left_s)
    assert limit_s >= 3 * own_s  # an honest engine on a busy machine isn't cut off
    assert limit_s <= max(left_s, 10 + 3 * own_s)
    assert limit_s <= 30 + 10 * max(own_s, rows * original_ms / 1e3)
    must_s = answer_limit_s(rows, original_ms=original_ms, own_ms=own_ms, left_s=left_s, must=True)
    assert must_s >= max(limit_s, 30)


def test_without_a_budget_a_hanging_engine_still_ends() -> None:
    """1,000 rows at 2 ms: what takes 2 s may take 50 s, and not an hour."""
    assert answer_limit_s(1000, original_ms=2, own_ms=2, left_s=float("inf")) == 50


@given(st.floats(0, 1e4), st.floats(0.01, 100), st.integers(0, 10_000))
def test_a_step_of_a_race_has_time_for_one_query_and_never_more_than_it_had(
    left_s: float, original_ms: float, rows: int
) -> None:
    limit_s = step_limit_s(rows, original_ms=original_ms, left_s=left_s)
    assert limit_s <= 180
    assert limit_s >= min(180, 10 * rows * original_ms / 1e3)


@given(left_s=st.floats(0, 3600), rows=st.integers(1, 5000), original_ms=_MS, own_ms=_MS)
def test_what_a_hanging_finalist_may_take_leaves_the_proof_its_time(
    left_s: float, rows: int, original_ms: float, own_ms: float
) -> None:
    spare = spare_s(left_s, rows, original_ms, own_ms)
    proof_s = rows * (original_ms + own_ms) / 1e3
    assert spare == 0 or spare + closing_reserve_s(proof_s, 0.0) <= left_s


@pytest.fixture
def store(tmp_path: Path) -> SampleStore:
    rows = np.zeros((20, 3), np.float32)
    return write_store(open_samples({"x": rows}), tmp_path / "store", limit=20, seed=0)


def test_a_session_that_never_answers_is_ended_and_leaves_no_answers(
    tmp_path: Path, store: SampleStore
) -> None:
    graph = endless_graph(tmp_path / "endless.onnx", "x", (3,))
    contender = Contender("endless", "onnxruntime", graph, graph.path, Settings(threads=1))
    place, began = tmp_path / "answers" / "here", time.monotonic()
    with pytest.raises(TrialTimeoutError, match="endless"):
        answers_of(contender, store, place, cores=(0,), memory_bytes=None, limit_s=4.0)
    assert time.monotonic() - began < 60
    assert not place.exists()


def test_a_finalist_that_hangs_is_noted_and_the_next_has_its_turn(
    tmp_path: Path, store: SampleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 60 s left, proof, race and packing need most: the hanging one gets what is spare."""
    graph = endless_graph(tmp_path / "endless.onnx", "x", (3,))
    hanging, next_one = trial("onnxruntime", 2.0), trial("next", 3.0)
    setup: Any = SimpleNamespace(
        certify=store, contract=Contract(), original_ms=1.0, workdir=tmp_path, cores=(0,),
        memory_bytes=None,
    )  # fmt: skip
    kept: dict[str, Trial] = {}
    trials: Any = SimpleNamespace(
        budget=Budget(time.monotonic(), 60.0),
        made_for=lambda _: Made(graph, graph.path, ()),
        update=lambda of, remember: kept.update({of.name: of}),
    )

    def judge(setup: Any, of: Trial, *args: Any, **rest: Any) -> Quality:
        return judge_on(setup, of, *args, **rest) if of is hanging else quality(0.001)

    monkeypatch.setattr(proving, "judge_on", judge)
    began = time.monotonic()
    done = proving.certified_in_turn(setup, trials, (hanging, next_one), 1.0)
    assert time.monotonic() - began < 60
    assert [t.name for t in done] == ["next"]
    assert kept["onnxruntime"].status is Status.TIMED_OUT
    assert (
        "Could not be certified: 'onnxruntime' passed its time limit"
        in kept["onnxruntime"].notes[0].reason
    )

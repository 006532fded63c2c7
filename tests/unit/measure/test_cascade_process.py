"""A cascade in a process of its own, and queries in the order of the samples."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from whet.core.cascade import Confidence, Gate, Measure
from whet.core.confidence import confidence_of, stages_of
from whet.data.store import SampleStore
from whet.errors import EngineError
from whet.measure.answers import load_outputs
from whet.measure.contender import Contender, Early, Stages, disk_bytes
from whet.measure.process import ContenderProcess
from whet.measure.workload import once_through

RULE = Confidence("y", Measure.TOP)
GATE = Gate(0.5, 1.0)


def cascade(models, *, compiled: bool = True) -> tuple[Contender, Contender, Contender]:
    first, last = models.matmul(hidden=8), models.matmul(hidden=32)
    first = msgspec.structs.replace(first, engine=first.graph.path if compiled else None)
    stages = Stages((Early(first, GATE),), RULE)
    return msgspec.structs.replace(last, stages=stages), first, last


def test_it_answers_with_its_stages_and_tells_where_rows_left(
    models, store: SampleStore, tmp_path: Path
) -> None:
    whole, first, last = cascade(models)
    found = {}
    for name, contender in {"first": first, "last": last, "whole": whole}.items():
        with ContenderProcess(contender, store.ref(), batch=4) as process:
            found[name] = load_outputs(process.outputs(store.ref(), tmp_path / name, batch=4))["y"]
            left = process.left()
    stage = stages_of([confidence_of(RULE, {"y": found["first"]}, 1.0)], [GATE])
    assert left == tuple(np.bincount(stage, minlength=2))
    assert min(left) > 0
    want = np.where(stage[:, None] == 0, found["first"], found["last"])
    np.testing.assert_allclose(found["whole"], want, rtol=1e-5, atol=1e-6)
    assert disk_bytes(whole) == disk_bytes(first) + disk_bytes(last)


def test_queries_in_order_ask_each_sample_once(models, store: SampleStore) -> None:
    whole, first, _ = cascade(models)
    with ContenderProcess(whole, store.ref(), batch=2) as process:
        timing = process.in_order(store.ref(), 0, 5)
        assert timing.ms.shape == (5,)
        assert (timing.ms > 0).all()
        assert timing.wall_s * 1e3 >= timing.ms.sum()
    with ContenderProcess(first, store.ref(), batch=2) as process:
        assert process.in_order(store.ref(), 4, 1).ms.shape == (1,)
        assert process.left() == ()


def test_a_stage_without_an_engine_is_refused(models, store: SampleStore) -> None:
    whole, *_ = cascade(models, compiled=False)
    with (
        pytest.raises(EngineError, match="has no engine"),
        ContenderProcess(whole, store.ref(), batch=1),
    ):
        pass


def test_once_through_keeps_the_order() -> None:
    asked: list[int] = []
    ms, wall_s = once_through(asked.append, list(range(20)))
    assert asked == list(range(20))
    assert ms.shape == (20,)
    assert wall_s > 0

"""Tensors through shared memory, and a worker process by itself."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from whet.bundle.draft import VariantDraft
from whet.bundle.read import read_bundle
from whet.errors import EngineError, WhetError, WorkerLostError
from whet.serve.workers.area import Area
from whet.serve.workers.messages import Tensor
from whet.serve.workers.pool import Pool, cores_of_each
from whet.serve.workers.worker import Spec, Worker
from whet.testing.small_net import SmallNet

NET = SmallNet()
CORES = tuple(sorted(os.sched_getaffinity(0)))
ARRAYS = st.dictionaries(
    st.sampled_from("abc"),
    hnp.arrays(
        st.sampled_from([np.float32, np.uint8, np.int64, np.bool_, np.float16]),
        hnp.array_shapes(min_side=0, max_side=6, max_dims=3),
    ),
)


@given(ARRAYS, ARRAYS)
def test_both_sides_see_the_same_arrays(first: dict[str, Any], second: dict[str, Any]) -> None:
    ours = Area.make()
    theirs = Area(os.dup(ours.descriptor))
    tensors, free = ours.write(first)
    others, _ = theirs.write(second, free)
    for arrays, found in ((first, theirs.read(tensors)), (second, ours.read(others))):
        assert arrays.keys() == found.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype
    ours.close()
    theirs.close()


def test_it_grows_for_either_side() -> None:
    ours = Area.make()
    theirs = Area(os.dup(ours.descriptor))
    large = {"x": np.arange(1 << 20, dtype=np.float32)}
    tensors, free = ours.write(large)
    back, _ = theirs.write({"y": theirs.read(tensors)["x"] * 2}, free)
    np.testing.assert_array_equal(ours.read(back)["y"], large["x"] * 2)
    ours.close()
    theirs.close()


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor("x", "<f4", (1 << 40,), 0),
        Tensor("x", "<f4", (4,), 1 << 40),
        Tensor("x", "<f4", (-1,), 0),
        Tensor("x", "<f4", (1,), -4),
        Tensor("x", "O", (1,), 0),
    ],
)
def test_what_cant_lie_there_isnt_read(tensor: Tensor) -> None:
    area = Area.make()
    with pytest.raises(EngineError):
        area.read([tensor])
    area.close()


@pytest.mark.parametrize(
    ("workers", "shares"),
    [(1, [(0, 1, 2, 3)]), (2, [(0, 1), (2, 3)]), (3, [(0,), (1,), (2, 3)])],
)
def test_workers_share_the_cores(workers: int, shares: list[tuple[int, ...]]) -> None:
    assert cores_of_each((0, 1, 2, 3), workers) == shares


def test_more_workers_than_cores_have_them_all() -> None:
    assert cores_of_each((0, 1), 3) == [(0, 1)] * 3


@pytest.fixture
def spec(variant: Callable[..., VariantDraft], bundle_of: Callable[..., Path]) -> Spec:
    place = bundle_of(variant("exact"), variant("second"))
    return Spec(place, read_bundle(place).digest, ("exact", "second"))


@pytest.fixture
def worker(spec: Spec) -> Iterator[Worker]:
    found = Worker(spec, CORES[:1])
    yield found
    found.kill()


def test_it_answers_as_the_network(worker: Worker) -> None:
    for variant in (0, 1):
        values = NET.inputs(5, seed=variant)
        got = worker.ask(variant, values, 20.0)
        for name, expected in NET.answer(values).items():
            np.testing.assert_allclose(got[name], expected, rtol=1e-3, atol=1e-4)
    assert worker.answers(5.0)
    assert worker.row_s > 0


def test_an_engine_that_fails_costs_no_worker(worker: Worker) -> None:
    with pytest.raises(WhetError):
        worker.ask(0, {"wrong": np.zeros(3, np.float32)}, 20.0)
    with pytest.raises(EngineError):
        worker.ask(7, NET.inputs(1), 20.0)
    worker.ask(0, NET.inputs(1), 20.0)


def test_one_that_hangs_is_given_up(worker: Worker) -> None:
    os.kill(worker.pid, signal.SIGSTOP)
    began_s = time.monotonic()
    with pytest.raises(WorkerLostError, match="in time"):
        worker.ask(0, NET.inputs(1), 0.3)
    assert time.monotonic() - began_s < 3
    assert not worker.answers(0.1)


def test_one_that_died_is_known_at_once(worker: Worker) -> None:
    os.kill(worker.pid, signal.SIGKILL)
    began_s = time.monotonic()
    with pytest.raises(WorkerLostError, match="died"):
        worker.ask(0, NET.inputs(1), 20.0)
    assert time.monotonic() - began_s < 3


def test_a_bundle_that_cant_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(WhetError) as found:
        Worker(Spec(tmp_path, "0" * 64, ("exact",)), CORES)
    assert not isinstance(found.value, WorkerLostError)
    with pytest.raises(WhetError):
        Pool(Spec(tmp_path, "0" * 64, ("exact",)), [CORES])


def test_another_bundle_in_the_place_isnt_opened(spec: Spec) -> None:
    with pytest.raises(WhetError, match="digest"):
        Worker(replace(spec, digest="0" * 64), CORES)


def test_a_pool_replaces_what_it_loses(spec: Spec) -> None:
    pool = Pool(spec, [CORES[:1]])
    (before,) = pool.pids
    os.kill(before, signal.SIGKILL)
    with pytest.raises(WorkerLostError):
        pool.run(0, NET.inputs(1))
    pool.run(0, NET.inputs(1))  # which waits for the new one
    assert pool.pids != (before,)
    assert pool.lost == 1
    pool.close()
    assert pool.pids == ()

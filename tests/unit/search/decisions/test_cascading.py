from __future__ import annotations

import msgspec
import numpy as np
import pytest
from trial_factory import quality, trial

from whet.core.cascade import Gate, Measure
from whet.core.contract import Contract
from whet.core.evidence import Trial
from whet.core.recipe import Recipe, Step
from whet.core.spec import Signature, TensorSpec
from whet.search.decisions.cascading import (
    answers_through,
    gates_of,
    look_at,
    mean_to_beat,
    stage_candidates,
    suits_cascades,
    why_none,
)
from whet.search.decisions.decide import chance
from whet.search.decisions.outlook import LIKELY, SURE
from whet.search.solver.cascade import Plan
from whet.search.words.reasons import why_lost

SLOW = trial("slow", 1.0, untouched=True, p99_ms=10.0)


def quick(name: str, speedup: float, drop: float, **fields: object) -> Trial:
    made = trial(name, speedup, select=quality(drop), p99_ms=10.0 / speedup)
    return msgspec.structs.replace(made, **fields)


def signature(batch: int | str = "batch") -> Signature:
    return Signature(
        (TensorSpec("x", "float32", (batch, 3)),), (TensorSpec("y", "float32", (batch, 4)),)
    )


def test_stages_are_the_quick_ones_on_the_frontier_also_those_below_the_floor() -> None:
    weak, fair = quick("weak", 8.0, 0.2), quick("fair", 3.0, 0.005)
    beaten = quick("beaten", 2.0, 0.3)
    dynamic = quick("dynamic", 20.0, 0.4)
    recipe = Recipe((Step("quantize-dynamic"),), "onnxruntime", dynamic.recipe.settings)
    dynamic = msgspec.structs.replace(dynamic, recipe=recipe)
    found = stage_candidates([SLOW, fair, weak, beaten, dynamic], SLOW)
    assert [t.name for t in found] == ["weak", "fair"]
    assert stage_candidates([weak], msgspec.structs.replace(SLOW, latency=None)) == ()


def test_an_early_exit_that_is_right_in_half_is_a_stage_and_is_called_that() -> None:
    short = quick("short", 20.0, 0.4)
    steps = (Step("exit-after", {"block": "one"}), Step("to-graph"))
    recipe = Recipe(steps, "onnxruntime", short.recipe.settings)
    short = msgspec.structs.replace(short, recipe=recipe)
    fair = quick("fair", 3.0, 0.005)
    assert stage_candidates([SLOW, fair, short], SLOW) == (short, fair)
    found = why_lost(short, SLOW, Contract(metric="top1"), SLOW)
    assert found.startswith("Loses too much quality by itself, as an early stage of a cascade may:")
    tested = msgspec.structs.replace(short, certify=short.select)
    found = why_lost(tested, SLOW, Contract(metric="top1"), SLOW)
    assert found.startswith("Breaks the quality clause by itself, as an early stage")


@pytest.mark.parametrize(
    ("metric", "each", "rows", "suits"),
    [
        ("top1", 1, 8, True),
        ("agreement", 1, 8, True),
        ("mse", 1, 8, False),
        ("top1", 2, 8, False),
        ("top1", 1, 7, False),
    ],
)
def test_what_suits_cascades(metric: str, each: int, rows: int, suits: bool) -> None:
    assert suits_cascades(metric, each, rows=rows, batch=8) is suits


def test_the_mean_to_beat_is_that_of_the_quickest_that_promises_to_keep_the_floor() -> None:
    weak, fair = quick("weak", 8.0, 0.2), quick("fair", 3.0, 0.001)
    contract = Contract(metric="top1")
    assert mean_to_beat([SLOW, weak, fair], SLOW, contract, 5000) == pytest.approx(10 / 3)
    assert mean_to_beat([SLOW, weak], SLOW, contract, 5000) == 10.0


def test_what_is_only_likely_to_keep_the_floor_is_not_to_be_beaten() -> None:
    edge, contract = quick("edge", 8.0, 0.012), Contract(metric="top1")
    assert LIKELY < chance(edge, 5000) < SURE
    assert mean_to_beat([SLOW, edge], SLOW, contract, 5000) == 10.0


@pytest.mark.parametrize(
    ("contract", "batch", "why"),
    [
        (Contract(), "batch", ""),
        (Contract(max_bytes=10), "batch", "size or memory"),
        (Contract(max_memory_bytes=10), "batch", "size or memory"),
        (Contract(), 1, "batch size is fixed"),
    ],
)
def test_where_none_is_looked_for(contract: Contract, batch: int | str, why: str) -> None:
    assert why in why_none(contract, signature(batch))
    assert bool(why_none(contract, signature(batch))) == bool(why)


def test_what_the_answers_say_by_labels_or_by_the_original() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 900)
    original = rng.normal(0, 1, (900, 4))
    original[np.arange(900), labels] += 3
    own = original + rng.normal(0, 2, original.shape)
    args = {"output": "y", "seed": 0}
    by_labels = look_at([SLOW], [own], original, labels, metric="top1", **args)
    by_original = look_at([SLOW], [own], original, None, metric="agreement", **args)
    assert by_labels is not None
    assert by_original is not None
    assert by_original.last_right.all()
    assert (by_labels.last_right == (original.argmax(1) == labels)).all()
    assert (by_labels.staged[0][0].right == (own.argmax(1) == labels)).all()
    assert (by_original.staged[1][0].right == (own.argmax(1) == original.argmax(1))).all()
    assert by_labels.choosing.sum() == 300
    assert [rule.measure for rule in by_labels.rules] == list(Measure)
    assert not by_labels.rules[0].shares
    shares = np.exp(original) / np.exp(original).sum(axis=1, keepdims=True)
    found = look_at([SLOW], [shares], shares, labels, metric="top1", **args)
    assert found is not None
    assert found.rules[0].shares
    single = original[:, :1]
    assert look_at([SLOW], [single], single, None, metric="agreement", **args) is None
    assert look_at([SLOW], [own[:, :3]], original, labels, metric="top1", **args) is None


def test_answers_are_those_of_the_stage_where_rows_leave() -> None:
    early = [{"y": np.full((3, 2), k)} for k in (1, 2)]
    last = {"y": np.zeros((3, 2))}
    sure = [np.array([0.9, 0.1, 0.1]), np.array([0.0, 0.9, 0.1])]
    gates = gates_of(Plan((0, 1), (0.5, 0.6), 1.0, 0.0), (1.0, 2.0))
    assert gates == (Gate(0.5, 1.0), Gate(0.6, 2.0))
    assert answers_through(early, last, sure, gates)["y"][:, 0].tolist() == [1, 2, 0]
    assert last["y"].sum() == 0

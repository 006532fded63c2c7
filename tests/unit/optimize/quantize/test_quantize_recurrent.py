"""Weights of recurrent layers, rounded in advance and stored as integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import ArrayFeed
from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.recipe import Step
from whet.core.settings import Settings
from whet.optimize.build import build
from whet.optimize.graph.io import read_onnx, write_onnx
from whet.optimize.graph.quantize.feedback import nearest
from whet.optimize.graph.quantize.rounding import RoundWeights
from whet.optimize.graph.quantize.space import STORE, stored
from whet.optimize.graph.quantize.stored import StoreInt8
from whet.optimize.graph.runs import run_graph
from whet.runtimes.registry import get
from whet.testing.small_graphs import make_graph

onnx = pytest.importorskip("onnx")

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
KINDS = pytest.mark.parametrize("kind", list(GATES))


def rows() -> ArrayFeed:
    """Inputs that depend on each other, so that errors can cancel out."""
    generator = np.random.default_rng(1)
    mixed = generator.standard_normal((48, 9, 3)) @ generator.standard_normal((3, 12))
    return ArrayFeed(x=(mixed + 0.1 * generator.standard_normal(mixed.shape)).astype(np.float32))


def drawn(kind: str, ways: int = 1) -> dict[str, np.ndarray]:
    generator, wide = np.random.default_rng(0), 16 * GATES[kind]
    shapes = {"w": (ways, wide, 12), "r": (ways, wide, 16), "head": (ways * 16, 5)}
    return {k: (generator.standard_normal(s) / 4).astype(np.float32) for k, s in shapes.items()}


def network(
    folder: Path, kind: str, weights: dict[str, np.ndarray], all_steps: str = "a"
) -> Artifact:
    """One layer of 16 on 12 inputs, and a matrix product on its last state."""
    ways = len(weights["w"])
    direction = "bidirectional" if ways == 2 else "forward"
    body = f"""
    net (float[batch, 9, 12] x) => (float[batch, 5] y) {{
        steps = Transpose <perm = [1, 0, 2]> (x)
        {all_steps}, h = {kind} <hidden_size = 16, direction = "{direction}"> (steps, w, r)
        t = Transpose <perm = [1, 0, 2]> (h)
        s = Reshape (t, shape)
        y = MatMul (s, head)
    }}"""
    model = make_graph(body, {**weights, "shape": np.array([-1, ways * 16])})
    return write_onnx(model, folder, "net")


def ran(graph: Artifact) -> np.ndarray:
    return run_graph(graph, dict(rows().arrays))["y"]


@KINDS
@pytest.mark.parametrize("ways", [1, 2])
def test_both_weights_are_stored_within_half_a_step(tmp_path: Path, kind: str, ways: int) -> None:
    weights = drawn(kind, ways)
    before = network(tmp_path, kind, weights)
    after = StoreInt8().apply(before, Context(tmp_path / "out", before)).model
    found = {t.name: onnx.numpy_helper.to_array(t) for t in read_onnx(after).graph.initializer}
    for name in "wr":
        steps, scales = found[f"{name}_int8"], found[f"{name}_scale"][None, :, None]
        assert steps.dtype == np.int8
        assert steps.shape == weights[name].shape
        # One scale for each row of each gate: the largest number of each row is a whole 127.
        assert (np.abs(steps).max(axis=(0, 2)) == 127).all()
        assert (np.abs(steps * scales - weights[name]) <= 0.5001 * scales).all()
    assert after.size_bytes() < 0.5 * before.size_bytes() + 1200


@KINDS
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_runtimes_compute_with_stored_weights_in_float(
    tmp_path: Path, kind: str, runtime: str
) -> None:
    weights = drawn(kind)
    before = network(tmp_path, kind, weights)
    after = StoreInt8().apply(before, Context(tmp_path / "out", before)).model
    # Each number rounded by hand, in a graph that stays float.
    near = {
        n: nearest(w[0].astype(np.float64))[None].astype("f4")
        for n, w in weights.items()
        if n in "wr"
    }
    near["head"] = nearest(weights["head"].T.astype(np.float64)).T.astype(np.float32)
    want = ran(network(tmp_path / "near", kind, near))
    engine = get(runtime).compile(after, Settings(), tmp_path)
    with get(runtime).open(engine, after, Settings()) as session:
        have = session.run(dict(rows().arrays))["y"]
    np.testing.assert_allclose(have, want, atol=0.01 * float(np.abs(want).max()))


@KINDS
def test_what_was_rounded_with_care_is_stored_as_it_is_and_moves_less(
    tmp_path: Path, kind: str
) -> None:
    before = network(tmp_path, kind, drawn(kind))
    care = RoundWeights().apply(before, Context(tmp_path / "r", before, rows())).model
    plain = StoreInt8().apply(before, Context(tmp_path / "p", before)).model
    after = StoreInt8().apply(care, Context(tmp_path / "s", care)).model
    np.testing.assert_allclose(ran(after), ran(care), rtol=1e-4, atol=1e-5)
    want = ran(before)
    assert 0 < np.mean((ran(after) - want) ** 2) < 0.8 * np.mean((ran(plain) - want) ** 2)


@pytest.mark.parametrize(("ways", "all_steps", "left"), [(1, "a", 0), (1, "", 1), (2, "a", 2)])
def test_a_weight_whose_inputs_cant_be_seen_is_not_rounded_in_advance(
    tmp_path: Path, ways: int, all_steps: str, left: int
) -> None:
    before = network(tmp_path, "GRU", drawn("GRU", ways), all_steps)
    result = RoundWeights().apply(before, Context(tmp_path / "out", before, rows()))
    assert [note.where for note in result.notes] == ["GRU_1"] * left
    assert all("no value of the graph" in note.reason for note in result.notes)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_beside_quantised_layers_openvino_gets_recurrent_weights_in_float(
    tmp_path: Path, kind: str
) -> None:
    before = network(tmp_path, kind, drawn(kind))
    quantise = (Step("convert-ir"), Step("quantize-nncf-ir", {"subset_size": 16}))
    steps = stored(quantise)
    assert [step.name for step in steps] == [STORE.name, *(step.name for step in quantise)]
    assert stored(steps) == steps
    made = build(steps, before, Context(tmp_path / "out", before, rows())).model
    with get("openvino").open(made.file, made, Settings()) as session:
        have = session.run(dict(rows().arrays))["y"]
    assert np.corrcoef(have.ravel(), ran(before).ravel())[0, 1] > 0.97

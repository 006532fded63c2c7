"""Weights stored as integers: a quarter of the bytes, and the numbers that were rounded to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import Digits
from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.recipe import Step
from whet.core.settings import Settings
from whet.errors import PassError, RequirementError
from whet.optimize.build import build
from whet.optimize.graph.io import read_onnx, write_onnx
from whet.optimize.graph.ir import read_ir
from whet.optimize.graph.quantize.layers import describe_ir, weighted
from whet.optimize.graph.quantize.stored import StoreInt8
from whet.optimize.graph.runs import run_graph
from whet.runtimes.registry import get
from whet.testing.small_graphs import make_graph

onnx = pytest.importorskip("onnx")

BOTH = (Step("round-weights"), Step("store-int8"))


def made(digits: Digits, folder: Path, *steps: Step) -> Artifact:
    folder.mkdir()
    return build(steps, digits.graph, Context(folder, digits.graph, digits.repair)).model


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_what_was_rounded_in_advance_is_stored_as_it_is(
    digits: Digits, tmp_path: Path, runtime: str
) -> None:
    (name,) = (spec.name for spec in digits.graph.signature.inputs)
    asked = {name: digits.images}
    rounded = made(digits, tmp_path / "r", BOTH[0])
    stored = made(digits, tmp_path / "s", *BOTH)
    (want,) = run_graph(rounded, asked).values()
    engine = get(runtime).compile(stored, Settings(), tmp_path)
    with get(runtime).open(engine, stored, Settings()) as session:
        (got,) = session.run(asked).values()
    (plain,) = run_graph(stored, asked).values()
    np.testing.assert_allclose(plain, want, rtol=1e-4, atol=1e-5)
    # Runtimes may round what enters a matrix of integers, row by row.
    np.testing.assert_allclose(got, want, atol=0.02 * float(np.abs(want).max()))
    kinds = [t.data_type for t in read_onnx(stored).graph.initializer if len(t.dims) > 1]
    assert onnx.TensorProto.FLOAT not in kinds
    assert onnx.TensorProto.INT8 in kinds


def test_a_quantiser_after_it_finds_the_same_weights(digits: Digits, tmp_path: Path) -> None:
    """What it leaves in float stays stored as integers, and answers come as near as without."""
    (name,) = (spec.name for spec in digits.graph.signature.inputs)
    quantise = (Step("convert-ir"), Step("quantize-nncf-ir", {"bias": "none"}))
    whole = read_ir(made(digits, tmp_path / "whole", quantise[0]))
    float_layers = list(weighted(describe_ir(whole))[-1:])
    kept = Step("quantize-nncf-ir", {"bias": "none", "ignored": float_layers})
    (want,) = run_graph(digits.graph, {name: digits.images}).values()
    errors, sizes = [], []
    for folder, before in (("plain", BOTH[:1]), ("stored", BOTH)):
        mixed = made(digits, tmp_path / folder, *before, quantise[0], kept)
        engine = get("openvino").compile(mixed, Settings(), tmp_path / folder)
        with get("openvino").open(engine, mixed, Settings()) as session:
            (answers,) = session.run({name: digits.images}).values()
        errors.append(float(np.sqrt(np.mean((answers - want) ** 2))))
        sizes.append(mixed.size_bytes())
    assert errors[1] == pytest.approx(errors[0], rel=0.15)
    assert sizes[1] < sizes[0]


def test_every_number_is_within_half_a_step(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    weights = {
        "c": generator.standard_normal((6, 2, 3, 3)).astype(np.float32),
        "g": generator.standard_normal((5, 6)).astype(np.float32),
        "m": generator.standard_normal((5, 4)).astype(np.float32),
    }
    weights["c"][2] = 0  # a channel of nothing
    body = """
    g (float[b, 4, 5, 5] x) => (float[b, 4] y) {
        a = Conv <group = 2> (x, c)
        p = GlobalAveragePool (a)
        f = Flatten (p)
        h = Gemm <transB = 1> (f, g)
        y = MatMul (h, m)
    }"""
    before = write_onnx(make_graph(body, weights), tmp_path, "small")
    after = StoreInt8().apply(before, Context(tmp_path / "out", before)).model
    assert after.size_bytes() < 0.6 * before.size_bytes() + 1000
    found = {t.name: onnx.numpy_helper.to_array(t) for t in read_onnx(after).graph.initializer}
    for name, across in (("c", False), ("g", False), ("m", True)):
        steps, scales = found[f"{name}_int8"], found[f"{name}_scale"]
        shape = (1, -1) if across else (-1, *[1] * (steps.ndim - 1))
        apart = np.abs(steps * scales.reshape(shape) - weights[name])
        assert (apart <= 0.5001 * scales.reshape(shape)).all()
        assert np.abs(steps).max() == 127


def test_old_graphs_and_graphs_without_weights_are_refused(tmp_path: Path) -> None:
    old = make_graph("g (float[b, 2] x) => (float[b, 2] y) { y = Relu (x) }", {}, opset=11)
    before = write_onnx(old, tmp_path, "old")
    with pytest.raises(RequirementError, match="opset 11"):
        StoreInt8().apply(before, Context(tmp_path / "out", before))
    none = make_graph("g (float[b, 2] x) => (float[b, 2] y) { y = Relu (x) }", {})
    before = write_onnx(none, tmp_path, "none")
    with pytest.raises(PassError, match="no weights to store"):
        StoreInt8().apply(before, Context(tmp_path / "out", before))

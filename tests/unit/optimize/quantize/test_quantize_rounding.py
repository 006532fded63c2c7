"""Weights rounded in advance: real quantisers keep them, and answers move less."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import ArrayFeed, Digits
from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.recipe import Step
from whet.errors import OptionError, PassError
from whet.optimize.build import build
from whet.optimize.graph.io import read_onnx, write_onnx
from whet.optimize.graph.quantize.feedback import nearest
from whet.optimize.graph.quantize.rounding import RoundWeights
from whet.optimize.graph.runs import run_graph
from whet.testing.small_graphs import make_graph

onnx = pytest.importorskip("onnx")

NNCF = Step("quantize-nncf", {"half_range": "none", "bias": "none"})
IR = (Step("convert-ir"), Step("quantize-nncf-ir", {"half_range": "none", "bias": "none"}))


def weights_of(graph: Artifact) -> dict[str, np.ndarray]:
    found = read_onnx(graph).graph.initializer
    return {t.name: onnx.numpy_helper.to_array(t) for t in found}


def made(digits: Digits, folder: Path, *steps: Step) -> Artifact:
    folder.mkdir()
    return build(steps, digits.graph, Context(folder, digits.graph, digits.repair)).model


def test_each_weight_is_on_its_grid_already(digits: Digits, tmp_path: Path) -> None:
    rounded = weights_of(made(digits, tmp_path / "r", Step("round-weights")))
    changed = 0
    for name, before in weights_of(digits.graph).items():
        if before.ndim < 2 or before.dtype != np.float32:
            continue
        flat = rounded[name].reshape(len(before), -1).astype(np.float64)
        across = before.ndim == 2 and not np.allclose(nearest(flat), flat, atol=1e-7)
        flat = flat.T if across else flat
        np.testing.assert_allclose(nearest(flat), flat, atol=1e-6)
        changed += not np.array_equal(before, rounded[name])
    assert changed >= 2


def test_a_quantiser_finds_every_number_on_its_grid(digits: Digits, tmp_path: Path) -> None:
    """What NNCF stores times its scales is what was rounded in advance, number for number."""
    rounded = made(digits, tmp_path / "r", Step("round-weights"))
    quantised = made(digits, tmp_path / "q", Step("round-weights"), NNCF)
    floats = [w for w in weights_of(rounded).values() if w.ndim == 4]
    stored = weights_of(quantised)
    integers = [w for w in stored.values() if w.dtype == np.int8 and w.ndim == 4]
    assert len(integers) == len(floats)
    for want, got in zip(floats, integers, strict=True):
        scales = np.abs(want).max(axis=(1, 2, 3), keepdims=True) / 127
        np.testing.assert_array_equal(np.round(want / scales), got)


@pytest.mark.parametrize("steps", [(NNCF,), IR], ids=["onnx", "ir"])
def test_answers_of_int8_move_less(digits: Digits, tmp_path: Path, steps: tuple[Step, ...]) -> None:
    def moved(artifact: Artifact) -> float:
        from whet.core.settings import Settings
        from whet.runtimes.registry import get

        runtime = get("openvino" if artifact.path.endswith(".xml") else "onnxruntime")
        engine = runtime.compile(artifact, Settings(), tmp_path)
        with runtime.open(engine, artifact, Settings()) as session:
            (got,) = session.run(asked).values()
        return float(np.mean((got - want) ** 2))

    (name,) = (spec.name for spec in digits.graph.signature.inputs)
    asked = {name: digits.images}
    (want,) = run_graph(digits.graph, asked).values()
    plain = moved(made(digits, tmp_path / "p", *steps))
    rounded = moved(made(digits, tmp_path / "r", Step("round-weights"), *steps))
    assert rounded < plain


def graph(folder: Path, body: str, **weights: np.ndarray) -> Artifact:
    model = make_graph(body, {k: v.astype(np.float32) for k, v in weights.items()})
    return write_onnx(model, folder, "small")


def feed(*shape: int) -> ArrayFeed:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((64, *shape)) + generator.standard_normal((64, *[1] * len(shape)))
    return ArrayFeed(x=x.astype(np.float32))


BODIES = {
    "gemm": ("g (float[b, 30] x) => (float[b, 8] y) { y = Gemm (x, w) }", (30, 8), (30,)),
    "turned gemm": (
        "g (float[b, 30] x) => (float[b, 8] y) { y = Gemm <transB = 1> (x, w) }",
        (8, 30),
        (30,),
    ),
    "product": ("g (float[b, 5, 30] x) => (float[b, 5, 8] y) { y = MatMul (x, w) }", (30, 8), (5, 30)),
    "depthwise": (
        "g (float[b, 4, 9, 9] x) => (float[b, 4, 7, 7] y) { y = Conv <group = 4> (x, w) }",
        (4, 1, 3, 3),
        (4, 9, 9),
    ),
    "one axis": (
        ("g (float[b, 4, 20] x) => (float[b, 6, 10] y)"
        ' { y = Conv <strides = [2], auto_pad = "SAME_UPPER"> (x, w) }'),
        (6, 4, 3),
        (4, 20),
    ),
}  # fmt: skip


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_outputs_move_less_than_by_rounding_to_the_nearest(
    tmp_path: Path, body: tuple[str, tuple[int, ...], tuple[int, ...]]
) -> None:
    text, shape, sample = body
    weight = np.random.default_rng(1).standard_normal(shape)
    before, rows = graph(tmp_path, text, w=weight), feed(*sample)
    after = RoundWeights().apply(before, Context(tmp_path / "out", before, rows)).model
    across = "turned" not in text and len(shape) == 2 and "transB" not in text
    flat = weight.T if across else weight.reshape(len(weight), -1)
    near = nearest(flat)
    plain = graph(tmp_path / "plain", text, w=near.T if across else near.reshape(shape))

    def moved(other: Artifact) -> float:
        asked = dict(rows.arrays)
        return float(np.mean((run_graph(other, asked)["y"] - run_graph(before, asked)["y"]) ** 2))

    assert moved(after) < moved(plain)
    assert moved(after) > 0


def test_a_weight_that_others_use_is_left_alone(tmp_path: Path) -> None:
    body = """
    g (float[b, 6] x) => (float[b, 6] y) {
        h = MatMul (x, w)
        k = MatMul (h, w)
        y = MatMul (k, v)
    }"""
    w, v = np.random.default_rng(0).standard_normal((2, 6, 6))
    before = graph(tmp_path, body, w=w, v=v)
    result = RoundWeights().apply(before, Context(tmp_path / "out", before, feed(6)))
    after = weights_of(result.model)
    np.testing.assert_array_equal(after["w"], weights_of(before)["w"])
    assert not np.array_equal(after["v"], weights_of(before)["v"])
    assert [n.reason for n in result.notes] == [
        "Not rounded in advance: its weight is used more than once."
    ] * 2


def test_a_graph_without_weights_is_refused(tmp_path: Path) -> None:
    before = graph(tmp_path, "g (float[b, 6] x) => (float[b, 6] y) { y = Relu (x) }")
    with pytest.raises(PassError, match="no weights that gain"):
        RoundWeights().apply(before, Context(tmp_path / "out", before, feed(6)))


def test_no_rows_are_no_look() -> None:
    with pytest.raises(OptionError, match="nothing to look at"):
        RoundWeights(subset_size=0)

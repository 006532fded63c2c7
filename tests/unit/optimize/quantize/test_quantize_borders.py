"""Padding is no rounding: bias correction must leave alone what it does at borders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whet.core.artifact import Artifact
from whet.core.passes import run
from whet.core.recipe import Step
from whet.optimize.build import build
from whet.optimize.graph.io import write_onnx
from whet.optimize.graph.quantize._quiet import import_nncf
from whet.optimize.graph.quantize.borders import borders_cancelled
from whet.optimize.graph.quantize.nncf import Bias, QuantizeNncf
from whet.testing.small_graphs import make_graph

# Down twice, up again, joined with what was there before: the smallest of its kind.
UNET = """
net (float[batch, 1, 16, 16] x) => (float[batch, 4, 8, 8] y) {
    c1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]> (x, w1, b1)
    r1 = Relu (c1)
    c2 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]> (r1, w2, b2)
    r2 = Relu (c2)
    c3 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (r2, w3, b3)
    r3 = Relu (c3)
    up = Resize <mode = "nearest"> (r3, , scales)
    both = Concat <axis = 1> (up, r1)
    y = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (both, w4, b4)
}"""
SHAPES = {"w1": (8, 1, 3, 3), "w2": (16, 8, 3, 3), "w3": (16, 16, 3, 3), "w4": (4, 24, 3, 3)}


@pytest.fixture
def unet(tmp_path: Path) -> Artifact:
    generator = np.random.default_rng(0)
    weights = {}
    for name, shape in SHAPES.items():
        size = np.sqrt(2 / np.prod(shape[1:]))
        weights[name] = (generator.normal(0.3, 1, shape) * size).astype(np.float32)
        weights[f"b{name[1:]}"] = np.full(shape[0], 0.2, np.float32)
    model = make_graph(UNET, {**weights, "scales": np.array([1, 1, 2, 2], np.float32)})
    return write_onnx(model, tmp_path / "float", "net")


def bright_in_the_middle(count: int) -> np.ndarray:
    """Pictures as of digits: dark all around."""
    generator = np.random.default_rng(1)
    pictures = np.zeros((count, 1, 16, 16), np.float32)
    pictures[:, :, 4:12, 4:12] = generator.random((count, 1, 8, 8))
    return pictures


@pytest.mark.parametrize("steps", [("quantize-nncf",), ("convert-ir", "quantize-nncf-ir")])
def test_correcting_biases_does_no_harm_to_maps_that_are_padded(
    steps: tuple[str, ...], unet: Artifact, digits, context, execute
) -> None:
    x = bright_in_the_middle(48)
    want = execute(unet, {"x": x[32:]})

    def error(bias: str) -> float:
        *before, last = steps
        recipe = (*map(Step, before), Step(last, {"bias": bias}))
        ctx = context(reference=unet, repair=type(digits.repair)(x=x[:32]))
        got = execute(build(recipe, unet, ctx).model, {"x": x[32:]})
        return float(np.sum((got - want) ** 2) / np.sum((want - want.mean(axis=0)) ** 2))

    # It was more than 40 times as much.
    assert error("fast") < 1.2 * error("none")


def test_what_rounding_shifts_is_corrected_as_before(digits, context, execute) -> None:
    """Weights that are all rounded down by up to a whole step: a large shift without any border."""
    generator = np.random.default_rng(0)
    steps = generator.integers(-20, 20, (4, 16, 1, 1)) + 0.49
    steps[:, 0] = 127
    net = """
    net (float[batch, 16, 4, 4] x) => (float[batch, 4, 4, 4] y) {
        y = Conv <kernel_shape = [1, 1]> (x, w, b)
    }"""
    weights = {"w": (steps / 127).astype(np.float32), "b": np.ones(4, np.float32)}
    graph = write_onnx(make_graph(net, weights), context().workdir, "net")
    x = (generator.random((48, 16, 4, 4)) + 2).astype(np.float32)
    want = execute(graph, {"x": x})
    ctx = context(reference=graph, repair=type(digits.repair)(x=x))

    def shift(bias: Bias) -> float:
        got = execute(run(QuantizeNncf(bias=bias), graph, ctx).model, {"x": x})
        return float(np.abs((got - want).mean(axis=(0, 2, 3))).max())

    assert shift(Bias.FAST) < 0.2 * shift(Bias.NONE)


def test_nncf_is_left_as_it_was() -> None:
    import_nncf()
    from nncf.quantization.algorithms.fast_bias_correction.algorithm import FastBiasCorrection

    before = vars(FastBiasCorrection)["_get_bias_shift"]
    with borders_cancelled():
        assert vars(FastBiasCorrection)["_get_bias_shift"] is not before
    assert vars(FastBiasCorrection)["_get_bias_shift"] is before

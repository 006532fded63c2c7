from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whet.core.artifact import Artifact
from whet.core.passes import run
from whet.errors import OptionError, PostconditionError
from whet.optimize.graph.io import read_onnx, write_onnx
from whet.optimize.graph.quantize.weights import QuantizeWeights, QuantizeWeightsIr
from whet.optimize.graph.runs import largest_difference, run_graph
from whet.testing.small_graphs import make_graph

onnx = pytest.importorskip("onnx")


@pytest.fixture(params=[QuantizeWeights, QuantizeWeightsIr], ids=["onnx", "ir"])
def both(request, digits, digits_ir):
    return request.param, digits.graph if request.param is QuantizeWeights else digits_ir


@pytest.mark.parametrize("symmetric", [True, False])
def test_eight_bits_are_a_quarter_of_the_size_and_hardly_move_the_answers(
    both, symmetric, digits, context, execute
) -> None:
    kind, graph = both
    made = run(kind(symmetric=symmetric), graph, context(repair=None)).model
    before, after = (g.files()[-1].stat().st_size for g in (graph, made))
    assert after < 0.45 * before
    want, got = (execute(g, {"image": digits.images}) for g in (graph, made))
    error = np.sum((got - want) ** 2) / np.sum((want - want.mean(axis=0)) ** 2)
    assert 0 < error < 1e-2


def test_ignored_layers_stay_float(both, context) -> None:
    kind, graph = both
    notes = run(kind(ignored=("conv3",)), graph, context()).notes
    assert [note.where.removesuffix("/WithoutBiases") for note in notes] == ["conv3"]


def test_four_bits_are_smaller_still(attention, context, execute, tmp_path) -> None:
    from whet.optimize.graph.convert import ConvertIr

    ir = run(ConvertIr(), attention, context(workdir=tmp_path / "ir")).model
    made = run(QuantizeWeightsIr(bits=4, group_size=16), ir, context(repair=None)).model
    rows = np.random.default_rng(0).normal(size=(2, 6, 16)).astype(np.float32)
    want, got = (execute(graph, {"x": rows}) for graph in (ir, made))
    assert 0.9 < np.corrcoef(want.ravel(), got.ravel())[0, 1] < 0.99999


def test_weights_that_keep_eight_bits_where_four_were_asked_for_are_noted(both, context) -> None:
    kind, graph = both
    notes = run(kind(bits=4, group_size=-1), graph, context(repair=None)).notes
    assert [note.reason[:20] for note in notes if note.where == "weights"] == [
        "3 weights have 8 bit"
    ]
    notes = run(kind(bits=8), graph, context(repair=None)).notes
    assert not [note for note in notes if note.where == "weights"]


def perceptron(folder: Path, attribute: str) -> Artifact:
    """Two Gemms of the usual exporters, the weights as (outputs, inputs), in opset 20."""
    draw = np.random.default_rng(0).standard_normal
    turned = "transB" in attribute
    weights = {"w1": draw((96, 256)) / 16, "w2": draw((40, 96)) / 10, "b1": draw(96)}
    weights = {
        name: (value if turned or value.ndim == 1 else value.T).astype(np.float32)
        for name, value in weights.items()
    }
    body = f"a = Gemm{attribute} (x, w1, b1)\n r = Relu (a)\n y = Gemm{attribute} (r, w2)"
    head = "g (float[batch, 256] x) => (float[batch, 40] y)"
    return write_onnx(make_graph(f"{head} {{\n{body}\n}}", weights, opset=20), folder, "net")


@pytest.mark.parametrize("attribute", ["", " <transB = 1>"])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("group_size", [None, 32, -1])
def test_four_bits_in_onnx_err_by_no_more_than_a_step(
    attribute, symmetric, group_size, context, execute, tmp_path
) -> None:
    graph = perceptron(tmp_path, attribute)
    step = QuantizeWeights(bits=4, symmetric=symmetric, group_size=group_size)
    made = run(step, graph, context(repair=None, reference=graph)).model
    model = read_onnx(made)
    onnx.checker.check_model(model, full_check=True)
    assert {t.data_type for t in model.graph.initializer} & {22, 21}  # INT4, UINT4
    assert made.size_bytes() < 0.2 * graph.size_bytes()
    rows = {"x": np.random.default_rng(1).standard_normal((8, 256)).astype(np.float32)}
    want, got = execute(graph, rows), execute(made, rows)
    # Rounding to 15 steps of 2.5 to 3.5 standard deviations each way costs about 0.1 of one
    # in each of two layers.
    assert 0.01 < np.linalg.norm(got - want) / np.linalg.norm(want) < 0.3
    # ONNX Runtime's own four-bit kernel rounds the activations to 8 bits too.
    assert largest_difference({"y": got}, run_graph(made, rows)) < 3e-2


def test_four_bits_of_a_transformer_in_onnx(attention, context, execute) -> None:
    made = run(QuantizeWeights(bits=4, group_size=16), attention, context(repair=None)).model
    rows = np.random.default_rng(0).normal(size=(2, 6, 16)).astype(np.float32)
    want, got = (execute(graph, {"x": rows}) for graph in (attention, made))
    assert 0.9 < np.corrcoef(want.ravel(), got.ravel())[0, 1] < 0.99999


def test_four_bits_that_come_out_as_eight_are_refused(context, tmp_path) -> None:
    from whet.optimize.graph.convert import ConvertIr

    weights = {"w": np.random.default_rng(0).standard_normal((16, 8, 3, 3)).astype(np.float32)}
    body = "g (float[batch, 8, 9, 9] x) => (float[batch, 16, 7, 7] y) { y = Conv (x, w) }"
    graph = write_onnx(make_graph(body, weights), tmp_path, "conv")
    ir = run(ConvertIr(), graph, context(workdir=tmp_path / "ir", reference=graph)).model
    for step, source in ((QuantizeWeights(bits=4), graph), (QuantizeWeightsIr(bits=4), ir)):
        with pytest.raises(PostconditionError, match="no weights for 4 bits"):
            run(step, source, context(repair=None, reference=graph))


@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_convolutions_along_one_axis_get_a_scale_a_channel(
    kind, symmetric, context, execute, tmp_path
) -> None:
    shape, size = ((6, 4, 3), 7) if kind == "Conv" else ((4, 6, 3), 11)
    w = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    body = f"g (float[batch, 4, 9] x) => (float[batch, 6, {size}] y) {{ y = {kind} (x, w) }}"
    graph = write_onnx(make_graph(body, {"w": w}), tmp_path, "conv1d")
    step = QuantizeWeights(symmetric=symmetric)
    made = run(step, graph, context(repair=None, reference=graph)).model
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in read_onnx(made).graph.initializer}
    assert tensors["w_scale"].shape == (6,)
    axis = (slice(None), None, None) if kind == "Conv" else (None, slice(None), None)
    zero = tensors["w_zero_point"][axis].astype(np.float64) if not symmetric else 0.0
    back = (tensors["w_quantized"].astype(np.float64) - zero) * tensors["w_scale"][axis]
    assert np.all(np.abs(back - w) <= 0.5001 * tensors["w_scale"][axis])
    rows = {"x": np.random.default_rng(1).standard_normal((2, 4, 9)).astype(np.float32)}
    want, got = execute(graph, rows), execute(made, rows)
    assert 0 < np.linalg.norm(got - want) / np.linalg.norm(want) < 0.01


@pytest.mark.parametrize(
    "options", [{"bits": 3}, {"ratio": 0.0}, {"group_size": 64}, {"group_size": 0}]
)
def test_refuses_options_out_of_range(options) -> None:
    with pytest.raises(OptionError):
        QuantizeWeights(**options)

"""Multiply-accumulates of recurrent layers and sums of products, and what can't be counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whet.optimize.graph.facts import GraphFacts, facts
from whet.optimize.graph.io import write_onnx
from whet.testing.small_graphs import make_graph
from whet.testing.small_recurrent import RecurrentNet


def counted(folder: Path, body: str, **weights: tuple[int, ...]) -> GraphFacts:
    arrays = {name: np.ones(shape, np.float32) for name, shape in weights.items()}
    return facts(write_onnx(make_graph(body, arrays), folder, "net"))


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
@pytest.mark.parametrize(("direction", "ways"), [("forward", 1), ("bidirectional", 2)])
def test_a_recurrent_layer_multiplies_all_its_weights_at_every_step(
    tmp_path: Path, kind: str, gates: int, direction: str, ways: int
) -> None:
    # Only the last state is given: the answers of the steps have no name.
    body = f"""
    net (float[7, batch, 5] x) => (float[{ways}, batch, 6] h) {{
        , h = {kind} <hidden_size = 6, direction = "{direction}"> (x, w, r)
    }}"""
    found = counted(tmp_path, body, w=(ways, gates * 6, 5), r=(ways, gates * 6, 6))
    assert found.macs == 7 * ways * gates * 6 * (5 + 6)
    assert found.kind == "recurrent"
    assert found.unknown == ()
    (layer,) = found.layers
    assert layer.parameters == ways * gates * 6 * (5 + 6)


def test_a_network_with_transposes_between_its_layers(tmp_path: Path) -> None:
    found = facts(RecurrentNet().onnx(tmp_path))
    assert found.macs == 12 * 4 * 16 * (8 + 16 + 16 + 16)


def test_where_convolutions_do_most_it_is_no_recurrent_network(tmp_path: Path) -> None:
    body = """
    net (float[1, 8, 32] x) => (float[32, 1, 1, 2] y) {
        c = Conv <pads = [1, 1]> (x, k)
        steps = Transpose <perm = [2, 0, 1]> (c)
        y = LSTM <hidden_size = 2> (steps, w, r)
    }"""
    found = counted(tmp_path, body, k=(8, 8, 3), w=(1, 8, 8), r=(1, 8, 2))
    assert found.macs == 32 * (8 * 8 * 3 + 8 * (8 + 2))
    assert found.kind == "cnn"


def test_a_sum_of_products_takes_the_sizes_of_all_its_letters(tmp_path: Path) -> None:
    body = """
    net (float[3, 4, 5] x) => (float[3, 4, 6] y) {
        y = Einsum <equation = "abc, cd -> abd"> (x, w)
    }"""
    found = counted(tmp_path, body, w=(5, 6))
    assert (found.macs, found.unknown) == (3 * 4 * 5 * 6, ())


def test_a_loop_over_products_goes_uncounted_and_is_named(tmp_path: Path) -> None:
    body = """
    net (float[9, 4] x) => (float[4] last, float[9, 4] all) {
        last, all = Scan <num_scan_inputs = 1, body = step (float[4] s, float[4] i) =>
            (float[4] o, float[4] out) { m = MatMul (s, w) o = Add (m, i) out = Identity (o) }
        > (start, x)
    }"""
    found = counted(tmp_path, body, w=(4, 4), start=(4,))
    assert (found.macs, found.unknown) == (0, ("Scan_0",))


def test_a_runtimes_own_operator_with_a_matrix_goes_uncounted(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    node, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    own = "com.microsoft"
    nodes = [
        node("QuickGelu", ["x"], ["g"], "activation", domain=own),
        node("BiasGelu", ["g", "b"], ["h"], "biased", domain=own),
        node("MatMulFpQ4", ["h", "w", "s"], ["y"], "packed", domain=own),
    ]
    arrays = {"b": np.ones(32, np.float32), "w": np.ones((4, 20), np.uint8), "s": np.array([32, 4])}
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    ends = [info("x", 1, [1, 32])], [info("y", 1, [1, 4])]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "net", *ends, tensors),
        opset_imports=[onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid(own, 1)],
        ir_version=8,
    )
    assert facts(write_onnx(model, tmp_path, "net")).unknown == ("packed",)

from __future__ import annotations

import pytest

from whet.optimize.graph.narrow import Node, widths_moved


def node(kind: str, inputs: str, outputs: str) -> Node:
    return Node(kind, tuple(inputs.split()), tuple(outputs.split()))


FLOATS = dict.fromkeys(["x", "xd", "c", "r", "q", "qd", "d", "out"], 4.0)
STATED = {**FLOATS, "xq": 1.0, "q": 1.0}
# conv - relu - conv with quantisers before each convolution.
QDQ = (
    node("QuantizeLinear", "x s z", "xq"),
    node("DequantizeLinear", "xq s z", "xd"),
    node("Conv", "xd w b", "c"),
    node("Relu", "c", "r"),
    node("QuantizeLinear", "r s z", "q"),
    node("DequantizeLinear", "q s z", "qd"),
    node("Conv", "qd w2 b2", "out"),
)


def test_a_quantised_graph_moves_bytes() -> None:
    found = widths_moved(QDQ, STATED, ["out"])
    assert (found.read["xd"], found.read["qd"]) == (1.0, 1.0)
    assert found.written["c"] == 1.0, "the quantiser is fused behind the activation"
    assert found.written["out"] == 4.0, "what the graph gives keeps its type"


def test_a_float_taker_keeps_the_value_wide() -> None:
    branch = (*QDQ, node("Conv", "r w3", "d"))
    found = widths_moved(branch, STATED, ["out", "d"])
    assert found.written["c"] == 4.0
    assert found.read["r"] == 4.0


def test_a_graph_output_behind_the_convolution_keeps_it_wide() -> None:
    assert widths_moved(QDQ, STATED, ["out", "r"]).written["c"] == 4.0


@pytest.mark.parametrize("kind", ["MaxPool", "Transpose", "Reshape"])
def test_moving_elements_keeps_them_narrow(kind: str) -> None:
    graph = (
        node("FakeQuantize", "x a b", "q"),
        node(kind, "q", "d"),
        node("Convolution", "d w", "c"),
        node(kind, "c", "r"),
        node("FakeQuantize", "r a b", "out"),
    )
    found = widths_moved(graph, dict.fromkeys(["x", "q", "d", "c", "r", "out"], 4.0), [])
    assert found.read["d"] == 1.0
    assert found.written["c"] == 1.0


def test_what_is_not_known_to_fuse_stays_wide() -> None:
    graph = (
        node("Convolution", "x w", "c"),
        node("Softmax", "c", "r"),
        node("FakeQuantize", "r a b", "out"),
    )
    found = widths_moved(graph, dict.fromkeys(["x", "c", "r", "out"], 4.0), [])
    assert found.written["c"] == 4.0
    assert found.read["c"] == 4.0


def test_a_dynamic_quantiser_needs_the_float_result_first() -> None:
    graph = (node("MatMul", "x w", "c"), node("DynamicQuantizeLinear", "c", "q s z"))
    stated = {"x": 4.0, "c": 4.0, "q": 1.0, "s": 4.0, "z": 1.0}
    assert widths_moved(graph, stated, []).written["c"] == 4.0


def test_half_precision_is_taken_as_stated() -> None:
    graph = (node("Conv", "x w", "c"),)
    found = widths_moved(graph, {"x": 2.0, "c": 2.0}, ["c"])
    assert (found.read["x"], found.written["c"]) == (2.0, 2.0)

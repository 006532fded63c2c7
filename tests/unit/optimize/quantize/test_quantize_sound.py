"""Graphs that quantisers stumble over: what comes out is valid and answers, or is refused."""

from __future__ import annotations

import numpy as np
import pytest

from whet.core.passes import run
from whet.errors import PostconditionError
from whet.optimize.graph.io import read_onnx, write_onnx
from whet.optimize.graph.quantize.dynamic import QuantizeDynamic
from whet.optimize.graph.quantize.nncf import QuantizeNncf, Ranges
from whet.optimize.graph.quantize.ort import QuantizeOrt
from whet.optimize.graph.quantize.weights import QuantizeWeights
from whet.optimize.graph.runs import run_graph
from whet.testing.small_graphs import make_graph

DRAW = np.random.default_rng(0).standard_normal
ROWS = {"x": DRAW((32, 8)).astype(np.float32)}
# The weight of the product is read once more: by a branch, by a loop, by the caller.
READ_AGAIN = {
    "branch": """
    g (float[batch, 8] x) => (float[batch, 8] y) {
        m = MatMul (x, w)
        s = ReduceSum <keepdims = 0> (x)
        c = Greater (s, zero)
        i = If (c) <then_branch = t () => (float[batch, 8] a) { a = MatMul (m, w) },
                    else_branch = e () => (float[batch, 8] b) { b = Identity (m) }>
        y = Add (i, m)
    }""",
    "loop": """
    g (float[batch, 8] x) => (float[batch, 8] y) {
        m = MatMul (x, w)
        y = Loop (three, , m) <body = b (int64 n, bool c, float[batch, 8] d)
            => (bool e, float[batch, 8] f) { e = Identity (c)
            f = MatMul (d, w) }>
    }""",
    "output": """
    g (float[batch, 8] x) => (float[batch, 8] y, float[8, 8] w) {
        y = MatMul (x, w)
    }""",
}
PASSES = [  # with weights of 7 bits, that no CPU's sums overflow
    QuantizeNncf(ranges=Ranges.MINMAX),
    QuantizeOrt(reduce_range=True),
    QuantizeDynamic(reduce_range=True),
    QuantizeWeights(),
]


def graph_of(name: str, folder):
    constants = {
        "w": (DRAW((8, 8)) / 3).astype(np.float32),
        "zero": np.float32(0),
        "three": np.int64(3),
    }
    body = READ_AGAIN[name]
    used = {k: np.asarray(v) for k, v in constants.items() if k == "w" or k in body}
    return write_onnx(make_graph(body, used), folder, name)


@pytest.mark.parametrize("step", PASSES, ids=lambda step: step.name)
@pytest.mark.parametrize("name", READ_AGAIN)
def test_a_weight_that_is_read_again_stays(name, step, tmp_path, digits, context) -> None:
    graph = graph_of(name, tmp_path)
    repair = type(digits.repair)(**ROWS)
    made = run(step, graph, context(reference=graph, repair=repair)).model
    want, got = run_graph(graph, ROWS), run_graph(made, ROWS)
    assert 0 < np.linalg.norm(got["y"] - want["y"]) / np.linalg.norm(want["y"]) < 0.1
    if name == "output":
        np.testing.assert_allclose(got["w"], want["w"], atol=0.01)


@pytest.mark.parametrize("step", PASSES, ids=lambda step: step.name)
def test_an_invalid_graph_is_no_result(step, tmp_path, digits, context) -> None:
    ctx = context()
    made = run(step, graph_of("output", tmp_path), context(repair=type(digits.repair)(**ROWS)))
    model = read_onnx(made.model)
    model.graph.node[-1].input[0] = "nothing"
    broken = write_onnx(model, tmp_path, "broken", made.model.signature)
    with pytest.raises(PostconditionError, match="invalid graph"):
        step.ensures(broken, ctx)

"""Gemm in one form: the same answers, and quantisers that find it."""

from __future__ import annotations

import numpy as np
import pytest

from whet.core.passes import run
from whet.optimize.graph.io import write_onnx
from whet.optimize.graph.quantize.dynamic import QuantizeDynamic
from whet.optimize.graph.quantize.gemm import plain_gemms
from whet.optimize.graph.quantize.nncf import QuantizeNncf, Ranges
from whet.optimize.graph.quantize.onnxes import named
from whet.optimize.graph.runs import largest_difference, run_graph, run_proto
from whet.testing.small_graphs import make_graph

DRAW = np.random.default_rng(0).standard_normal


def gemm(attributes: str, bias: str = ", b", *, turned: bool = False):
    """A Gemm of (batch, 4) rows, with the rows turned before it where it turns them back."""
    weights = {"w": DRAW((4, 5))} | ({"b": DRAW(5)} if bias else {})
    if "transB = 1" in attributes:
        weights["w"] = weights["w"].T.copy()
    body = (
        f"r = Relu (x)\n t = Transpose <perm = [1, 0]> (r)\n y = Gemm <{attributes}> (t, w{bias})"
    )
    if not turned:
        body = f"r = Relu (x)\n y = Gemm <{attributes}> (r, w{bias})"
    return make_graph(
        f"g (float[batch, 4] x) => (float[batch, 5] y) {{\n{body}\n}}",
        {name: value.astype(np.float32) for name, value in weights.items()},
    )


ROWS = {"x": DRAW((6, 4)).astype(np.float32)}
FORMS = {
    "factors": ("alpha = 0.5, beta = 3.0", ", b", False),
    "factors, turned weight": ("alpha = -2.0, transB = 1", ", b", False),
    "no bias": ("alpha = 0.5, beta = 3.0", "", False),
    "turned": ("transA = 1", ", b", True),
    "all": ("alpha = 0.5, beta = 0.0, transA = 1, transB = 1", ", b", True),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_the_answers_stay(form) -> None:
    attributes, bias, turned = form
    model = gemm(attributes, bias, turned=turned)
    want = run_proto(model, ROWS)
    model = plain_gemms(named(model))
    (node,) = (node for node in model.graph.node if node.op_type == "Gemm")
    assert {a.name for a in node.attribute} <= {"transB"} | ({"transA"} if not turned else set())
    assert len(model.graph.initializer) == 1 + bool(bias)
    assert largest_difference(want, run_proto(model, ROWS)) < 1e-6


def test_a_weight_that_others_use_stays_beside_the_scaled() -> None:
    model = make_graph(
        "g (float[batch, 4] x) => (float[batch, 4] y) {\n"
        "a = Gemm <alpha = 2.0> (x, w)\n y = MatMul (a, w)\n}",
        {"w": DRAW((4, 4)).astype(np.float32)},
    )
    want = run_proto(model, ROWS)
    plain_gemms(named(model))
    assert [tensor.name for tensor in model.graph.initializer] == ["w", "w_alpha"]
    assert largest_difference(want, run_proto(model, ROWS)) < 1e-6


def test_a_factor_before_an_activation_stays() -> None:
    model = make_graph("g (float[4, 4] x) => (float[4, 4] y) { y = Gemm <alpha = 2.0> (x, x) }", {})
    before = model.SerializeToString()
    named(model)
    assert [a.f for a in plain_gemms(model).graph.node[0].attribute] == [2.0]
    assert len(before) < len(model.SerializeToString())  # the name alone


@pytest.mark.parametrize("step", [QuantizeDynamic(), QuantizeNncf(ranges=Ranges.MINMAX)])
@pytest.mark.parametrize("form", ["factors", "all"])
def test_quantisers_find_it(step, form, tmp_path, digits, context) -> None:
    attributes, bias, turned = FORMS[form]
    graph = write_onnx(gemm(attributes, bias, turned=turned), tmp_path, "graph")
    ctx = context(reference=graph, repair=type(digits.repair)(**ROWS))
    made = run(step, graph, ctx).model
    assert largest_difference(run_graph(graph, ROWS), run_graph(made, ROWS)) < 0.1

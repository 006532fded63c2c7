from __future__ import annotations

import numpy as np
import pytest

from whet.core.passes import run
from whet.optimize.graph.convert import ConvertIr
from whet.optimize.graph.io import read_onnx
from whet.optimize.graph.ir import read_ir
from whet.optimize.graph.quantize.bypass import groups_ir, groups_onnx, without_ir, without_onnx
from whet.optimize.graph.quantize.nncf import (
    Bias,
    QuantizeNncf,
    QuantizeNncfIr,
    quantised_ir,
    quantised_onnx,
)
from whet.optimize.graph.quantize.onnxes import named
from whet.optimize.graph.quantize.plan import by_damage
from whet.optimize.graph.quantize.restore import opener
from whet.optimize.graph.quantize.sensitivity import group_damage


class Plain:
    """A session over one graph, without settings."""

    def __init__(self, graph, execute) -> None:
        self.graph, self.execute = graph, execute

    def run(self, inputs):
        return {"logits": self.execute(self.graph, inputs)}

    def __enter__(self):
        return self

    def __exit__(self, *exc: object) -> None: ...


def test_groups_are_the_layers_and_the_sum_joins_what_it_shares(digits, context) -> None:
    options = QuantizeNncf(subset_size=8)
    model, _ = quantised_onnx(
        named(read_onnx(digits.graph)), options, digits.graph, context(), fold=False
    )
    members = {group.name: set(group.members) for group in groups_onnx(model)}
    assert members["conv1"] == {"conv1"}
    assert members["conv2"] == {"conv2"}
    assert members["conv3"] == {"conv3", "add3"}, "both read the quantised result of relu2"
    assert members["linear"] == {"linear"}


def test_without_any_quantiser_the_graph_is_the_original(
    digits, digits_ir, context, execute, tmp_path
) -> None:
    from whet.optimize.graph.io import write_onnx
    from whet.optimize.graph.ir import write_ir

    feed = {"image": digits.images[:50]}
    proto, _ = quantised_onnx(
        named(read_onnx(digits.graph)),
        QuantizeNncf(subset_size=8, bias=Bias.NONE),
        digits.graph,
        context(),
        fold=False,
    )
    gone = [q for group in groups_onnx(proto) for q in group.quantisers]
    plain = write_onnx(without_onnx(proto, gone), tmp_path, "plain", digits.graph.signature)
    np.testing.assert_allclose(execute(plain, feed), execute(digits.graph, feed), atol=1e-5)
    left = {node.op_type for node in read_onnx(plain).graph.node}
    assert not left & {"QuantizeLinear", "DequantizeLinear"}

    graph, _ = quantised_ir(
        read_ir(digits_ir),
        QuantizeNncfIr(subset_size=8, bias=Bias.NONE),
        digits_ir,
        context(),
        fold=False,
    )
    gone = [q for group in groups_ir(graph) for q in group.quantisers]
    bare = write_ir(without_ir(graph, gone), tmp_path, "bare", digits_ir.signature)
    np.testing.assert_allclose(execute(bare, feed), execute(digits_ir, feed), atol=1e-4)


@pytest.mark.parametrize("ir", [False, True], ids=["onnx", "ir"])
def test_the_layer_made_to_break_is_found_and_damages_add_up(
    ir, outlier_digits, context, tmp_path
) -> None:
    ctx = context(repair=outlier_digits.repair)
    graph, kind, runtime = outlier_digits.graph, QuantizeNncf, "onnxruntime"
    if ir:
        runtime = "openvino"
        graph, kind = (
            run(ConvertIr(), graph, context(workdir=tmp_path / "ir")).model,
            QuantizeNncfIr,
        )
    found = group_damage(graph, kind(subset_size=32), ctx, opener(runtime), rows=64)
    ranked = [name.removesuffix("/WithoutBiases") for name in by_damage(found.damage)]
    # One scale serves all channels of conv2's input: all but one are lost there.
    assert ranked[0] == "conv2"
    worst = max(found.damage.values())
    assert worst > 0.05
    assert sorted(found.damage.values())[-2] < 0.2 * worst
    assert found.whole == pytest.approx(sum(found.damage.values()), rel=0.3)
    assert found.rows == 64


def test_a_group_that_can_not_run_is_a_note(digits, context, execute) -> None:
    from whet.errors import EngineError

    opened = []

    def open_second_badly(graph):
        opened.append(graph)
        if len(opened) == 2:
            raise EngineError("It would not open.", "")
        return Plain(graph, execute)

    found = group_damage(
        digits.graph, QuantizeNncf(subset_size=4), context(), open_second_badly, rows=4
    )
    assert [note.where for note in found.notes] == ["conv1"]
    assert "conv1" not in found.damage

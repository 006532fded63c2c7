from __future__ import annotations

from whet.core.artifact import Artifact
from whet.optimize.graph.io import read_onnx
from whet.optimize.graph.ir import read_ir
from whet.optimize.graph.quantize.layers import (
    Op,
    describe_ir,
    describe_onnx,
    first_layers,
    is_transformer,
    kept_layers,
    last_layers,
    left_wide,
    quantised,
    resolve_names,
    weighted,
)
from whet.optimize.graph.quantize.onnxes import named

CONVS = ("conv1", "conv2", "conv3", "linear")


def test_onnx_layers_in_order(digits) -> None:
    ops = describe_onnx(read_onnx(digits.graph))
    assert weighted(ops) == CONVS
    assert first_layers(ops) == ("conv1",)
    assert last_layers(ops) == ("linear",)
    assert quantised(ops) == ()
    assert not is_transformer(ops)


def test_ir_layers_are_the_same_under_openvinos_names(digits_ir: Artifact) -> None:
    ops = describe_ir(read_ir(digits_ir))
    assert [name.removesuffix("/WithoutBiases") for name in weighted(ops)] == list(CONVS)
    assert len(first_layers(ops)) == len(last_layers(ops)) == 1


def test_attention_is_seen_in_both_formats(attention: Artifact, tmp_path) -> None:
    from whet.core.context import Context
    from whet.core.passes import run
    from whet.optimize.graph.convert import ConvertIr

    ops = describe_onnx(read_onnx(attention))
    assert is_transformer(ops)
    assert weighted(ops) == ("query", "key", "value", "out")
    assert first_layers(ops) == ("query", "key", "value")
    ir = run(ConvertIr(), attention, Context(tmp_path, attention)).model
    assert is_transformer(describe_ir(read_ir(ir)))


def test_names_of_one_format_serve_the_other() -> None:
    ops = (
        Op("conv/WithoutBiases", "Convolution", ("x",), constant=True),
        Op("conv", "Add", ("conv/WithoutBiases",), constant=True),
        Op("plain", "MatMul", ("conv",), constant=True),
    )
    assert resolve_names(ops, ["conv"]) == (("conv", "conv/WithoutBiases"), ())
    assert resolve_names(ops, ["plain/WithoutBiases", "gone"]) == (("plain",), ("gone",))


def test_each_layer_that_stays_wide_has_its_reason() -> None:
    before = (
        Op("a", "Conv", ("x",), constant=True),
        Op("b", "Conv", ("a",), constant=True),
        Op("c", "Conv", ("b",), constant=True),
    )
    kept, lost = kept_layers(before, ["b", "typo"], first=True, last=False)
    assert [note.where for note in lost] == ["typo"]
    narrow = (
        Op("w", "DequantizeLinear", (), constant=True, fixed=True),
        Op("c", "Conv", ("b", "w"), constant=True),
    )
    notes = {
        note.where: note.reason for note in left_wide(before, (*before[:2], *narrow), kept, "Q")
    }
    assert notes == {
        "a": "Left in float: next to an input (keep_first).",
        "b": "Left in float: named in 'ignored'.",
    }
    silent = {note.where: note.reason for note in left_wide(before, before, {}, "Q")}
    assert silent["c"] == "Left in float: the rules of Q leave it out."


def test_nodes_get_names_that_depend_on_the_graph_alone(digits) -> None:
    model = read_onnx(digits.graph)
    model.graph.node[0].name = ""
    model.graph.node[2].name = model.graph.node[1].name
    names = [node.name for node in named(model).graph.node]
    assert names[:3] == ["Conv_0", "relu1", "relu1_2"]
    assert len(set(names)) == len(names)

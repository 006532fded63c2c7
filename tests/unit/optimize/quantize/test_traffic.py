"""Memory traffic of quantised graphs: their own bytes, not those of the float graph."""

from __future__ import annotations

import pytest

from whet.core.artifact import Artifact, Format
from whet.core.passes import run
from whet.errors import NetworkError
from whet.optimize.graph.cast import Cast
from whet.optimize.graph.convert import ConvertIr
from whet.optimize.graph.facts import facts
from whet.optimize.graph.quantize.dynamic import QuantizeDynamic
from whet.optimize.graph.quantize.nncf import QuantizeNncf, QuantizeNncfIr
from whet.optimize.graph.quantize.ort import QuantizeOrt
from whet.optimize.graph.quantize.weights import QuantizeWeights, QuantizeWeightsIr
from whet.optimize.graph.traffic import Traffic, traffic_of
from whet.testing.small_recurrent import RecurrentNet

# Numbers read and written by the three convolutions and the linear layer, without biases.
WEIGHTS = 144 + 3456 + 5184 + 3840
ACTIVATIONS = (64 + 1024) + (1024 + 384) + (384 + 384) + 384
LOGITS = 10
BIASES = 16 + 24 + 24 + 10


def test_a_float_graph_moves_four_bytes_of_each(digits, digits_ir) -> None:
    everything = 4 * (WEIGHTS + ACTIVATIONS + LOGITS)
    assert traffic_of(digits_ir, {"batch": 1}) == Traffic(everything, everything)
    with_biases = everything + 4 * BIASES
    assert traffic_of(digits.graph, {"batch": 1}) == Traffic(with_biases, with_biases)
    counted = facts(digits.graph)
    assert (counted.bytes_moved, counted.wide_bytes) == (with_biases, with_biases)


def test_int8_moves_bytes_and_the_answer_as_floats(digits_ir, context) -> None:
    made = run(QuantizeNncfIr(subset_size=16), digits_ir, context()).model
    assert traffic_of(made, {"batch": 1}) == Traffic(WEIGHTS + ACTIVATIONS + 4 * LOGITS, 4 * LOGITS)


@pytest.mark.parametrize("kind", [QuantizeNncf, QuantizeOrt])
def test_int8_onnx_moves_about_as_much(kind, digits, context) -> None:
    made = run(kind(subset_size=16), digits.graph, context()).model
    found = traffic_of(made, {"batch": 1})
    # Biases have 32 bits; ONNX Runtime quantises the logits too, NNCF leaves them wide.
    least = WEIGHTS + ACTIVATIONS + LOGITS + 4 * BIASES
    assert least <= found.bytes_moved <= least + 3 * LOGITS
    assert found.bytes_moved < 0.3 * facts(digits.graph).bytes_moved


def test_layers_left_in_float_move_floats(digits_ir, context) -> None:
    made = run(QuantizeNncfIr(subset_size=16, ignored=("conv3",)), digits_ir, context()).model
    all_int8 = WEIGHTS + ACTIVATIONS + 4 * LOGITS
    # conv3's weights, its input and its output; its input is what conv2 writes.
    assert traffic_of(made, {"batch": 1}).bytes_moved >= all_int8 + 3 * (5184 + 384 + 384)


@pytest.mark.parametrize("kind", [QuantizeWeights, QuantizeWeightsIr])
def test_weight_only_moves_narrow_weights_and_float_activations(
    kind, digits, digits_ir, context
) -> None:
    graph = digits.graph if kind is QuantizeWeights else digits_ir
    found = traffic_of(run(kind(), graph, context(repair=None)).model, {"batch": 1})
    activations = 4 * (ACTIVATIONS + LOGITS) + (4 * BIASES if kind is QuantizeWeights else 0)
    # The smallest weights may be left as they are.
    assert activations + WEIGHTS <= found.bytes_moved <= activations + WEIGHTS + 3 * 144
    assert found.wide_bytes >= activations


def test_halved_weights_of_an_ir_count_half(digits, context) -> None:
    halved = run(ConvertIr(compress_to_fp16=True), digits.graph, context()).model
    found = traffic_of(halved, {"batch": 1})
    assert found.bytes_moved == 2 * WEIGHTS + 4 * (ACTIVATIONS + LOGITS)
    onnx = traffic_of(run(Cast(smallest=1), digits.graph, context()).model, {"batch": 1})
    assert onnx.bytes_moved == found.bytes_moved + 2 * BIASES


def test_dynamic_quantisation_reads_integer_weights(attention, context) -> None:
    before = traffic_of(attention, {"batch": 1, "sequence": 6})
    made = run(QuantizeDynamic(), attention, context(repair=None)).model
    after = traffic_of(made, {"batch": 1, "sequence": 6})
    assert after.bytes_moved < before.bytes_moved


def test_sizes_of_symbols_count(attention) -> None:
    short, long = (traffic_of(attention, {"batch": 1, "sequence": n}) for n in (4, 64))
    assert long.bytes_moved > 4 * short.bytes_moved


def test_what_can_not_be_counted_is_refused(digits_ir, tmp_path) -> None:
    program = Artifact(str(tmp_path / "x.pt2"), Format.TORCH, digits_ir.signature)
    with pytest.raises(NetworkError, match="can't be counted"):
        traffic_of(program, {})
    gone = Artifact(str(tmp_path / "x.xml"), Format.OPENVINO, digits_ir.signature)
    with pytest.raises(NetworkError):
        traffic_of(gone, {})


def test_recurrent_layers_move_their_weights_in_both_formats(context, tmp_path) -> None:
    graph = RecurrentNet().onnx(tmp_path)
    made = run(ConvertIr(), graph, context(reference=graph)).model
    weights = 64 * (8 + 16 + 16 + 16)
    for found in (traffic_of(graph, {"batch": 1}), traffic_of(made, {"batch": 1})):
        assert found.wide_bytes >= 4 * weights
        assert found.wide_bytes == pytest.approx(4 * weights, rel=0.3)

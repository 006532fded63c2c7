from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whet.core.passes import run
from whet.errors import OptionError, PostconditionError, RequirementError
from whet.optimize.graph.io import read_onnx, write_onnx
from whet.optimize.graph.quantize.calibration import Rows
from whet.optimize.graph.quantize.dynamic import QuantizeDynamic
from whet.optimize.graph.quantize.ort import Activation, Calibration, QuantizeOrt, _Reader, _stride
from whet.optimize.graph.runs import run_graph
from whet.testing.small_graphs import make_graph
from whet.testing.small_recurrent import RecurrentNet


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"calibration": Calibration.PERCENTILE},
        {"calibration": Calibration.ENTROPY, "symmetric": True},
        {"activation": Activation.S8, "reduce_range": True},
    ],
)
def test_static_int8_keeps_top1(options, digits, context, execute) -> None:
    result = run(QuantizeOrt(subset_size=32, **options), digits.graph, context())
    want = execute(digits.graph, {"image": digits.images})
    got = execute(result.model, {"image": digits.images})
    assert digits.top1(got) > digits.top1(want) - 0.03
    assert result.model.size_bytes() < 0.5 * digits.graph.size_bytes()
    assert result.model.signature == digits.graph.signature
    assert [f.name for f in result.model.file.parent.iterdir()] == ["model.onnx"], "no leftovers"


def test_excluded_layers_are_named(digits, context) -> None:
    options = QuantizeOrt(subset_size=8, ignored=("conv3", "typo"), keep_first=True, keep_last=True)
    notes = {note.where: note.reason for note in run(options, digits.graph, context()).notes}
    assert set(notes) == {"conv1", "conv3", "linear", "typo"}
    assert "keep_last" in notes["linear"]


def test_kinds_of_operators_can_be_chosen(digits, context) -> None:
    result = run(QuantizeOrt(subset_size=8, op_types=("Gemm",)), digits.graph, context())
    assert {note.where for note in result.notes} == {"conv1", "conv2", "conv3"}


def test_the_reader_gives_slices_in_order_and_starts_anew(digits) -> None:
    reader = _Reader(Rows(digits.repair, 6, 0))
    whole = [row["image"] for row in reader]
    assert len(whole) == len(reader) == 6
    sliced = []
    for start in (0, 2, 4):
        reader.set_range(start, start + 2)
        sliced += [row["image"] for row in reader]
        assert reader.get_next() is None
    np.testing.assert_array_equal(np.concatenate(whole), np.concatenate(sliced))


# With 8 bits the kernels' sums overflow on CPUs that add them up in 16: see the space of settings.
EVERYWHERE = QuantizeDynamic(reduce_range=True)


def test_few_rows_are_alive_at_once(digits, attention) -> None:
    feed = type(digits.repair)(x=np.zeros((64, 3, 16), np.float32))
    assert _stride(attention, Rows(feed, 64, 0), Calibration.ENTROPY) == 1, "ragged rows"
    assert _stride(digits.graph, Rows(digits.repair, 128, 0), Calibration.ENTROPY) == 8
    assert _stride(digits.graph, Rows(digits.repair, 7, 0), Calibration.ENTROPY) == 7
    assert _stride(digits.graph, Rows(digits.repair, 13, 0), Calibration.ENTROPY) == 1


def test_ragged_rows_can_be_calibrated_by_histogram(attention, context, execute) -> None:
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(1, length, 16)).astype(np.float32) for length in (3, 5, 4, 6)]

    class Feed:
        def __len__(self) -> int:
            return len(rows)

        def batches(self, size, limit=None):
            assert size == 1
            yield from ({"x": row} for row in rows[:limit])

        def rows(self, indices):
            (index,) = indices
            return {"x": rows[index]}

    options = QuantizeOrt(calibration=Calibration.PERCENTILE, percentile=100.0, reduce_range=True)
    made = run(options, attention, context(repair=Feed())).model
    want, got = (execute(graph, {"x": rows[0]}) for graph in (attention, made))
    assert np.corrcoef(want.ravel(), got.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("options", [{"subset_size": 0}, {"percentile": 20.0}])
def test_refuses_options_out_of_range(options) -> None:
    with pytest.raises(OptionError):
        QuantizeOrt(**options)


def test_refuses_without_samples(digits, context) -> None:
    with pytest.raises(RequirementError, match="needs samples"):
        run(QuantizeOrt(), digits.graph, context(repair=None))


def test_it_is_silent(digits, context, capfd) -> None:
    run(QuantizeOrt(subset_size=8, calibration=Calibration.ENTROPY), digits.graph, context())
    assert capfd.readouterr() == ("", "")


def test_dynamic_needs_no_samples(attention, context, execute) -> None:
    made = run(EVERYWHERE, attention, context(repair=None)).model
    kinds = [node.op_type for node in read_onnx(made).graph.node]
    assert kinds.count("MatMulInteger") == 4, "those with weights, not the two of attention"
    rows = np.random.default_rng(0).normal(size=(3, 7, 16)).astype(np.float32)
    want, got = (execute(graph, {"x": rows}) for graph in (attention, made))
    assert np.corrcoef(want.ravel(), got.ravel())[0, 1] > 0.999


def test_dynamic_leaves_named_layers(attention, context) -> None:
    made = run(QuantizeDynamic(ignored=("query",), keep_last=True), attention, context()).model
    kinds = [node.op_type for node in read_onnx(made).graph.node]
    assert kinds.count("MatMulInteger") == 2


def test_dynamic_says_when_there_is_nothing(digits, context) -> None:
    with pytest.raises(PostconditionError, match="no LSTM"):
        run(QuantizeDynamic(op_types=("LSTM",)), digits.graph, context())


@pytest.mark.parametrize("per_channel", [True, False])
def test_a_transposed_convolution_in_groups_with_a_bias(
    digits, context, tmp_path: Path, per_channel: bool
) -> None:
    """One scale for each channel of a group doesn't fit a bias of all groups' channels."""
    generator = np.random.default_rng(0)
    body = """
    net (float[batch, 4, 6, 6] x) => (float[batch, 6, 9, 9] y) {
        c = Conv <pads = [1, 1, 1, 1]> (x, w)
        y = ConvTranspose <group = 2, kernel_shape = [4, 4]> (c, t, b)
    }"""
    shapes = {"w": (4, 4, 3, 3), "t": (4, 3, 4, 4), "b": (6,)}
    weights = {k: generator.standard_normal(s).astype(np.float32) for k, s in shapes.items()}
    graph = write_onnx(make_graph(body, weights), tmp_path, "net")
    x = generator.standard_normal((16, 4, 6, 6)).astype(np.float32)
    feed = type(digits.repair)(x=x)
    quantise = QuantizeOrt(per_channel=per_channel, subset_size=16)
    result = run(quantise, graph, context(reference=graph, repair=feed))
    assert [note.where for note in result.notes] == ["ConvTranspose_1"] * per_channel
    assert all("fit its bias" in note.reason for note in result.notes)
    want, have = (run_graph(g, {"x": x})["y"] for g in (graph, result.model))
    assert 0 < np.sqrt(np.mean((have - want) ** 2)) < 0.05 * want.std()


def test_dynamic_quantises_lstms(context, tmp_path: Path) -> None:
    net = RecurrentNet()
    graph = net.onnx(tmp_path)
    made = run(EVERYWHERE, graph, context(reference=graph)).model
    kinds = [node.op_type for node in read_onnx(made).graph.node]
    assert kinds.count("DynamicQuantizeLSTM") == 2
    assert made.size_bytes() < 0.6 * graph.size_bytes()
    inputs = net.inputs(3)
    difference = run_graph(made, inputs)["y"] - net.answer(inputs)["y"]
    assert 0 < np.abs(difference).max() < 0.05


@pytest.mark.parametrize("kind", ["GRU", "RNN"])
def test_dynamic_refuses_recurrent_layers_that_it_would_leave_in_float(kind: str) -> None:
    with pytest.raises(OptionError, match=kind):
        QuantizeDynamic(op_types=(kind, "MatMul"))


def test_dynamic_refuses_kinds_without_a_dynamic_form() -> None:
    with pytest.raises(OptionError, match="Relu"):
        QuantizeDynamic(op_types=("Relu",))

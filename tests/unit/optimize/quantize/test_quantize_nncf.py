from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from whet.core.passes import run
from whet.core.recipe import Step
from whet.core.settings import Settings
from whet.errors import OptionError, PostconditionError, RequirementError
from whet.optimize.build import build
from whet.optimize.graph.io import read_onnx, write_onnx
from whet.optimize.graph.quantize.nncf import Bias, HalfRange, QuantizeNncf, QuantizeNncfIr, Ranges
from whet.optimize.graph.runs import run_graph
from whet.runtimes.ov import OpenVinoRuntime
from whet.testing.small_graphs import make_graph

PASSES = (QuantizeNncf, QuantizeNncfIr)


@pytest.fixture(params=PASSES, ids=["onnx", "ir"])
def both(request, digits, digits_ir):
    """Each pass with the graph that it takes."""
    return request.param, digits.graph if request.param is QuantizeNncf else digits_ir


def test_int8_keeps_top1_and_moves_the_answers_a_little(both, digits, context, execute) -> None:
    kind, graph = both
    result = run(kind(subset_size=64), graph, context())
    want = execute(graph, {"image": digits.images})
    got = execute(result.model, {"image": digits.images})
    assert digits.top1(want) > 0.93
    assert digits.top1(got) > digits.top1(want) - 0.02
    error = np.sum((got - want) ** 2) / np.sum((want - want.mean(axis=0)) ** 2)
    assert 1e-6 < error < 0.02
    assert result.changed
    assert result.notes == ()
    assert result.model.signature == graph.signature


def test_weights_are_stored_as_integers(both, context) -> None:
    kind, graph = both
    result = run(kind(subset_size=16), graph, context())
    before, after = (sum(f.stat().st_size for f in g.files()[-1:]) for g in (graph, result.model))
    assert after < 0.5 * before


def test_onnx_initialisers_are_int8(digits, context) -> None:
    model = read_onnx(run(QuantizeNncf(subset_size=16), digits.graph, context()).model)
    kinds = {tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) >= 2}
    assert kinds == {3}, "TensorProto.INT8 alone"


def test_the_given_graph_stays_as_it_is(both, context) -> None:
    kind, graph = both
    before = graph.digest()
    run(kind(subset_size=8), graph, context())
    assert graph.digest() == before


def test_the_same_seed_gives_the_same_answers(both, digits, context, execute) -> None:
    kind, graph = both
    got = [
        execute(
            run(kind(subset_size=20, seed=seed), graph, context()).model, {"image": digits.images}
        )
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(got[0], got[1])
    assert not np.array_equal(got[0], got[2])


def test_layers_left_wide_are_named_with_their_reason(both, context) -> None:
    kind, graph = both
    options = kind(subset_size=8, ignored=("conv2", "typo"), keep_first=True, keep_last=True)
    notes = run(options, graph, context()).notes
    reasons = {note.where.removesuffix("/WithoutBiases"): note.reason for note in notes}
    assert reasons == {
        "conv1": "Left in float: next to an input (keep_first).",
        "conv2": "Left in float: named in 'ignored'.",
        "linear": "Left in float: next to an output (keep_last).",
        "typo": "Named in 'ignored', but no operator has that name.",
    }


@pytest.mark.parametrize(
    "options",
    [
        {"ranges": Ranges.HISTOGRAM},
        {"ranges": Ranges.PERCENTILE, "bias": Bias.NONE},
        {"bias": Bias.FULL, "half_range": HalfRange.NONE},
        {"per_channel": False, "half_range": HalfRange.ALL},
    ],
)
def test_every_part_of_the_algorithm_can_be_chosen(
    options, digits, digits_ir, context, execute
) -> None:
    made = run(QuantizeNncfIr(subset_size=16, **options), digits_ir, context()).model
    assert digits.top1(execute(made, {"image": digits.images})) > 0.9


def test_smooth_quant_takes_outliers_of_activations_into_weights(
    attention, digits, context, execute, tmp_path
) -> None:
    from onnx import numpy_helper

    rng = np.random.default_rng(0)
    rows = rng.normal(size=(24, 5, 16)).astype(np.float32)
    # One channel of the input is large and its weights are small: the function is that
    # of the plain network, but one scale for all channels serves this one alone.
    rows[..., 3] *= 60
    model = read_onnx(attention)
    for tensor in model.graph.initializer:
        if tensor.name in {"wq", "wk", "wv"}:
            weight = numpy_helper.to_array(tensor).copy()
            weight[3] /= 60
            tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    attention = write_onnx(model, tmp_path, "outlier", attention.signature)

    ctx = context(repair=type(digits.repair)(x=rows))
    want = execute(attention, {"x": rows})

    def error(alpha: float | None) -> float:
        made = run(QuantizeNncf(subset_size=24, smooth_quant_alpha=alpha), attention, ctx).model
        got = execute(made, {"x": rows})
        return float(np.sum((got - want) ** 2) / np.sum((want - want.mean(axis=0)) ** 2))

    assert error(0.5) < 0.7 * error(None)


def test_smooth_quant_says_where_it_does_nothing(both, context) -> None:
    kind, graph = both
    options = {"smooth_quant_alpha": 0.5, "smooth_quant_conv_alpha": 0.3}
    made = run(kind(subset_size=8, **options), graph, context())
    assert [note.where for note in made.notes] == list(options)
    assert all("rules for attention" in note.reason for note in made.notes)
    plain = run(kind(subset_size=8), graph, context())
    sizes = [[file.stat().st_size for file in m.model.files()] for m in (made, plain)]
    assert sizes[0] == sizes[1], "it was skipped indeed"
    forced = run(kind(subset_size=8, transformer=True, **options), graph, context())
    assert forced.notes == ()


def test_smooth_quant_of_convolutions_that_are_not_there(attention, digits, context) -> None:
    rows = np.random.default_rng(0).normal(size=(8, 5, 16)).astype(np.float32)

    options = QuantizeNncf(subset_size=8, smooth_quant_alpha=0.5, smooth_quant_conv_alpha=0.3)
    notes = run(options, attention, context(repair=type(digits.repair)(x=rows))).notes
    assert [(n.where, n.reason) for n in notes if "smooth" in n.where] == [
        ("smooth_quant_conv_alpha", "Skipped: the graph has no convolution with weights.")
    ]


@pytest.mark.parametrize(
    ("kind", "gates", "why"), [("LSTM", 4, "first state"), ("GRU", 3, "no int8 kernel")]
)
def test_recurrent_layers_of_openvino_stay_in_float_and_are_named(
    digits, context, tmp_path: Path, kind: str, gates: int, why: str
) -> None:
    """In int8 LSTMs answer nothing but zeros, and graphs with GRUs are refused."""
    generator = np.random.default_rng(0)
    body = f"""
    net (float[batch, 9, 8] x) => (float[batch, 5] y) {{
        steps = Transpose <perm = [1, 0, 2]> (x)
        , last = {kind} <hidden_size = 32> (steps, w, r)
        state = Squeeze (last, zero)
        y = MatMul (state, head)
    }}"""
    shapes = {"w": (1, gates * 32, 8), "r": (1, gates * 32, 32), "head": (32, 5)}
    weights = {k: generator.standard_normal(s).astype(np.float32) / 3 for k, s in shapes.items()}
    model = make_graph(body, {**weights, "zero": np.array([0])})
    graph = write_onnx(model, tmp_path / "float", "net")
    x = generator.standard_normal((16, 9, 8)).astype(np.float32)
    ctx = context(reference=graph, repair=type(digits.repair)(x=x))
    made = build((Step("convert-ir"), Step("quantize-nncf-ir", {"subset_size": 16})), graph, ctx)
    (note,) = made.notes
    assert note.where.startswith(f"{kind}Sequence")
    assert why in note.reason
    want = run_graph(graph, {"x": x})["y"]
    with OpenVinoRuntime().open(made.model.file, made.model, Settings()) as session:
        have = session.run({"x": x})["y"]
    assert 0.98 < np.corrcoef(have.ravel(), want.ravel())[0, 1] < 1


def test_nothing_to_quantise_is_an_error_not_a_copy(digits, context) -> None:
    ignored = ("conv1", "conv2", "conv3", "add3", "linear")
    with pytest.raises(PostconditionError, match="nothing to quantise"):
        run(QuantizeNncf(subset_size=4, ignored=ignored), digits.graph, context())


def test_refuses_without_samples(both, context) -> None:
    kind, graph = both
    with pytest.raises(RequirementError, match="needs samples"):
        run(kind(), graph, context(repair=None))


def test_refuses_the_other_format(digits, digits_ir, context) -> None:
    with pytest.raises(RequirementError, match="takes onnx"):
        run(QuantizeNncf(), digits_ir, context())
    with pytest.raises(RequirementError, match="takes openvino"):
        run(QuantizeNncfIr(), digits.graph, context())


@pytest.mark.parametrize("options", [{"subset_size": 0}, {"smooth_quant_alpha": 1.5}])
def test_refuses_options_out_of_range(options) -> None:
    with pytest.raises(OptionError):
        QuantizeNncf(**options)


def test_it_is_silent(digits_ir, context, capfd) -> None:
    run(QuantizeNncfIr(subset_size=8), digits_ir, context())
    assert capfd.readouterr() == ("", "")


def test_nothing_reports_home() -> None:
    """In a process of its own: NNCF switches its reports off by itself where it sees pytest."""
    program = (
        "import logging, sys\n"
        "plain = logging.getLoggerClass()\n"
        "from whet._optional import require\n"
        "require('openvino', 'test')\n"
        "from whet.optimize.graph.quantize._quiet import quiet_nncf\n"
        "with quiet_nncf():\n"
        "    import nncf.telemetry.decorator as inside\n"
        "    assert type(inside.telemetry).__name__ == 'NoReports'\n"
        "import nncf.telemetry.wrapper as wrapper, openvino.tools.ovc as ovc\n"
        "assert not isinstance(wrapper.telemetry, wrapper.NNCFTelemetry)\n"
        "assert type(ovc.telemetry).__module__.endswith('telemetry_stub')\n"
        "assert sys.modules['openvino_telemetry'] is None\n"
        "assert logging.getLoggerClass() is plain\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

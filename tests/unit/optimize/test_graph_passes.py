from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.passes import run
from whet.core.recipe import Step
from whet.data.transform import ImageTransform
from whet.errors import OptionError, PostconditionError, RequirementError
from whet.optimize.build import build, pass_of, step_of
from whet.optimize.graph.affine import fold_affine
from whet.optimize.graph.cast import Cast
from whet.optimize.graph.facts import facts
from whet.optimize.graph.fold import FoldTransform
from whet.optimize.graph.fuse import Fuse
from whet.optimize.graph.io import read_onnx, write_onnx
from whet.optimize.graph.runs import largest_difference, run_graph, run_proto, synthetic
from whet.optimize.graph.sound import ensure_sound, write_kept
from whet.optimize.graph.tidy import Tidy
from whet.testing.small_graphs import make_graph, plain, unfused, untidy


def context(graph: Artifact, folder: Path) -> Context:
    return Context(workdir=folder, reference=graph)


def operators(graph: Artifact) -> Counter[str]:
    return Counter(node.op_type for node in read_onnx(graph).graph.node)


def test_tidy_leaves_only_what_is_needed(tmp_path: Path) -> None:
    graph = untidy(tmp_path / "in")
    result = run(Tidy(), graph, context(graph, tmp_path / "out"))
    assert operators(result.model) == operators(plain(tmp_path / "plain"))
    assert result.model.size_bytes() < graph.size_bytes() - 16_000
    assert "not needed" in result.notes[0].reason


def test_fuse_folds_every_spelling(tmp_path: Path) -> None:
    graph = unfused(tmp_path / "in")
    result = run(Fuse(), graph, context(graph, tmp_path / "out"))
    assert operators(result.model) == operators(plain(tmp_path / "plain"))
    said = " ".join(note.reason for note in result.notes)
    for what in (
        "Conv + BatchNormalization",
        "Conv + Mul",
        "Conv + Add",
        "Conv + Div",
        "Gemm + Sub",
    ):
        assert f"1 × {what}" in said


def test_fuse_says_that_there_is_no_attention(tmp_path: Path) -> None:
    graph = plain(tmp_path / "in")
    result = run(Fuse(target="onnxruntime"), graph, context(graph, tmp_path / "out"))
    assert not result.changed
    assert "no attention" in result.notes[0].reason


KEPT = {
    "used twice": "c = Conv (x, w)\n m = Mul (c, k)\n y = Add (m, c)",
    "over width": "c = Conv (x, w)\n y = Mul (c, columns)",
    "an output": "c = Conv (x, w)\n y = Relu (c)",
    "not constant": "c = Conv (x, w)\n g = GlobalAveragePool (c)\n y = Mul (c, g)",
    "constant first": "c = Conv (x, w)\n y = Sub (k, c)",
    "divided by zero": "c = Conv (x, w)\n y = Div (c, zeros)",
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT.keys())
def test_what_is_no_map_a_channel_stays(body: str) -> None:
    generator = np.random.default_rng(0)
    weights = {
        "w": generator.standard_normal((4, 2, 1, 1)).astype(np.float32),
        "k": np.ones((4, 1, 1), np.float32),
        "columns": np.arange(1, 6, dtype=np.float32),
        "zeros": np.zeros((4, 1, 1), np.float32),
    }
    used = {
        name: value for name, value in weights.items() if f"{name})" in body or f"({name}," in body
    }
    model = make_graph(f"g (float[n, 2, 5, 5] x) => (float[n, 4, 5, 5] y) {{\n{body}\n}}", used)
    assert fold_affine(model) == Counter()


def test_a_shared_weight_is_copied_not_changed() -> None:
    weights = {"w": np.full((2, 2, 1, 1), 0.5, np.float32), "k": np.float32([[[3]], [[5]]])}
    body = "a = Conv (x, w)\n m = Mul (a, k)\n b = Conv (x, w)\n y = Add (m, b)"
    model = make_graph(f"g (float[n, 2, 3, 3] x) => (float[n, 2, 3, 3] y) {{\n{body}\n}}", weights)
    before = onnx.ModelProto()
    before.CopyFrom(model)
    inputs = {"x": np.random.default_rng(1).standard_normal((2, 2, 3, 3)).astype(np.float32)}
    want = run_proto(before, inputs)
    assert fold_affine(model) == Counter({"Conv + Mul": 1})
    assert largest_difference(want, run_proto(model, inputs)) < 1e-6


@pytest.mark.parametrize("shape", [(8,), (1, 8), (1, 1), (8, 1), (8, 8)])
def test_a_bias_by_row_is_left_alone(shape: tuple[int, ...]) -> None:
    draw = np.random.default_rng(0).standard_normal
    weights = {"w": draw((4, 8)), "c": draw(shape), "k": draw(8)}
    body = "a = Gemm (x, w, c)\n y = Mul (a, k)"
    model = make_graph(
        f"g (float[8, 4] x) => (float[8, 8] y) {{\n{body}\n}}",
        {name: value.astype(np.float32) for name, value in weights.items()},
    )
    inputs = {"x": draw((8, 4)).astype(np.float32)}
    want = run_proto(model, inputs)
    assert bool(fold_affine(model)) is (shape in {(8,), (1, 8), (1, 1)})
    assert largest_difference(want, run_proto(model, inputs)) < 1e-5


@settings(max_examples=15)
@given(
    kind=st.sampled_from(["Conv", "ConvTranspose", "Gemm", "GemmT"]),
    op=st.sampled_from(["Mul", "Add", "Sub", "Div"]),
    scalar=st.booleans(),
    bias=st.booleans(),
    seed=st.integers(0, 999),
)
def test_folding_never_changes_the_answer(
    kind: str, op: str, scalar: bool, bias: bool, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    picture = kind.startswith("Conv")
    shape = {"Conv": (3, 2, 2, 2), "ConvTranspose": (2, 3, 2, 2), "Gemm": (2, 3), "GemmT": (3, 2)}[
        kind
    ]
    constant = (1,) if scalar else ((3, 1, 1) if picture else (3,))
    weights = {
        "w": generator.standard_normal(shape).astype(np.float32),
        "k": (generator.random(constant) + 0.5).astype(np.float32),
    }
    if bias:
        weights["b"] = generator.standard_normal(3).astype(np.float32)
    attribute = " <transB = 1>" if kind == "GemmT" else ""
    dims = "n, 2, 4, 4" if picture else "n, 2"
    name = kind.removesuffix("T") if kind == "GemmT" else kind
    model = make_graph(
        f"g (float[{dims}] x) => (float[] y) {{\n"
        f"c = {name}{attribute} (x, w{', b' if bias else ''})\n y = {op} (c, k)\n}}",
        weights,
    )
    model.graph.output[0].type.tensor_type.ClearField("shape")
    size = (2, 2, 4, 4) if picture else (2, 2)
    inputs = {"x": generator.standard_normal(size).astype(np.float32)}
    want = run_proto(model, inputs)
    assert sum(fold_affine(model).values()) == 1
    assert len(model.graph.node) == 1
    assert largest_difference(want, run_proto(model, inputs)) < 1e-5


def _deep(layers: int) -> onnx.ModelProto:
    """Convolutions with a scale, a shift and a rectifier behind each."""
    draw = np.random.default_rng(0).standard_normal
    weights = {f"w{i}": draw((2, 2, 1, 1)).astype(np.float32) for i in range(layers)}
    weights |= {f"k{i}": draw((2, 1, 1)).astype(np.float32) for i in range(layers)}
    lines = [
        f"c{i} = Conv (r{i}, w{i})\n m{i} = Mul (c{i}, k{i})\n a{i} = Add (m{i}, k{i})\n"
        f"r{i + 1} = Relu (a{i})"
        for i in range(layers)
    ]
    head = f"g (float[n, 2, 3, 3] r0) => (float[n, 2, 3, 3] r{layers})"
    return make_graph(f"{head} {{\n" + "\n".join(lines) + "\n}", weights)


def test_folding_takes_what_follows_the_folded_and_leaves_nothing_behind() -> None:
    model = _deep(3)
    inputs = {"r0": np.random.default_rng(1).standard_normal((2, 2, 3, 3)).astype(np.float32)}
    want = run_proto(model, inputs)
    assert fold_affine(model) == Counter({"Conv + Mul": 3, "Conv + Add": 3})
    assert [node.op_type for node in model.graph.node] == ["Conv", "Relu"] * 3
    assert len(model.graph.initializer) == 6
    assert largest_difference(want, run_proto(model, inputs)) < 1e-5


def test_folding_takes_time_in_proportion_to_the_layers() -> None:
    def seconds(layers: int) -> float:
        model = _deep(layers)
        started = time.process_time()
        assert sum(fold_affine(model).values()) == 2 * layers
        return time.process_time() - started

    seconds(10)
    # 64 times as much where each fold looks at the whole graph.
    assert seconds(400) < 20 * min(seconds(50) for _ in range(3))


PICTURES = ImageTransform(size=(8, 8), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def test_folded_arithmetic_equals_the_transform_to_rounding(tmp_path: Path) -> None:
    graph = plain(tmp_path / "in")
    result = run(FoldTransform.of(PICTURES), graph, context(graph, tmp_path / "out"))
    model = read_onnx(result.model)
    # The value that the network itself takes, made an output.
    model.graph.output.append(onnx.ValueInfoProto(name="input_normalised"))
    raw = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    got = run_proto(model, {"input": raw}, ["input_normalised"])["input_normalised"]
    np.testing.assert_allclose(got, PICTURES.arithmetic(raw), rtol=2e-6, atol=5e-7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": "other"}, "no input 'other'"),
        ({"height": 9}, "The graph takes"),
        ({"layout": "NHWC"}, "The graph takes"),
        ({"mean": (0.5,), "std": (0.5,)}, "The graph takes"),
    ],
)
def test_a_transform_that_does_not_fit_is_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    graph = plain(tmp_path)
    step = step_of(FoldTransform.of(PICTURES))
    wrong = pass_of(Step(step.name, {**step.options, **change}))
    with pytest.raises(RequirementError, match=message) as caught:
        run(wrong, graph, context(graph, tmp_path / "out"))
    assert caught.value.remedy


def test_cast_halves_the_file_and_keeps_what_would_overflow(tmp_path: Path) -> None:
    large = {"w": np.full((32, 32), 1e5, np.float32), "v": np.ones((32, 32), np.float32)}
    body = "g (float[n, 32] x) => (float[n, 32] y) {\n h = MatMul (x, v)\n y = MatMul (h, w)\n}"
    graph = write_onnx(make_graph(body, large), tmp_path / "in", "g")
    result = run(Cast(), graph, context(graph, tmp_path / "out"))
    kinds = {t.dims[0]: Counter() for t in read_onnx(result.model).graph.initializer}
    for tensor in read_onnx(result.model).graph.initializer:
        kinds[tensor.dims[0]][tensor.data_type] += 1
    assert kinds == {32: Counter({onnx.TensorProto.FLOAT: 1, onnx.TensorProto.FLOAT16: 1})}
    assert result.notes[0].where == "w"
    assert "too large for fp16" in result.notes[0].reason


def test_cast_can_change_inputs_and_outputs(tmp_path: Path) -> None:
    graph = plain(tmp_path / "in")
    result = run(Cast(compute=True, keep_io=False), graph, context(graph, tmp_path / "out"))
    assert {s.dtype for s in (*result.model.signature.inputs, *result.model.signature.outputs)} == {
        "float16"
    }


def test_a_pass_that_loses_the_signature_is_caught(tmp_path: Path) -> None:
    graph = plain(tmp_path / "in")
    model = read_onnx(graph)
    model.graph.output[0].name = "f"
    with pytest.raises(PostconditionError, match="changed the signature"):
        write_kept(model, graph, context(graph, tmp_path / "out"), "tidy")
    broken = write_onnx(model, tmp_path / "out", "broken", graph.signature)
    with pytest.raises(PostconditionError):
        ensure_sound(broken, "tidy")


def test_facts_of_a_small_network(tmp_path: Path) -> None:
    found = facts(plain(tmp_path))
    # 8x8 outputs of 4 channels from 27 taps; 3x3 outputs of 6 channels from 36 taps; 6x5.
    assert [layer.macs for layer in found.layers] == [64 * 4 * 27, 9 * 6 * 36, 30]
    assert found.parameters == 4 * 27 + 4 + 6 * 36 + 30 + 5
    assert found.weight_bytes == 4 * found.parameters
    first = found.layers[0]
    assert first.bytes_moved == 4 * (3 * 64 + 4 * 64 + 4 * 27 + 4)
    assert found.kind == "cnn"
    assert found.unknown == ()
    assert found.ops["Conv"] == 2


def test_facts_count_halved_weights_at_half_the_bytes(tmp_path: Path) -> None:
    graph = plain(tmp_path / "in")
    halved = run(Cast(smallest=1), graph, context(graph, tmp_path / "out")).model
    before, after = facts(graph), facts(halved)
    assert (after.macs, after.parameters) == (before.macs, before.parameters)
    assert 2 * after.weight_bytes == before.weight_bytes
    assert after.bytes_moved < before.bytes_moved


def test_facts_at_given_sizes_and_of_attention(tmp_path: Path) -> None:
    body = """
    g (float[batch, sequence, 8] x) => (float[batch, sequence, 8] y) {
        q = MatMul (x, w)
        t = Transpose <perm = [0, 2, 1]> (q)
        s = MatMul (q, t)
        p = Softmax (s)
        y = MatMul (p, q)
    }"""
    graph = write_onnx(make_graph(body, {"w": np.ones((8, 8), np.float32)}), tmp_path, "g")
    found = facts(graph, {"sequence": 10})
    assert found.macs == 10 * 64 + 2 * 10 * 10 * 8
    assert found.kind == "transformer"
    assert found.sizes == {"batch": 1, "sequence": 10}


def test_build_runs_steps_in_order_and_in_folders_of_their_own(tmp_path: Path) -> None:
    graph = unfused(tmp_path / "in")
    steps = (Step("tidy"), Step("fuse"), Step("cast", {"weights": "fp16", "smallest": 16}))
    result = build(steps, graph, context(graph, tmp_path / "out"))
    assert result.changed
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"0-tidy", "1-fuse", "2-cast"}
    inputs = synthetic(graph.signature, {"batch": 2})
    assert largest_difference(run_graph(graph, inputs), run_graph(result.model, inputs)) < 2e-3


def test_build_without_steps_gives_the_graph_back(tmp_path: Path) -> None:
    graph = plain(tmp_path)
    result = build((), graph, context(graph, tmp_path / "out"))
    assert (result.model, result.changed) == (graph, False)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Step("polish"), "no pass called 'polish'"),
        (Step("cast", {"colour": "red"}), "no option colour"),
        (Step("cast", {"weights": "fp8"}), "option of the pass 'cast' is wrong"),
        (Step("cast", {"smallest": "many"}), "option of the pass 'cast' is wrong"),
        (Step("cast", {"smallest": 0}), "smallest=0 is no size"),
        (Step("cast", {"weights": "bf16", "compute": True}), "can't compute in bf16"),
        (Step("fuse", {"target": 3}), "option of the pass 'fuse' is wrong"),
        (Step("fold-transform"), "option of the pass 'fold-transform' is wrong"),
    ],
)
def test_build_refuses_wrong_steps_before_it_runs_any(
    tmp_path: Path, step: Step, message: str
) -> None:
    graph = plain(tmp_path / "in")
    with pytest.raises(OptionError, match=message):
        build((Step("tidy"), step), graph, context(graph, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_steps_leave_defaults_out() -> None:
    assert step_of(Cast()) == Step("cast", {})
    assert step_of(Fuse(target="onnxruntime")) == Step("fuse", {"target": "onnxruntime"})

"""From modules and files to graphs: axes, names, parity, fixed shapes, first causes."""

from __future__ import annotations

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from whet.core.artifact import Artifact, Format
from whet.core.spec import Arrays, TensorSpec
from whet.errors import EngineError, ExportError, NetworkError, SamplesError
from whet.optimize.export import Exported, export
from whet.optimize.graph.io import read_onnx, signature_of
from whet.optimize.graph.runs import run_graph
from whet.optimize.intake import load_network
from whet.testing.small_graphs import make_graph

IDS = (
    TensorSpec("input_ids", "int64", ("batch", "length")),
    TensorSpec("attention_mask", "int64", ("n", "length")),
)


class Encoder(nn.Module):
    """Two token inputs, two named outputs, one of them called after an inner module."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.head = nn.Linear(8, 3)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, scale: float = 1.0
    ) -> dict[str, torch.Tensor | None]:
        mask = attention_mask.unsqueeze(-1).float()
        pooled = (self.embedding(input_ids) * mask).sum(1) / mask.sum(1)
        return {"logits": self.head(pooled) * scale, "embedding": pooled, "loss": None}


def tokens(rows: int = 3, length: int = 5) -> Arrays:
    generator = np.random.default_rng(0)
    mask = np.ones((rows, length), np.int64)
    mask[-1, 2:] = 0
    return {"input_ids": generator.integers(0, 50, (rows, length)), "attention_mask": mask}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Exported]:
    torch.manual_seed(0)
    module = Encoder().eval()
    # The samples list the inputs in another order than forward does.
    folder = tmp_path_factory.mktemp("encoder")
    return module, export(load_network(module), IDS[::-1], tokens(), folder)


def test_one_batch_and_one_sequence_in_graph_and_signature(
    encoder: tuple[nn.Module, Exported],
) -> None:
    _, exported = encoder
    signature = exported.graph.signature
    assert [str(s) for s in signature.inputs] == [
        "input_ids: int64[batch, sequence]",
        "attention_mask: int64[batch, sequence]",
    ]
    assert [str(s) for s in signature.outputs] == [
        "logits: float32[batch, 3]",
        "embedding: float32[batch, 8]",
    ]
    assert signature_of(read_onnx(exported.graph)) == signature
    assert exported.program is not None
    assert exported.program.signature == signature
    assert exported.program.format is Format.TORCH


@pytest.mark.parametrize(("rows", "length"), [(1, 2), (4, 9), (7, 1)])
def test_graph_and_program_answer_as_the_module_at_other_sizes(
    encoder: tuple[nn.Module, Exported], rows: int, length: int
) -> None:
    module, exported = encoder
    inputs = tokens(rows, length) if length > 1 else {k: v[:, :1] for k, v in tokens(rows).items()}
    tensors = [torch.from_numpy(inputs[s.name]) for s in exported.graph.signature.inputs]
    with torch.inference_mode():
        want = module(*tensors)
    got = run_graph(exported.graph, inputs)
    for name in ("logits", "embedding"):
        np.testing.assert_allclose(got[name], want[name].numpy(), rtol=1e-5, atol=1e-6)
    assert exported.program is not None
    program = torch.export.load(exported.program.path).module(check_guards=False)
    torch.testing.assert_close(program(*tensors)[0], want["logits"])


def test_the_graph_carries_no_diary_of_the_machine(encoder: tuple[nn.Module, Exported]) -> None:
    _, exported = encoder
    blob = exported.graph.file.read_bytes()
    assert b"site-packages" not in blob
    assert b"test_export" not in blob
    assert exported.graph.sidecars == ()


def test_nothing_is_printed_or_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    export(
        load_network(nn.Linear(3, 2).eval()),
        vectors(),
        {"x": np.ones((2, 3), np.float32)},
        tmp_path,
    )
    assert capfd.readouterr() == ("", "")
    assert [r for r in caplog.records if r.levelno >= logging.INFO] == []


def vectors(name: str = "x", width: int = 3) -> tuple[TensorSpec, ...]:
    return (TensorSpec(name, "float32", ("batch", width)),)


def rows(name: str = "x", width: int = 3, count: int = 2) -> Arrays:
    return {name: np.random.default_rng(0).standard_normal((count, width)).astype(np.float32)}


def test_a_single_input_may_have_any_name_and_one_row(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).eval()
    exported = export(
        load_network(module), vectors("in/put:0"), rows("in/put:0", count=1), tmp_path
    )
    assert exported.graph.signature.inputs[0].name == "in/put:0"
    assert exported.graph.signature.outputs[0].name == "output"
    assert run_graph(exported.graph, rows("in/put:0", count=4))["output"].shape == (4, 2)


class Fixed(nn.Module):
    """Has its batch written into the code."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(1, 3) * 2 + x.shape[0]


def test_a_fixed_batch_is_a_note_and_not_an_error(tmp_path: Path) -> None:
    exported = export(load_network(Fixed().eval()), vectors(), rows(), tmp_path)
    assert exported.graph.signature.inputs[0].shape == (1, 3)
    assert exported.graph.signature.batch_symbol is None
    assert any("'batch' can't be dynamic" in note.reason for note in exported.notes)
    one = rows(count=1)
    np.testing.assert_allclose(run_graph(exported.graph, one)["output"], one["x"] * 2 + 1)


class Positions(nn.Module):
    """Only 16 positions are known."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.rand(1, 16))

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return input_ids.float() + self.table[:, : input_ids.shape[1]]


def test_an_axis_with_an_end_stays_dynamic_below_it(tmp_path: Path) -> None:
    specs = (TensorSpec("input_ids", "int64", ("batch", "sequence")),)
    example = {"input_ids": np.arange(10).reshape(2, 5)}
    exported = export(load_network(Positions().eval()), specs, example, tmp_path)
    assert exported.graph.signature.inputs[0].shape == ("batch", "sequence")
    assert run_graph(exported.graph, {"input_ids": np.ones((1, 16), np.int64)})["output"].shape == (
        1,
        16,
    )


class Branches(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:
            return x + 1
        return x - 1


class Fails(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise ValueError("the width must be even\nand so on")


class Nothing(nn.Module):
    def forward(self, x: torch.Tensor) -> str:
        return "nothing"


class Random(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


class NoOnnxForm(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.svdvals(x)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            Branches(),
            r"control flow depends on the values of its inputs \(test_export.py, line \d+\)",
        ),
        (Fails(), r"ValueError: the width must be even \(test_export.py, line \d+\)"),
        (Nothing(), "gives a str without tensors"),
        (Random(), "answers differ by"),
        (NoOnnxForm(), "has no ONNX form"),
    ],
)
def test_a_failed_export_names_its_first_cause(
    tmp_path: Path, module: nn.Module, message: str
) -> None:
    with pytest.raises(ExportError, match=message) as caught:
        export(load_network(module.eval()), vectors(), rows(), tmp_path)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


def test_names_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    with pytest.raises(
        NetworkError, match="takes input_ids, attention_mask, but the samples hold x"
    ):
        export(load_network(Encoder().eval()), vectors(), rows(), tmp_path)


BODY = "g (float[{batch}, 4] x) => (float[{batch}, 4] y) {{\n{nodes}\n}}"


def from_onnx(
    folder: Path, nodes: str, batch: object = "N", opset: int = 17, name: str = "x"
) -> Exported:
    weights = {"w": np.arange(4, dtype=np.float32)} if "w" in nodes else {}
    model = make_graph(BODY.format(batch=batch, nodes=nodes), weights, opset=opset, ir_version=4)
    onnx.save(model, str(folder / "source.onnx"))
    specs = (TensorSpec(name, "float32", ("batch", 4)),)
    return export(load_network(folder / "source.onnx"), specs, rows(name, 4, 5), folder / "out")


def test_an_onnx_file_gets_canonical_axes_and_keeps_its_opset(tmp_path: Path) -> None:
    exported = from_onnx(tmp_path, "y = Add (x, w)")
    assert exported.program is None
    assert [str(s) for s in exported.graph.signature.inputs] == ["x: float32[batch, 4]"]
    assert [str(s) for s in exported.graph.signature.outputs] == ["y: float32[batch, 4]"]
    model = read_onnx(exported.graph)
    assert model.opset_import[0].version == 17
    assert model.ir_version == 8
    assert exported.notes == ()


def test_a_file_of_which_every_tensor_lies_outside(tmp_path: Path) -> None:
    """ONNX Runtime can't infer a shape from a tensor in a data file, and refuses it as it is."""
    weights = np.arange(8, dtype=np.float32).reshape(4, 2)
    model = make_graph(
        "g (float[n, 2, 2] x) => (float[n, m] y) { r = Reshape (x, s)\n y = MatMul (r, w) }",
        {"s": np.array([-1, 4]), "w": weights},
    )
    file = tmp_path / "g.onnx"
    outside = {"save_as_external_data": True, "location": "g.bin", "size_threshold": 0}
    onnx.save(model, str(file), **outside)
    with pytest.raises(EngineError, match="external"):
        run_graph(Artifact(str(file), Format.ONNX, signature_of(model)), {"x": np.zeros((1, 2, 2))})
    given = (TensorSpec("x", "float32", ("batch", 2, 2)),)
    x = np.random.default_rng(0).random((3, 2, 2), np.float32)
    exported = export(load_network(file), given, {"x": x}, tmp_path / "out")
    assert run_graph(exported.graph, {"x": x})["y"] == pytest.approx(x.reshape(3, 4) @ weights)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["network.onnx"]
    assert sorted(path.name for path in tmp_path.glob("g.*")) == ["g.bin", "g.onnx"]


def test_an_old_opset_is_converted(tmp_path: Path) -> None:
    exported = from_onnx(tmp_path, "y = Relu (x)", opset=9)
    assert read_onnx(exported.graph).opset_import[0].version == 17
    assert "Converted from opset 9" in exported.notes[0].reason


def test_a_lone_input_takes_the_samples_name(tmp_path: Path) -> None:
    exported = from_onnx(tmp_path, "y = Relu (x)", name="mfcc")
    assert exported.graph.signature.inputs[0].name == "mfcc"
    assert "is called 'mfcc' here" in exported.notes[0].reason


def test_a_fixed_onnx_batch_is_freed_where_the_rows_do_not_notice(tmp_path: Path) -> None:
    exported = from_onnx(tmp_path, "y = Add (x, w)", batch=1)
    assert exported.graph.signature.batch_symbol == "batch"
    assert "made dynamic" in exported.notes[0].reason
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["network.onnx"]


def test_a_fixed_onnx_batch_stays_where_rows_would_mix(tmp_path: Path) -> None:
    exported = from_onnx(
        tmp_path,
        "s = CumSum (x, axis)\n y = Identity (s)".replace(
            "CumSum (x, axis)", "Softmax <axis = 0> (x)"
        ),
        batch=1,
    )
    assert exported.graph.signature.inputs[0].shape == (1, 4)
    assert "fixes the batch to 1" in exported.notes[0].reason


def _half(folder: Path, body: str, inputs: str = "float", outputs: str = "float") -> Exported:
    """An ONNX file with float16 weights, adopted; its answers are asked for at four rows."""
    generator = np.random.default_rng(0)
    head = f"g ({inputs}[n, 4] x) => ({outputs}[n, 4] y)"
    w = generator.standard_normal((4, 4)).astype(np.float16)
    model = make_graph(f"{head} {{\n{body}\n}}", {"w": w} if "w)" in body else {})
    onnx.save(model, str(folder / "half.onnx"))
    kind = "float16" if inputs == "float16" else "float32"
    x = generator.standard_normal((4, 4)).astype(kind)
    specs = (TensorSpec("x", kind, ("batch", 4)),)
    return export(load_network(folder / "half.onnx"), specs, {"x": x}, folder / "out")


def _kinds(exported: Exported) -> list[str]:
    return [node.op_type for node in read_onnx(exported.graph).graph.node]


MIXED = (
    "h = Cast <to = 10> (x)\n m = MatMul (h, w)\n f = Cast <to = 1> (m)\n"
    "s = Softmax (f)\n g = Cast <to = 10> (s)\n n = MatMul (g, w)\n y = Cast <to = 1> (n)"
)


def test_float16_inside_is_widened_and_its_casts_are_gone(tmp_path: Path) -> None:
    exported = _half(tmp_path, MIXED)
    model = read_onnx(exported.graph)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["MatMul", "Softmax", "MatMul"]
    assert {tensor.data_type for tensor in model.graph.initializer} == {onnx.TensorProto.FLOAT}
    assert "computes in float32 here" in exported.notes[-1].reason
    w = onnx.numpy_helper.to_array(model.graph.initializer[0]).astype(np.float64)
    x = np.random.default_rng(1).standard_normal((3, 4)).astype(np.float32)
    soft = np.exp(x @ w)
    want = soft / soft.sum(axis=1, keepdims=True) @ w
    np.testing.assert_allclose(run_graph(exported.graph, {"x": x})["y"], want, rtol=1e-4, atol=1e-5)


def test_float16_at_the_edges_stays(tmp_path: Path) -> None:
    assert _kinds(_half(tmp_path, "y = Relu (x)", "float16", "float16")) == ["Cast", "Relu", "Cast"]
    exported = _half(tmp_path, "m = MatMul (x, w)\n y = Relu (m)", "float16", "float16")
    (x,), (y,) = exported.graph.signature.inputs, exported.graph.signature.outputs
    assert (x.dtype, y.dtype) == ("float16", "float16")
    assert _kinds(exported) == ["Cast", "MatMul", "Relu", "Cast"]


def test_weights_that_are_only_stored_in_float16_stay(tmp_path: Path) -> None:
    exported = _half(tmp_path, "f = Cast <to = 1> (w)\n y = MatMul (x, f)")
    assert {t.data_type for t in read_onnx(exported.graph).graph.initializer} == {10}
    assert exported.notes == ()


def test_float16_stays_where_it_is_handed_on(tmp_path: Path) -> None:
    body = "m = MatMul (x, w)\n y = Relu (m)"
    exported = _half(tmp_path, body, "float16", "float16[n, 4] x, float16")
    assert "goes on computing in float16" in exported.notes[-1].reason
    assert read_onnx(exported.graph).graph.node[0].op_type == "MatMul"


def test_float16_stays_where_the_answers_would_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["whet.optimize.adopt"], "_HALF_TOLERANCE", -1.0)
    exported = _half(tmp_path, MIXED)
    assert "In float32 its answers differ by" in exported.notes[-1].reason
    assert read_onnx(exported.graph).graph.node[0].op_type == "Cast"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["network.onnx"]


def test_samples_of_another_shape_are_refused(tmp_path: Path) -> None:
    model = make_graph(BODY.format(batch="N", nodes="y = Relu (x)"), {})
    onnx.save(model, str(tmp_path / "source.onnx"))
    with pytest.raises(
        SamplesError, match=r"'x' is float32\[batch, 3\], .* takes float32\[batch, 4\]"
    ):
        export(load_network(tmp_path / "source.onnx"), vectors(), rows(), tmp_path / "out")


def test_a_program_is_exported_again_with_free_axes(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU()).eval()
    # Exported at a fixed batch of 2.
    torch.export.save(torch.export.export(module, (torch.rand(2, 3),)), tmp_path / "p.pt2")
    exported = export(load_network(tmp_path / "p.pt2"), vectors("input"), rows("input"), tmp_path)
    assert exported.graph.signature.inputs[0].shape == ("batch", 3)
    got = run_graph(exported.graph, rows("input", count=5))["output"]
    with torch.inference_mode():
        want = module(torch.from_numpy(rows("input", count=5)["input"])).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_exports_in_several_threads_take_turns(tmp_path: Path) -> None:
    specs = (TensorSpec("x", "float32", ("batch", 6)),)
    x = {"x": np.random.default_rng(0).standard_normal((3, 6)).astype(np.float32)}
    modules = [nn.Sequential(nn.Linear(6, 5), act(), nn.Linear(5, 2)) for act in (nn.ReLU, nn.Tanh)]

    def work(place: int) -> Exported:
        return export(load_network(modules[place]), specs, x, tmp_path / str(place))

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(work, range(2)))
    for module, exported in zip(modules, found, strict=True):
        with torch.no_grad():
            want = module(torch.from_numpy(x["x"])).numpy()
        (got,) = run_graph(exported.graph, x).values()
        assert np.allclose(want, got, atol=1e-5)


def test_complex_answers_are_called_what_they_are(tmp_path: Path) -> None:
    class Spectrum(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.fft.rfft(x)

    network, spec = load_network(Spectrum()), TensorSpec("x", "float32", ("batch", 8))
    with pytest.raises(ExportError, match="complex numbers") as caught:
        export(network, (spec,), {"x": np.ones((4, 8), np.float32)}, tmp_path)
    assert "view_as_real" in caught.value.remedy

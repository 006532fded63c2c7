"""Whether a network answers row by row, and outputs that don't."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from whet.core.artifact import Artifact
from whet.core.spec import Arrays, TensorSpec
from whet.errors import NetworkError
from whet.optimize.export import Exported, export
from whet.optimize.graph.io import read_onnx, write_onnx
from whet.optimize.graph.runs import run_graph
from whet.optimize.intake import load_network
from whet.optimize.rows import need_rows, rowless
from whet.testing.small_graphs import make_graph

SPEC = (TensorSpec("x", "float32", ("batch", 4)),)
X: Arrays = {"x": np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)}
WEIGHT = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32)

# The second and third outputs have no rows; the third is a weight that nothing else reads.
LOADED = """
loaded (float[n, 4] x) => (float[n, 3] y, float s, float[4, 2] spare) {
    y = MatMul (x, w)
    r = Relu (y)
    s = ReduceMean <keepdims = 0> (r)
    spare = Identity (v)
}
"""
WEIGHTS = {"w": WEIGHT, "v": np.ones((4, 2), np.float32)}


def written(folder: Path, body: str, **weights: np.ndarray) -> Artifact:
    return write_onnx(make_graph(body, weights), folder, "given")


def from_file(folder: Path, body: str, weights: Arrays, ignore: tuple[str, ...]) -> Exported:
    file = folder / "given.onnx"
    onnx.save(make_graph(body, weights), file)
    return export(load_network(file), SPEC, X, folder / "out", ignore=ignore)


class Scaled(nn.Module):
    """Some tensors of every kind that has no rows, and one that has."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"y": x * 2, "mean": x.mean(), "hidden": x[None], "fixed": torch.ones(4, 2)}


def test_ignored_outputs_without_rows_leave_graph_and_program(tmp_path: Path) -> None:
    wanted = ("mean", "hidden", "fixed", "y2")
    exported = export(load_network(Scaled()), SPEC, X, tmp_path, ignore=wanted)
    assert exported.dropped == ("mean", "hidden", "fixed")
    assert [spec.name for spec in exported.graph.signature.outputs] == ["y"]
    assert exported.program is not None
    assert exported.program.signature == exported.graph.signature
    np.testing.assert_array_equal(run_graph(exported.graph, X)["y"], X["x"] * 2)
    assert [note.reason.split("'")[1] for note in exported.notes] == ["mean", "hidden", "fixed"]
    need_rows("scaled", exported.graph, X)


def test_ignored_outputs_with_rows_stay(tmp_path: Path) -> None:
    class Two(nn.Module):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"y": x * 2, "hidden": x + 1}

    exported = export(load_network(Two()), SPEC, X, tmp_path, ignore=("hidden",))
    assert exported.dropped == ()
    assert [spec.name for spec in exported.graph.signature.outputs] == ["y", "hidden"]


def test_a_recurrent_state_is_named_with_the_flag_that_leaves_it_out(tmp_path: Path) -> None:
    network = load_network(nn.LSTM(5, 3, batch_first=True))
    inputs = (TensorSpec("input", "float32", ("batch", 6, 5)),)
    rows = {"input": np.random.default_rng(0).standard_normal((4, 6, 5)).astype(np.float32)}
    exported = export(network, inputs, rows, tmp_path / "all")
    with pytest.raises(
        NetworkError, match=r"'output_1' has shape \[1, 2, 3\] for 2 rows"
    ) as caught:
        need_rows("lstm", exported.graph, rows)
    assert "--ignore-output output_1 --ignore-output output_1_1" in caught.value.remedy
    states = ("output_1", "output_1_1")
    exported = export(network, inputs, rows, tmp_path / "less", ignore=states)
    assert exported.dropped == states
    need_rows("lstm", exported.graph, rows, states)


def test_an_onnx_file_loses_them_with_all_that_only_they_needed(tmp_path: Path) -> None:
    exported = from_file(tmp_path, LOADED, WEIGHTS, ("s", "spare"))
    assert exported.dropped == ("s", "spare")
    graph = read_onnx(exported.graph).graph
    assert [node.op_type for node in graph.node] == ["MatMul"]
    assert [tensor.name for tensor in graph.initializer] == ["w"]
    np.testing.assert_allclose(run_graph(exported.graph, X)["y"], X["x"] @ WEIGHT, rtol=1e-5)


def test_an_onnx_file_keeps_what_is_not_ignored_and_is_told_of_it(tmp_path: Path) -> None:
    exported = from_file(tmp_path, LOADED, WEIGHTS, ("s",))
    assert exported.dropped == ("s",)
    assert rowless(exported.graph, X) == ("spare",)
    with pytest.raises(NetworkError, match="'spare' has shape") as caught:
        need_rows("loaded", exported.graph, X, ("s",))
    assert "ignore_outputs=('spare',)" in caught.value.remedy


def test_a_network_without_any_rows_is_told_so(tmp_path: Path) -> None:
    graph = written(
        tmp_path, "g (float[batch, 4] x) => (float y) { y = ReduceMax <keepdims=0> (x) }"
    )
    with pytest.raises(NetworkError, match="no output has the batch as its first axis"):
        need_rows("g", graph, X)


NORMAL = """
normal (float[{batch}, 4] x) => (float[{batch}, 4] y, float[{batch}, 4] z) {{
    m = ReduceMean <axes = [0], keepdims = 1> (x)
    y = Sub (x, m)
    z = Relu (x)
}}
"""


def test_rows_that_depend_on_each_other_are_refused(tmp_path: Path) -> None:
    graph = written(tmp_path, NORMAL.format(batch="batch"))
    with pytest.raises(NetworkError, match="'normal' depend on the other rows of the batch"):
        need_rows("normal", graph, X)
    need_rows("normal", graph, X, ("y",))  # the other output doesn't


def test_with_a_fixed_batch_the_same_rows_are_always_together(tmp_path: Path) -> None:
    need_rows("normal", written(tmp_path, NORMAL.format(batch=3)), X)


def test_rounding_and_chance_are_no_dependence(tmp_path: Path) -> None:
    rounding = """
    g (float[batch, 4] x) => (float[batch, 4] y) {
        m = ReduceMean <axes = [0], keepdims = 1> (x)
        s = Mul (m, small)
        y = Add (x, s)
    }
    """
    need_rows("g", written(tmp_path, rounding, small=np.array(1e-3, np.float32)), X)
    chance = "g (float[batch, 4] x) => (float[batch, 4] y) { y = RandomNormalLike (x) }"
    need_rows("g", written(tmp_path, chance), X)


def test_a_scale_of_the_whole_batch_is_noise(tmp_path: Path) -> None:
    body = """
    g (float[batch, 4] x) => (float[batch, 4] y) {
        q, s, z = DynamicQuantizeLinear (x)
        y = DequantizeLinear (q, s, z)
    }
    """
    coarse = {"x": np.array([[100, 1, 1, 1], [0.1, 0.2, 0.1, 0.3]], np.float32)}
    need_rows("g", written(tmp_path, body), coarse)

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from whet.core.artifact import Artifact, Format
from whet.errors import EngineError, NetworkError, RequirementError, StorageError
from whet.optimize.graph import io
from whet.optimize.graph.io import need_onnx, read_onnx, signature_of, write_onnx
from whet.optimize.graph.names import fresh_name, rename_symbols, rename_values, sort_nodes
from whet.optimize.graph.runs import largest_difference, run_graph, synthetic
from whet.testing.small_graphs import make_graph, plain

BODY = """
g (float[batch, 4] x) => (float[batch, 4] y) {
    embedding = Relu (x)
    y = Add (embedding, w)
}"""


def graph() -> onnx.ModelProto:
    return make_graph(BODY, {"w": np.ones(4, np.float32)})


def test_a_value_in_the_way_steps_aside() -> None:
    model = graph()
    rename_values(model.graph, {"y": "embedding"})
    onnx.checker.check_model(model)
    assert [o.name for o in model.graph.output] == ["embedding"]
    assert model.graph.node[0].output[0] == "embedding_inner"


def test_names_can_be_swapped() -> None:
    model = graph()
    rename_values(model.graph, {"x": "y", "y": "x"})
    onnx.checker.check_model(model)
    assert (model.graph.input[0].name, model.graph.output[0].name) == ("y", "x")


def test_renaming_reaches_into_branches() -> None:
    inner = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["n"])],
        "then",
        [],
        [helper.make_tensor_value_info("n", TensorProto.FLOAT, [1])],
    )
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    outer = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    rename_values(outer, {"x": "picture"})
    assert {a.g.node[0].input[0] for a in outer.node[0].attribute} == {"picture"}


def test_fresh_names_and_symbols() -> None:
    model = graph()
    assert fresh_name(model.graph, "new") == "new"
    assert fresh_name(model.graph, "w") == "w_1"
    rename_symbols(model.graph, {"batch": "rows"})
    assert signature_of(model).outputs[0].shape == ("rows", 4)


def test_nodes_are_sorted_and_stay_put_where_they_can() -> None:
    model = graph()
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([nodes[1], nodes[0]])
    sort_nodes(model.graph)
    assert [n.op_type for n in model.graph.node] == ["Relu", "Add"]
    onnx.checker.check_model(model)


def test_sorting_takes_as_much_longer_as_there_are_more_nodes() -> None:
    """Four times the nodes took sixteen times as long; a factor of 4 (log n) is due."""

    def seconds(count: int) -> float:
        names = [f"v{n}" for n in range(count + 1)]
        nodes = [helper.make_node("Neg", [a], [b]) for a, b in itertools.pairwise(names)]
        chain = helper.make_graph(nodes[::-1], "chain", [], [])
        began = time.process_time()
        sort_nodes(chain)
        took = time.process_time() - began
        assert [node.output[0] for node in chain.node] == names[1:]
        return took

    few = min(seconds(2500) for _ in range(3))
    assert min(seconds(10_000) for _ in range(2)) < 9 * few


def test_large_weights_go_beside_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(io, "INLINE_LIMIT", 8)
    model = make_graph(BODY.replace("4]", "2000]"), {"w": np.ones(2000, np.float32)})
    for _ in range(2):  # a second time over the first
        saved = write_onnx(model, tmp_path, "big")
    assert saved.sidecars == ("big.onnx.data",)
    assert (tmp_path / "big.onnx.data").stat().st_size == 8000
    inputs = synthetic(saved.signature, {"batch": 2})
    want = np.maximum(inputs["x"], 0) + 1
    assert np.array_equal(run_graph(saved, inputs)["y"], want)
    monkeypatch.undo()
    again = write_onnx(read_onnx(saved), tmp_path / "inline", "small")
    assert again.sidecars == ()
    assert np.array_equal(run_graph(again, inputs)["y"], want)


def test_writing_leaves_no_parts_and_reports_a_bad_folder(tmp_path: Path) -> None:
    write_onnx(graph(), tmp_path, "g")
    assert [p.name for p in tmp_path.iterdir()] == ["g.onnx"]
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="can't be written"):
        write_onnx(graph(), tmp_path / "file", "g")


def test_reading_reports_damage(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"\xff" * 40)
    with pytest.raises(NetworkError, match="can't be read as ONNX"):
        read_onnx(tmp_path / "bad.onnx")


def test_signature_leaves_weights_out_and_names_free_axes() -> None:
    model = graph()
    weight = helper.make_tensor_value_info("w", TensorProto.FLOAT, [4])
    model.graph.input.append(weight)
    model.graph.input[0].type.tensor_type.shape.dim[0].Clear()
    assert [str(s) for s in signature_of(model).inputs] == ["x: float32[x_0, 4]"]


def test_signature_refuses_sequences() -> None:
    model = graph()
    model.graph.input[0].CopyFrom(helper.make_tensor_sequence_value_info("x", 1, [4]))
    with pytest.raises(NetworkError, match="no plain tensor"):
        signature_of(model)


def test_passes_refuse_other_formats_and_missing_files(tmp_path: Path) -> None:
    saved = plain(tmp_path)
    with pytest.raises(RequirementError, match="takes onnx files"):
        need_onnx(Artifact(saved.path, Format.TORCH, saved.signature), "tidy")
    saved.file.unlink()
    with pytest.raises(RequirementError, match="is missing"):
        need_onnx(saved, "tidy")


def test_running_reports_what_the_runtime_says(tmp_path: Path) -> None:
    saved = plain(tmp_path)
    with pytest.raises(EngineError, match="could not run the graph"):
        run_graph(saved, {"input": np.zeros((1, 2, 8, 8), np.float32)})


def test_difference_is_relative_and_sees_nan_and_shapes() -> None:
    one = {"y": np.array([0.0, 10.0])}
    assert largest_difference(one, {"y": np.array([0.1, 10.0])}) == pytest.approx(0.01)
    assert largest_difference(one, {"y": np.array([np.nan, 10.0])}) == float("inf")
    assert largest_difference(one, {"y": np.zeros(3)}) == float("inf")
    assert largest_difference({"y": np.zeros(0)}, {"y": np.zeros(0)}) == 0.0
    assert largest_difference({"y": np.array(2.0)}, {"y": np.array(1.0)}) == pytest.approx(0.5)
    whole = {"y": np.array([3, 8])}
    assert largest_difference(whole, {"y": np.array([3, 6])}) == pytest.approx(0.25)
    assert largest_difference({}, {}) == 0.0


def test_a_mask_hides_no_difference_beside_it() -> None:
    scores = np.random.default_rng(0).normal(size=(8, 20)).astype(np.float32)
    scores[:, 5] = -1e9
    other = scores + np.float32(0.1)
    other[:, 5] = -1e9
    assert largest_difference({"y": scores}, {"y": other}) > 0.02
    far = scores.copy()
    far[:, 5] *= np.float32(1 + 1e-6)
    assert largest_difference({"y": scores}, {"y": far}) < 1e-5

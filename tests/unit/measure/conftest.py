"""Tiny ONNX models for the real ONNX Runtime, and stores of rows for them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from whet.core.artifact import Artifact, Format
from whet.core.settings import Settings
from whet.core.spec import Signature, TensorSpec
from whet.data.layout import StoreRef
from whet.data.readers import open_samples
from whet.data.store import SampleStore, write_store
from whet.measure.contender import Contender

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

WIDTH = 8


def _save(graph: object, where: Path, output: TensorSpec) -> Artifact:
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, where)
    signature = Signature((TensorSpec("x", "float32", ("batch", WIDTH)),), (output,))
    return Artifact(str(where), Format.ONNX, signature)


def _ends(columns: int) -> tuple[object, object]:
    value = onnx.helper.make_tensor_value_info
    kind = onnx.TensorProto.FLOAT
    return value("x", kind, ["batch", WIDTH]), value("y", kind, ["batch", columns])


def matmul_graph(where: Path, *, hidden: int, depth: int = 1, seed: int = 0) -> Artifact:
    """X -> a chain of matrix products -> y; `hidden` and `depth` decide how long it takes."""
    rng = np.random.default_rng(seed)
    sizes = [WIDTH, *[hidden] * depth, 4]
    tensors, nodes = [], []
    for i, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        weight = (rng.normal(size=(rows, columns)) / np.sqrt(rows)).astype(np.float32)
        tensors.append(onnx.numpy_helper.from_array(weight, f"w{i}"))
        last = i == len(sizes) - 2
        nodes.append(
            onnx.helper.make_node(
                "MatMul", [f"h{i}" if i else "x", f"w{i}"], ["y" if last else f"h{i + 1}"]
            )
        )
    x, y = _ends(4)
    graph = onnx.helper.make_graph(nodes, "matmul", [x], [y], tensors)
    return _save(graph, where, TensorSpec("y", "float32", ("batch", 4)))


def loop_graph(where: Path, *, trips: int) -> Artifact:
    """X + 1, so many times over: with enough trips it never ends."""
    value, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto
    body = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Add", ["v_in", "one"], ["v_out"]),
            onnx.helper.make_node("Identity", ["go_in"], ["go_out"]),
        ],
        "body",
        [
            value("i", kind.INT64, []),
            value("go_in", kind.BOOL, []),
            value("v_in", kind.FLOAT, ["batch", WIDTH]),
        ],
        [value("go_out", kind.BOOL, []), value("v_out", kind.FLOAT, ["batch", WIDTH])],
        [onnx.numpy_helper.from_array(np.float32([1e-6]), "one")],
    )
    x, y = _ends(WIDTH)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Loop", ["trips", "go", "x"], ["y"], body=body)],
        "loop",
        [x],
        [y],
        [
            onnx.numpy_helper.from_array(np.int64(trips), "trips"),
            onnx.numpy_helper.from_array(np.bool_(True), "go"),
        ],
    )
    return _save(graph, where, TensorSpec("y", "float32", ("batch", WIDTH)))


def hungry_graph(where: Path, *, megabytes: int) -> Artifact:
    """X + the minimum of an array of that many megabytes, filled anew in each run."""
    cells = megabytes * 250_000
    nodes = [
        onnx.helper.make_node("ReduceMin", ["x"], ["smallest"], keepdims=0),
        onnx.helper.make_node("Expand", ["smallest", "shape"], ["filled"]),
        onnx.helper.make_node("Exp", ["filled"], ["grown"]),
        onnx.helper.make_node("ReduceMin", ["grown"], ["least"], keepdims=0),
        onnx.helper.make_node("Add", ["x", "least"], ["y"]),
    ]
    x, y = _ends(WIDTH)
    shape = onnx.numpy_helper.from_array(np.int64([cells]), "shape")
    graph = onnx.helper.make_graph(nodes, "hungry", [x], [y], [shape])
    return _save(graph, where, TensorSpec("y", "float32", ("batch", WIDTH)))


def contender(graph: Artifact, name: str = "one", **settings: object) -> Contender:
    """The graph's own file on ONNX Runtime."""
    options = Settings(**{"threads": 1, **settings})
    return Contender(name, "onnxruntime", graph, graph.path, options)


@pytest.fixture
def store(tmp_path: Path) -> SampleStore:
    rows = np.random.default_rng(5).normal(size=(37, WIDTH)).astype(np.float32)
    return write_store(open_samples({"x": rows}), tmp_path / "store", limit=100, seed=0)


@pytest.fixture
def feed(store: SampleStore) -> StoreRef:
    return store.ref()


class Models:
    """Makes contenders on ONNX Runtime whose engine is the graph's own file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def matmul(
        self, name: str = "one", *, hidden: int = 16, depth: int = 1, **settings: object
    ) -> Contender:
        graph = matmul_graph(self.folder / f"{name}.onnx", hidden=hidden, depth=depth)
        return contender(graph, name, **settings)

    def endless(self, name: str = "endless") -> Contender:
        return contender(loop_graph(self.folder / f"{name}.onnx", trips=2**62), name)

    def slow(self, name: str = "slow", *, trips: int = 3000) -> Contender:
        return contender(loop_graph(self.folder / f"{name}.onnx", trips=trips), name)

    def hungry(self, name: str = "hungry", *, megabytes: int) -> Contender:
        return contender(hungry_graph(self.folder / f"{name}.onnx", megabytes=megabytes), name)


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path)

"""Small networks with a known answer, built as ONNX by hand, and feeds for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.spec import Arrays

onnx = pytest.importorskip("onnx")
pytest.importorskip("nncf")
pytest.importorskip("sklearn")


class ArrayFeed:
    """A feed over arrays in memory."""

    def __init__(self, **arrays: NDArray[np.generic]) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def batches(self, size: int, limit: int | None = None) -> Iterator[Arrays]:
        count = len(self) if limit is None else min(limit, len(self))
        for start in range(0, count, size):
            end = min(start + size, count)
            yield {name: array[start:end] for name, array in self.arrays.items()}

    def rows(self, indices: NDArray[np.integer]) -> Arrays:
        return {name: array[indices] for name, array in self.arrays.items()}


@dataclass(frozen=True)
class Digits:
    """A convolutional classifier of real digits (top-1 about 94 %), with data."""

    graph: Artifact
    repair: ArrayFeed
    images: NDArray[np.float32]
    labels: NDArray[np.int64]

    def top1(self, logits: NDArray[np.generic]) -> float:
        return float((logits.argmax(axis=1) == self.labels).mean())


def write(graph: onnx.GraphProto, path: Path) -> Artifact:
    from whet.optimize.graph.io import signature_of, write_onnx

    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return write_onnx(model, path.parent, path.stem, signature_of(model))


def digits_graph(weights: dict[str, NDArray[np.float32]]) -> onnx.GraphProto:
    """conv - relu - conv - relu - conv, added to its input - relu - linear."""
    node, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    three = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    return onnx.helper.make_graph(
        [
            node("Conv", ["image", "w1", "b1"], ["c1"], "conv1", **three),
            node("Relu", ["c1"], ["r1"], "relu1"),
            node("Conv", ["r1", "w2", "b2"], ["c2"], "conv2", strides=[2, 2], **three),
            node("Relu", ["c2"], ["r2"], "relu2"),
            node("Conv", ["r2", "w3", "b3"], ["c3"], "conv3", **three),
            node("Add", ["c3", "r2"], ["s3"], "add3"),
            node("Relu", ["s3"], ["r3"], "relu3"),
            node("Flatten", ["r3"], ["f"], "flatten", axis=1),
            node("Gemm", ["f", "w4", "b4"], ["logits"], "linear"),
        ],
        "digits",
        [info("image", onnx.TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [info("logits", onnx.TensorProto.FLOAT, ["batch", 10])],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )


def run_onnx(path: str, inputs: Arrays) -> NDArray[np.float32]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, inputs)[0])


def run_ir(path: str, inputs: Arrays) -> NDArray[np.float32]:
    from whet._optional import require

    core = require("openvino", "test").Core()
    model = core.compile_model(
        path, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    )
    return np.array(model(inputs)[0])


def trained(folder: Path, *, outlier: float = 1.0) -> Digits:
    """Random convolutions and a linear layer fitted in closed form.

    ``outlier`` scales one channel between the first and second convolution up
    and down again: the function stays the same, but one scale for all channels
    of that activation no longer serves the others.
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = (raw.images / 16 - 0.3).astype(np.float32)[:, None]
    labels = raw.target.astype(np.int64)
    rng = np.random.default_rng(0)
    shapes = {"w1": (16, 1, 3, 3), "w2": (24, 16, 3, 3), "w3": (24, 24, 3, 3)}
    weights = {
        name: (rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)
        for name, shape in shapes.items()
    }
    for index, width in ((1, 16), (2, 24), (3, 24)):
        weights[f"b{index}"] = (0.05 * rng.normal(size=width)).astype(np.float32)
    weights["w1"][0] *= outlier
    weights["b1"][0] *= outlier
    weights["w2"][:, 0] /= outlier
    weights |= {"w4": np.eye(384, dtype=np.float32), "b4": np.zeros(384, np.float32)}
    features = folder / "features.onnx"
    graph = digits_graph(weights)
    graph.output[0].type.tensor_type.shape.dim[1].dim_value = 384
    features_graph = write(graph, features)
    values = run_onnx(features_graph.path, {"image": images}).astype(np.float64)
    scale = values[:1200].std(axis=0) + 1e-6
    augmented = np.concatenate([values / scale, np.ones((len(values), 1))], axis=1)
    known = augmented[:1200]
    target = np.eye(10)[labels[:1200]] - 0.1
    solved = np.linalg.solve(known.T @ known + 300 * np.eye(385), known.T @ target)
    weights["w4"] = (solved[:-1] / scale[:, None]).astype(np.float32)
    weights["b4"] = solved[-1].astype(np.float32)
    return Digits(
        write(digits_graph(weights), folder / "digits.onnx"),
        ArrayFeed(image=images[:200]),
        images[1200:],
        labels[1200:],
    )


@pytest.fixture(scope="session")
def execute() -> Callable[[Artifact, Arrays], NDArray[np.float32]]:
    """Runs a graph of either format in float32 with one thread."""

    def run(graph: Artifact, inputs: Arrays) -> NDArray[np.float32]:
        return (run_ir if graph.format == "openvino" else run_onnx)(graph.path, inputs)

    return run


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return trained(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def outlier_digits(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return trained(tmp_path_factory.mktemp("outlier"), outlier=2000.0)


@pytest.fixture(scope="session")
def digits_ir(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    from whet.core.passes import run
    from whet.optimize.graph.convert import ConvertIr

    ctx = Context(tmp_path_factory.mktemp("ir"), digits.graph)
    return run(ConvertIr(), digits.graph, ctx).model


MakeContext = Callable[..., Context]


@pytest.fixture
def context(tmp_path: Path, digits: Digits) -> MakeContext:
    def make(**changes: object) -> Context:
        values: dict[str, object] = {
            "workdir": tmp_path / "work",
            "reference": digits.graph,
            "repair": digits.repair,
        }
        return Context(**{**values, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def attention(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """One head of attention over (batch, sequence, 16) with a linear layer behind it."""
    node, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    rng = np.random.default_rng(0)
    weights = {
        name: (rng.normal(size=(16, 16)) / 4).astype(np.float32)
        for name in ("wq", "wk", "wv", "wo")
    }
    graph = onnx.helper.make_graph(
        [
            node("MatMul", ["x", "wq"], ["q"], "query"),
            node("MatMul", ["x", "wk"], ["k"], "key"),
            node("MatMul", ["x", "wv"], ["v"], "value"),
            node("Transpose", ["k"], ["kt"], "turn", perm=[0, 2, 1]),
            node("MatMul", ["q", "kt"], ["s"], "scores"),
            node("Softmax", ["s"], ["p"], "softmax", axis=-1),
            node("MatMul", ["p", "v"], ["m"], "mix"),
            node("MatMul", ["m", "wo"], ["y"], "out"),
        ],
        "attention",
        [info("x", onnx.TensorProto.FLOAT, ["batch", "sequence", 16])],
        [info("y", onnx.TensorProto.FLOAT, ["batch", "sequence", 16])],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return write(graph, tmp_path_factory.mktemp("attention") / "attention.onnx")

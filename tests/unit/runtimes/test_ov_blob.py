"""An exported engine is used only where it is the function that was compiled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whet.core.artifact import Artifact
from whet.core.settings import Precision, Settings
from whet.optimize.graph.io import write_onnx
from whet.runtimes.cpu import cpu_flags
from whet.runtimes.ov import OpenVinoRuntime
from whet.runtimes.settings_space import precisions
from whet.testing.small_graphs import make_graph
from whet.testing.small_net import WideNet

pytest.importorskip("openvino")
RUNTIME = OpenVinoRuntime()
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def recurrent(folder: Path, kind: str, shape: str, *, both_ways: bool = False) -> Artifact:
    """One layer of 16 on 8 inputs with the batch first, its answers of every step."""
    generator, ways, wide = np.random.default_rng(0), 1 + both_ways, 16 * _GATES[kind]
    direction = "bidirectional" if both_ways else "forward"
    back = (
        "beside = Transpose <perm = [2, 0, 1, 3]> (all) y = Reshape (beside, shape)"
        if both_ways
        else "one_way = Squeeze (all, one) y = Transpose <perm = [1, 0, 2]> (one_way)"
    )
    body = f"""
    net (float[{shape}, 8] x) => (float[d0, d1, {ways * 16}] y) {{
        steps = Transpose <perm = [1, 0, 2]> (x)
        all = {kind} <hidden_size = 16, direction = "{direction}"> (steps, w, r)
        {back}
    }}"""
    weights = {
        "w": generator.standard_normal((ways, wide, 8)).astype(np.float32),
        "r": generator.standard_normal((ways, wide, 16)).astype(np.float32) / 4,
        "shape": np.array([0, 0, ways * 16]),
        "one": np.array([1]),
    }
    return write_onnx(make_graph(body, weights), folder, "net")


def int8_lstm(folder: Path) -> Artifact:
    """Whose input, state and weights are all int8: the plugin computes it in integers."""
    generator = np.random.default_rng(0)
    body = """
    net (float[5, batch, 8] x) => (float[5, 1, batch, 16] y) {
        xq = QuantizeLinear (x, sx, zx)
        xd = DequantizeLinear (xq, sx, zx)
        rows = Shape <start = 1, end = 2> (x)
        size = Concat <axis = 0> (one, rows, hidden)
        none = Expand (zero, size)
        hq = QuantizeLinear (none, sx, zx)
        hd = DequantizeLinear (hq, sx, zx)
        w = DequantizeLinear (wq, sw, zw)
        r = DequantizeLinear (rq, sw, zw)
        y = LSTM <hidden_size = 16> (xd, w, r, b, , hd, none)
    }"""
    weights = {
        "wq": generator.integers(-99, 99, (1, 64, 8), np.int8),
        "rq": generator.integers(-99, 99, (1, 64, 16), np.int8),
        "b": np.zeros((1, 128), np.float32),
        "sx": np.float32(4 / 127),
        "zx": np.uint8(128),
        "sw": np.float32(0.004),
        "zw": np.int8(0),
        "one": np.array([1]),
        "hidden": np.array([16]),
        "zero": np.zeros((1, 1, 1), np.float32),
    }
    model = make_graph(body, {name: np.asarray(value) for name, value in weights.items()})
    return write_onnx(model, folder, "int8")


@pytest.mark.parametrize("shape", ["batch, 6", "2, 6", "batch, steps"])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("both_ways", [False, True])
def test_the_engine_of_a_recurrent_layer_answers_as_its_graph(
    tmp_path: Path, kind: str, shape: str, both_ways: bool
) -> None:
    graph = recurrent(tmp_path, kind, shape, both_ways=both_ways)
    engine = RUNTIME.compile(graph, Settings(), tmp_path)
    with (
        RUNTIME.open(engine, graph, Settings()) as made,
        RUNTIME.open(graph.file, graph, Settings()) as own,
    ):
        for rows in (2,) if shape[0] == "2" else (1, 2, 3):
            x = np.random.default_rng(rows).standard_normal((rows, 6, 8)).astype(np.float32)
            np.testing.assert_array_equal(made.run({"x": x})["y"], own.run({"x": x})["y"])


def test_where_the_blob_is_another_function_the_graph_is_the_engine(tmp_path: Path) -> None:
    graph = recurrent(tmp_path, "LSTM", "batch, 6")
    assert RUNTIME.compile(graph, Settings(), tmp_path) == graph.file
    assert sorted(file.name for file in tmp_path.iterdir()) == ["net.onnx"]


def test_where_the_blob_is_the_same_function_it_is_the_engine(tmp_path: Path) -> None:
    graph = recurrent(tmp_path, "LSTM", "batch, 6", both_ways=True)
    assert RUNTIME.compile(graph, Settings(), tmp_path).name == "engine.blob"
    wide = WideNet().onnx(tmp_path)
    assert RUNTIME.compile(wide, Settings(), tmp_path).name == "engine.blob"


def test_in_half_precision_too(tmp_path: Path) -> None:
    if Precision.BF16 not in precisions(cpu_flags()):
        pytest.skip("no bf16 on this CPU")
    settings = Settings(precision=Precision.BF16)
    graph = recurrent(tmp_path, "GRU", "batch, 6")
    assert RUNTIME.compile(graph, settings, tmp_path) == graph.file
    both = recurrent(tmp_path, "GRU", "batch, 6", both_ways=True)
    assert RUNTIME.compile(both, settings, tmp_path).name == "engine.blob"


def test_where_the_blob_cant_be_read_back_the_graph_is_the_engine(tmp_path: Path) -> None:
    graph = int8_lstm(tmp_path)
    engine = RUNTIME.compile(graph, Settings(), tmp_path)
    with RUNTIME.open(engine, graph, Settings()) as session:
        answer = session.run({"x": np.ones((5, 2, 8), np.float32)})["y"]
    assert np.isfinite(answer).all()
    assert np.abs(answer).max() > 0.1

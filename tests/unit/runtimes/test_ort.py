from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from whet.core.artifact import Artifact, Format
from whet.core.settings import GraphLevel, Settings
from whet.core.spec import Signature, TensorSpec
from whet.errors import EngineError, UnsupportedOperatorError
from whet.runtimes.ort import OrtRuntime, _affinities, _library, _options
from whet.runtimes.ort_profile import layer_times
from whet.runtimes.seal import seal_path
from whet.testing.small_net import SmallNet

NET = SmallNet()
RUNTIME = OrtRuntime()


def one_node(folder: Path, kind: str, out: str = "float32", domain: str = "", **more) -> Artifact:
    onnx = pytest.importorskip("onnx")
    element = {"float32": 1, "bfloat16": 16}[out]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(kind, ["x"], ["y"], domain=domain, **more)],
        "one",
        [onnx.helper.make_tensor_value_info("x", 1, ["n"])],
        [onnx.helper.make_tensor_value_info("y", element, ["n"])],
    )
    opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("com.acme", 1)]
    file = folder / "one.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10), file)
    x, y = TensorSpec("x", "float32", ("n",)), TensorSpec("y", out, ("n",))
    return Artifact(str(file), Format.ONNX, Signature((x,), (y,)))


def test_weights_outside_the_graph_come_along(tmp_path: Path) -> None:
    graph = NET.onnx(tmp_path, external=True)
    where = tmp_path / "engine"
    where.mkdir()
    engine = RUNTIME.compile(graph, Settings(), where)
    for file in graph.files():
        file.rename(file.with_name("moved-" + file.name))
    with RUNTIME.open(engine, graph, Settings()) as session:
        inputs = NET.inputs(2)
        np.testing.assert_allclose(
            session.run(inputs)["scores"], NET.answer(inputs)["scores"], 1e-4
        )
    if (where / "engine.data").is_file():
        (where / "engine.data").write_bytes(b"")
        with pytest.raises(EngineError, match=r"engine\.data"):
            RUNTIME.open(engine, graph, Settings())


def test_the_engine_was_rewritten_when_it_was_compiled(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    graph = NET.onnx(tmp_path)
    kinds = {}
    for level in (GraphLevel.DISABLED, GraphLevel.ALL):
        where = tmp_path / level
        where.mkdir()
        engine = RUNTIME.compile(graph, Settings(level=level), where)
        kinds[level] = [node.op_type for node in onnx.load(engine).graph.node]
    assert "Relu" in kinds[GraphLevel.DISABLED]
    assert "Relu" not in kinds[GraphLevel.ALL]  # fused into the convolution


def test_settings_reach_the_session() -> None:
    options = _options(_library(), Settings(threads=3, spin=False, packing=False, arena=False))
    assert options.intra_op_num_threads == 3
    assert options.enable_cpu_mem_arena is False
    entry = options.get_session_config_entry
    assert entry("session.intra_op.allow_spinning") == "0"
    assert entry("session.disable_prepacking") == "1"


def test_pinning_gives_each_worker_a_core_of_those_allowed() -> None:
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) > 1:
        assert _affinities(1) == str(allowed[1] + 1)
    with pytest.raises(EngineError, match="can't be pinned"):
        _affinities(len(allowed))


def test_runs_pinned(tmp_path: Path) -> None:
    graph = NET.onnx(tmp_path)
    settings = Settings(threads=min(2, len(os.sched_getaffinity(0))), pin=True)
    with RUNTIME.open(graph.file, graph, settings) as session:
        assert session.run(NET.inputs(1))["scores"].shape == (1, 5)


def test_an_unknown_operator_has_a_type_of_its_own(tmp_path: Path) -> None:
    graph = one_node(tmp_path, "Magic", domain="com.acme")
    with pytest.raises(UnsupportedOperatorError, match="Magic"):
        RUNTIME.compile(graph, Settings(), tmp_path)


def test_bfloat16_outputs_are_refused_when_opened(tmp_path: Path) -> None:
    graph = one_node(tmp_path, "Cast", out="bfloat16", to=16)
    claimed = Artifact(
        graph.path,
        graph.format,
        Signature(graph.signature.inputs, (TensorSpec("y", "float32", ("n",)),)),
    )
    for refused in (graph, claimed):
        with pytest.raises(EngineError, match="bfloat16"):
            RUNTIME.open(graph.file, refused, Settings())


def test_an_error_while_running_is_an_engine_error(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    graph = one_node(tmp_path, "Relu")
    model = onnx.load(graph.path)
    shape = onnx.numpy_helper.from_array(np.array([7], np.int64), "shape")
    model.graph.initializer.append(shape)
    model.graph.node[0].CopyFrom(onnx.helper.make_node("Reshape", ["x", "shape"], ["y"]))
    onnx.save(model, graph.path)
    with (
        RUNTIME.open(graph.file, graph, Settings()) as session,
        pytest.raises(EngineError, match="could not run"),
    ):
        session.run({"x": np.zeros(3, np.float32)})


def test_layers_name_the_nodes(tmp_path: Path) -> None:
    graph = NET.onnx(tmp_path)
    engine = RUNTIME.compile(graph, Settings(), tmp_path)
    before = set(Path.cwd().iterdir())
    with RUNTIME.open(engine, graph, Settings()) as session:
        layers = session.layers(NET.inputs(1))
    assert "Conv" in {layer.kind for layer in layers}
    assert "uint8" in {layer.precision for layer in layers}  # the cast from uint8
    assert set(Path.cwd().iterdir()) == before  # no trace left lying about


def test_layer_times_are_medians_after_the_warm_up() -> None:
    def node(name: str, us: float) -> dict:
        args = {"op_name": "Conv", "input_type_shape": [{"float": [1]}, {"int8": [1]}]}
        return {"cat": "Node", "name": f"{name}_kernel_time", "dur": us, "args": args}

    other = [{"cat": "Session", "name": "model_run"}, {"cat": "Node", "name": "a_fence_before"}]
    events = [*other, node("a", 900), node("b", 9), node("a", 20), node("b", 3), node("a", 40)]
    first, second = layer_times(events, skip=1)
    assert (first.name, first.kind, first.precision, first.ms) == ("a", "Conv", "fp32", 0.03)
    assert (second.name, second.ms) == ("b", 0.003)
    assert layer_times([]) == ()


def test_an_engine_of_another_version_is_refused(tmp_path: Path) -> None:
    graph = NET.onnx(tmp_path)
    engine = RUNTIME.compile(graph, Settings(), tmp_path)
    seal = seal_path(engine)
    version = RUNTIME.available().version
    seal.write_text(seal.read_text().replace(f'"{version}"', '"0.0.1"'))
    with pytest.raises(EngineError, match=r"0\.0\.1"):
        RUNTIME.open(engine, graph, Settings())

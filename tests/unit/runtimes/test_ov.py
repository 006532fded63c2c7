from __future__ import annotations

import gc
import threading
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest

from whet.core.artifact import Artifact, Format
from whet.core.settings import Precision, Settings
from whet.core.spec import Signature, TensorSpec
from whet.errors import EngineError, OptionError, UnsupportedOperatorError
from whet.optimize.graph.io import write_onnx
from whet.runtimes.cpu import cpu_flags
from whet.runtimes.ov import OpenVinoRuntime
from whet.runtimes.settings_space import precisions
from whet.testing.small_graphs import make_graph
from whet.testing.small_net import SmallNet, WideNet

NET, WIDE = SmallNet(), WideNet()
RUNTIME = OpenVinoRuntime()


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return NET.onnx(tmp_path_factory.mktemp("graph"))


@pytest.fixture(scope="module")
def engine(graph: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return RUNTIME.compile(graph, Settings(), tmp_path_factory.mktemp("engine"))


@pytest.mark.parametrize("own", [True, False])
def test_settings_reach_the_plugin(graph: Artifact, engine: Path, own: bool) -> None:
    settings = Settings(threads=1, streams=2, flush_denormals=True)
    with RUNTIME.open(graph.file if own else engine, graph, settings) as session:
        get = session.compiled.get_property
        assert get("INFERENCE_NUM_THREADS") == 2
        assert int(str(get("NUM_STREAMS"))) == 2
        assert get("INFERENCE_PRECISION_HINT").to_string() == "f32"
        assert get("ENABLE_CPU_PINNING") is False
        assert get("CPU_DENORMALS_OPTIMIZATION") is True
        assert str(get("PERFORMANCE_HINT")).endswith("LATENCY")


@pytest.mark.parametrize("precision", [Precision.BF16, Precision.FP16])
def test_half_precision_is_computed_or_refused(precision: Precision, tmp_path: Path) -> None:
    graph, inputs = WIDE.onnx(tmp_path), WIDE.inputs(1)
    settings = Settings(precision=precision)
    if precision not in precisions(cpu_flags()):
        with pytest.raises(OptionError, match=str(precision)):
            RUNTIME.open(graph.file, graph, settings)
        return
    engine = RUNTIME.compile(graph, settings, tmp_path)
    with RUNTIME.open(engine, graph, settings) as session:
        answer = session.run(inputs)["y"]
    exact = WIDE.answer(inputs)["y"]
    assert answer.dtype == np.float32
    assert 1e-5 < np.abs(answer - exact).max() < 0.05
    with pytest.raises(EngineError, match="settings"):
        RUNTIME.open(engine, graph, Settings())


def test_reads_ir(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    source = NET.onnx(tmp_path)
    openvino.save_model(openvino.Core().read_model(source.path), tmp_path / "net.xml", False)
    graph = Artifact(
        str(tmp_path / "net.xml"), Format.OPENVINO, source.signature, sidecars=("net.bin",)
    )
    inputs = NET.inputs(3)
    where = tmp_path / "engine"
    where.mkdir()
    for file in (graph.file, RUNTIME.compile(graph, Settings(), where)):
        with RUNTIME.open(file, graph, Settings()) as session:
            answer = session.run(inputs)["scores"]
        np.testing.assert_allclose(answer, NET.answer(inputs)["scores"], 1e-4)
    weights = tmp_path / "net.bin"
    weights.write_bytes(weights.read_bytes()[:8])
    with pytest.raises(EngineError):
        RUNTIME.open(graph.file, graph, Settings())


def test_bfloat16_outputs_come_as_float32(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Cast", ["x"], ["y"], to=16)],
        "one",
        [onnx.helper.make_tensor_value_info("x", 1, ["n"])],
        [onnx.helper.make_tensor_value_info("y", 16, ["n"])],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "b.onnx"
    )
    x, y = TensorSpec("x", "float32", ("n",)), TensorSpec("y", "bfloat16", ("n",))
    artifact = Artifact(str(tmp_path / "b.onnx"), Format.ONNX, Signature((x,), (y,)))
    values = np.array([1.0, -2.5, 3e38, 1 / 3], np.float32)
    with RUNTIME.open(artifact.file, artifact, Settings()) as session:
        assert session.signature.outputs[0].dtype == "float32"
        answer = session.run({"x": values})["y"]
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, values, rtol=2**-7)
    assert ((answer.view(np.uint32) & 0xFFFF) == 0).all()


@pytest.mark.parametrize("inner", ["a_inner", "z_inner"])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_port_may_have_several_names(tmp_path: Path, inner: str, compiled: bool) -> None:
    # OpenVINO takes the Identity out, and the port has the names of both of its sides.
    body = (
        f"g (float[n, 2, 4, 4] x) => (float[n, 3, 4, 4] y, float[n, 3, 4, 4] z) {{\n"
        f"{inner} = Conv (x, w)\n y = Identity ({inner})\n z = Identity (y)\n}}"
    )
    w = np.random.default_rng(0).standard_normal((3, 2, 1, 1)).astype(np.float32)
    graph = write_onnx(make_graph(body, {"w": w}), tmp_path, "graph")
    engine = RUNTIME.compile(graph, Settings(), tmp_path) if compiled else graph.file
    x = np.random.default_rng(1).standard_normal((2, 2, 4, 4)).astype(np.float32)
    want = np.einsum("oi,nihw->nohw", w[:, :, 0, 0], x)
    with RUNTIME.open(engine, graph, Settings()) as session:
        found = session.run({"x": x})
    for name in ("y", "z"):
        np.testing.assert_allclose(found[name], want, rtol=1e-4, atol=1e-5)


def test_an_unknown_operator_has_a_type_of_its_own(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    source = NET.onnx(tmp_path)
    model = onnx.load(source.path)
    model.graph.node[3].op_type = "Magic"
    model.graph.node[3].domain = "com.acme"
    model.opset_import.append(onnx.helper.make_opsetid("com.acme", 1))
    onnx.save(model, source.path)
    with pytest.raises(UnsupportedOperatorError, match="Magic"):
        RUNTIME.compile(source, Settings(), tmp_path)


def test_large_and_small_inputs_of_fixed_size(tmp_path: Path) -> None:
    graph = WIDE.onnx(tmp_path)  # its input is larger than what is copied
    settings = Settings(fixed={"batch": 1})
    with RUNTIME.open(graph.file, graph, settings) as session:
        for seed in range(3):
            inputs = WIDE.inputs(1, seed)
            before = inputs["x"].copy()
            np.testing.assert_allclose(
                session.run(inputs)["y"], WIDE.answer(inputs)["y"], 1e-3, 1e-3
            )
            assert (inputs["x"] == before).all()


def test_answers_outlive_the_session(graph: Artifact, engine: Path) -> None:
    session = RUNTIME.open(engine, graph, Settings())
    inputs = NET.inputs(2)
    answer = session.run(inputs)
    session.close()
    del session
    gc.collect()
    np.testing.assert_allclose(answer["scores"], NET.answer(inputs)["scores"], 1e-4)


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A graph whose weights, 16 MB, stand out against what else a process holds."""
    onnx = pytest.importorskip("onnx")
    weights = np.random.default_rng(0).normal(size=(2000, 2000)).astype(np.float32)
    body = "heavy (float[n, 2000] x) => (float[n, 2000] y) { y = MatMul (x, w) }"
    file = tmp_path_factory.mktemp("heavy") / "heavy.onnx"
    onnx.save(make_graph(body, {"w": weights}), file)
    x, y = (TensorSpec(name, "float32", ("n", 2000)) for name in "xy")
    return Artifact(str(file), Format.ONNX, Signature((x,), (y,)))


@pytest.mark.parametrize("compiled", [True, False])
def test_closing_gives_the_memory_back(heavy: Artifact, tmp_path: Path, compiled: bool) -> None:
    """However long the closed sessions themselves are kept."""
    weights = 2000 * 2000 * 4
    engine = RUNTIME.compile(heavy, Settings(), tmp_path) if compiled else heavy.file
    inputs = {"x": np.ones((4, 2000), np.float32)}
    kept, opened, closed = [], [], []
    for _ in range(6):
        session = RUNTIME.open(engine, heavy, Settings())
        session.run(inputs)
        opened.append(_resident())
        session.close()
        closed.append(_resident())
        kept.append(session)
    # The first brings the library itself and its thread pools into memory.
    assert max(closed[1:]) - closed[0] < weights, "it does not grow"
    assert all(was - now > weights for was, now in zip(opened, closed, strict=True)), "it drops"
    for session in kept:
        with pytest.raises(EngineError, match="closed"):
            session.run(inputs)
        with pytest.raises(EngineError, match="closed"):
            session.layers(inputs)
        with pytest.raises(EngineError, match="closed"):
            _ = session.compiled


def _resident() -> int:
    gc.collect()
    return psutil.Process().memory_info().rss


def test_closing_while_others_run(graph: Artifact, engine: Path) -> None:
    session = RUNTIME.open(engine, graph, Settings())
    inputs, stopped = NET.inputs(2), []

    def ask() -> None:
        try:
            while True:
                session.run(inputs)
        except EngineError as error:
            stopped.append(str(error))

    callers = [threading.Thread(target=ask) for _ in range(4)]
    for caller in callers:
        caller.start()
    session.close()
    for caller in callers:
        caller.join(timeout=30)
    assert len(stopped) == 4
    assert all("closed" in message for message in stopped)


@pytest.mark.parametrize("flush", [True, False])
def test_denormals_are_flushed_on_request(tmp_path: Path, flush: bool) -> None:
    onnx = pytest.importorskip("onnx")
    x, y = (TensorSpec(name, "float32", ("n",)) for name in "xy")
    square = onnx.helper.make_graph(
        [onnx.helper.make_node("Mul", ["x", "x"], ["y"])],
        "square",
        [onnx.helper.make_tensor_value_info("x", 1, ["n"])],
        [onnx.helper.make_tensor_value_info("y", 1, ["n"])],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    onnx.save(
        onnx.helper.make_model(square, opset_imports=opset, ir_version=10), tmp_path / "s.onnx"
    )
    graph = Artifact(str(tmp_path / "s.onnx"), Format.ONNX, Signature((x,), (y,)))
    settings, answers = Settings(flush_denormals=flush), []

    def ask() -> None:  # in a thread of its own, whose mode nobody else has to bear
        with RUNTIME.open(graph.file, graph, settings) as session:
            answers.append(session.run({"x": np.full(64, 1e-20, np.float32)})["y"])

    caller = threading.Thread(target=ask)
    caller.start()
    caller.join()
    assert bool((answers[0].view(np.uint32) == 0).all()) is flush


def test_layers_name_the_nodes(graph: Artifact, engine: Path) -> None:
    with RUNTIME.open(engine, graph, Settings()) as session:
        layers = session.layers(NET.inputs(2))
        assert session.run(NET.inputs(2))
    assert {"Convolution", "FullyConnected"} <= {layer.kind for layer in layers}


def test_an_engine_without_its_graph(graph: Artifact, engine: Path) -> None:
    gone = msgspec.structs.replace(graph, path="/nowhere/net.onnx")
    with RUNTIME.open(engine, gone, Settings()) as session:
        assert session.run(NET.inputs(1))


def test_a_copy_made_for_the_call_lives_until_the_answer(tmp_path: Path) -> None:
    """Read-only and strided rows are copied; the engine must not read freed memory."""
    graph = WIDE.onnx(tmp_path)
    with RUNTIME.open(graph.file, graph, Settings(threads=2)) as session:
        for seed in range(20):
            row = WIDE.inputs(1, seed)["x"]
            wanted = session.run({"x": row})["y"]
            frozen = row.copy()
            frozen.flags.writeable = False
            strided = np.repeat(row, 2, axis=3)[..., ::2]
            for same in (frozen, strided):
                np.testing.assert_array_equal(session.run({"x": same})["y"], wanted)

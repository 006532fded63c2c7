from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from whet.core.artifact import Artifact, Format
from whet.core.settings import Settings
from whet.core.spec import Arrays, Signature, TensorSpec
from whet.errors import EngineError, InputError, OptionError
from whet.runtimes.ov import OpenVinoRuntime
from whet.runtimes.padding import Padding

SIGNATURE = Signature(
    (
        TensorSpec("x", "float32", ("batch", "time", 4)),
        TensorSpec("mask", "float32", ("batch", "time")),
    ),
    (
        TensorSpec("mean", "float32", ("batch", 4)),
        TensorSpec("double", "float32", ("batch", "time", 4)),
    ),
)


def asked(rows: int, time: int, seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(size=(rows, time, 4)).astype(np.float32),
        "mask": np.ones((rows, time), np.float32),
    }


def expected(inputs: Arrays) -> Arrays:
    return {"mean": inputs["x"].mean(axis=1), "double": inputs["x"] * 2}


@pytest.fixture(scope="module")
def masked_mean(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The mean over what the mask leaves, with a table of 20 positions added to it as zeros."""
    path = tmp_path_factory.mktemp("graph") / "graph.onnx"
    nodes = [
        helper.make_node("Shape", ["mask"], ["time"], start=1, end=2),
        helper.make_node("Slice", ["table", "zero", "time", "zero"], ["places"]),
        helper.make_node("Unsqueeze", ["mask", "last"], ["wide"]),
        helper.make_node("Mul", ["x", "wide"], ["kept"]),
        helper.make_node("Add", ["kept", "places"], ["placed"]),
        helper.make_node("ReduceSum", ["placed", "one"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["mask", "one"], ["count"], keepdims=1),
        helper.make_node("Div", ["sum", "count"], ["mean"]),
        helper.make_node("Add", ["x", "x"], ["double"]),
    ]
    tensors = {
        "table": np.zeros((20, 4), np.float32),
        "zero": np.array([0]),
        "one": np.array([1]),
        "last": np.array([2]),
    }
    info = [
        [helper.make_tensor_value_info(s.name, TensorProto.FLOAT, s.shape) for s in specs]
        for specs in (SIGNATURE.inputs, SIGNATURE.outputs)
    ]
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in tensors.items()]
    graph = helper.make_graph(nodes, "masked_mean", *info, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return Artifact(str(path), Format.ONNX, SIGNATURE)


@given(rows=st.integers(1, 3), time=st.integers(1, 40), multiple=st.integers(1, 16))
def test_cutting_off_undoes_padding(rows: int, time: int, multiple: int) -> None:
    padding = Padding(SIGNATURE, {"time": multiple})
    inputs = asked(rows, time)
    arrays = [inputs["x"], inputs["mask"]]
    sizes = padding.sizes(arrays)
    assert (sizes is None) == (time % multiple == 0)
    x, mask = padding.pad(arrays)
    assert x.shape[1] == mask.shape[1]
    assert 0 <= x.shape[1] - time < multiple
    assert x.shape[1] % multiple == 0
    assert not x[:, time:].any()
    assert mask.sum() == rows * time
    outputs = {"mean": x[:, 0], "double": x * 2}
    back = padding.crop(outputs, (time,))
    np.testing.assert_array_equal(back["double"], inputs["x"] * 2)
    assert back["mean"].shape == (rows, 4)


@pytest.mark.parametrize("symbol", ["length", "double"])
def test_a_symbol_that_the_inputs_dont_have(symbol: str) -> None:
    with pytest.raises(OptionError, match=f"'{symbol}' to round up"):
        Padding(SIGNATURE, {symbol: 8})


def test_a_multiple_that_means_nothing() -> None:
    with pytest.raises(OptionError, match="multiple of 0"):
        Padding(SIGNATURE, {"time": 0})


@pytest.mark.parametrize("time", [1, 7, 8, 9, 16])
def test_openvino_answers_the_same_padded(masked_mean: Artifact, time: int) -> None:
    settings = Settings(round_up={"time": 8})
    with OpenVinoRuntime().open(masked_mean.file, masked_mean, settings) as session:
        inputs = asked(2, time)
        answer = session.run(inputs)
        for name, want in expected(inputs).items():
            np.testing.assert_allclose(answer[name], want, rtol=1e-5, atol=1e-6)
        assert {"mean", "double"} <= {layer.name for layer in session.layers(inputs)}


@pytest.mark.parametrize("time", [17, 20])
def test_a_size_that_cannot_be_rounded_up_runs_as_it_is(masked_mean: Artifact, time: int) -> None:
    """The table ends at 20; rounded up to 24 the graph fails."""
    settings = Settings(round_up={"time": 8})
    with OpenVinoRuntime().open(masked_mean.file, masked_mean, settings) as session:
        inputs = asked(1, time)
        np.testing.assert_allclose(
            session.run(inputs)["mean"], expected(inputs)["mean"], rtol=1e-5, atol=1e-6
        )
        assert {"mean", "double"} <= {layer.name for layer in session.layers(inputs)}


def test_padding_hides_no_mistake(masked_mean: Artifact) -> None:
    settings = Settings(round_up={"time": 8})
    with OpenVinoRuntime().open(masked_mean.file, masked_mean, settings) as session:
        uneven = asked(1, 9) | {"mask": np.ones((1, 8), np.float32)}
        with pytest.raises(InputError, match="Make the sizes agree"):
            session.run(uneven)


def test_a_fixed_size_is_not_padded(masked_mean: Artifact) -> None:
    settings = Settings(fixed={"time": 4}, round_up={"time": 8})
    with pytest.raises(OptionError, match="don't fix it"):
        OpenVinoRuntime().open(masked_mean.file, masked_mean, settings)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("round_up", [{}, {"time": 8}])
def test_a_size_that_the_graph_cannot_take_is_an_error(
    masked_mean: Artifact, threads: int, round_up: dict[str, int]
) -> None:
    """On one thread OpenVINO alone would give the answer of the request before."""
    settings = Settings(threads=threads, round_up=round_up)
    with OpenVinoRuntime().open(masked_mean.file, masked_mean, settings) as session:
        for time in (8, 21, 9, 24, 16):
            inputs = asked(1, time)
            if time > 20:
                with pytest.raises(EngineError, match="run"):
                    session.run(inputs)
                with pytest.raises(EngineError):
                    session.layers(inputs)
            else:
                answer = session.run(inputs)["mean"]
                np.testing.assert_allclose(answer, expected(inputs)["mean"], rtol=1e-5, atol=1e-6)

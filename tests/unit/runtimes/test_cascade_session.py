from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from whet.core.cascade import Confidence, Gate, Measure
from whet.core.confidence import confidence_of, stages_of
from whet.core.settings import Settings
from whet.core.spec import Arrays, Signature, TensorSpec
from whet.errors import EngineError, InputError, OptionError
from whet.runtimes.cascade import CascadeSession
from whet.runtimes.guard import Guard
from whet.runtimes.registry import get
from whet.testing.small_net import SmallNet

RULE = Confidence("y", Measure.TOP)


def signature(batch: int | str = "batch") -> Signature:
    return Signature(
        (TensorSpec("x", "float32", (batch, 2)),),
        (TensorSpec("y", "float32", (batch, 2)), TensorSpec("z", "int64", (batch,))),
    )


class Fake:
    """Gives its inputs times a factor as scores, and its number as the other output."""

    def __init__(self, number: int, factor: float, batch: int | str = "batch") -> None:
        self.signature = signature(batch)
        self.number, self.factor = number, factor
        self.sizes: list[int] = []
        self.closed = 0

    def run(self, inputs: Mapping[str, Any]) -> Arrays:
        (x,) = Guard(self.signature).admit(inputs)
        self.sizes.append(len(x))
        return {"y": x * np.float32(self.factor), "z": np.full(len(x), self.number)}

    def layers(self, inputs: Mapping[str, Any]) -> tuple[()]:
        return ()

    def close(self) -> None:
        self.closed += 1
        if self.number == 0:
            raise EngineError("It jams.", "Pull.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def cascade(*stages: Fake, thresholds: tuple[float, ...] = (0.8, 0.6)) -> CascadeSession:
    gates = [Gate(t, 1.0) for t in thresholds[: len(stages) - 1]]
    return CascadeSession(stages, gates, RULE, signature())


rows = arrays(
    np.float32, st.tuples(st.integers(1, 9), st.just(2)), elements=st.floats(-3, 3, width=32)
)


@given(rows, st.sampled_from(["batch", 1, 2, 4]), st.sampled_from(["batch", 1, 3]))
def test_rows_come_back_in_place_from_the_stage_where_they_left(
    x: np.ndarray, first: int | str, second: int | str
) -> None:
    stages = Fake(0, 1, first), Fake(1, 2, second), Fake(2, -1)
    session = cascade(*stages)
    outputs, stage = session.answer({"x": x})
    sure = [confidence_of(RULE, {"y": x * np.float32(s.factor)}, 1.0) for s in stages]
    want = stages_of(sure[:2], [Gate(0.8, 1.0), Gate(0.6, 1.0)])
    assert stage.tolist() == want.tolist() == outputs["z"].tolist()
    factors = np.array([1, 2, -1], np.float32)[want]
    np.testing.assert_array_equal(outputs["y"], x * factors[:, None])
    assert session.left == tuple(np.bincount(want, minlength=3))
    alone = [session.run({"x": row[None]}) for row in x]
    np.testing.assert_array_equal(outputs["y"], np.concatenate([a["y"] for a in alone]))


def test_a_later_stage_sees_only_the_rows_that_go_on() -> None:
    stages = Fake(0, 1), Fake(1, 2), Fake(2, -1)
    x = np.array([[9, 0], [0, 0], [0.4, 0], [9, 0]], np.float32)
    cascade(*stages).run({"x": x})
    assert [s.sizes for s in stages] == [[4], [2], [1]]
    cascade(*stages).run({"x": x[:1]})
    assert stages[1].sizes == [2]


def test_answers_are_the_callers_own_even_where_an_engine_lends_them() -> None:
    class Lending(Fake):
        def run(self, inputs: Mapping[str, Any]) -> Arrays:
            found = super().run(inputs)
            for array in found.values():
                array.flags.writeable = False
            return found

    x = np.array([[9, 0], [0, 0]], np.float32)
    found = cascade(Lending(0, 1), Fake(1, 2)).run({"x": x})
    assert found["z"].tolist() == [0, 1]


def test_what_is_no_number_goes_on() -> None:
    x = np.array([[np.nan, 0], [9, 0]], np.float32)
    _, stage = cascade(Fake(0, 1), Fake(1, 1), thresholds=(0.0,)).answer({"x": x})
    assert stage.tolist() == [1, 0]


def test_callers_may_ask_at_once() -> None:
    session = cascade(Fake(0, 1), Fake(1, 2))
    x = np.array([[9, 0], [0, 0]], np.float32)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: session.run({"x": x}), range(200)):
            assert found["z"].tolist() == [0, 1]
    assert session.left == (200, 200)


@pytest.mark.parametrize(
    "inputs",
    [
        {"x": np.ones((1, 3), np.float32)},
        {"x": np.ones((1, 2))},
        {"x": np.ones((0, 2), np.float32)},
        {},
    ],
)
def test_wrong_inputs_are_refused_before_any_stage(inputs: Arrays) -> None:
    stages = Fake(0, 1), Fake(1, 2)
    with pytest.raises(InputError):
        cascade(*stages).run(inputs)
    assert stages[0].sizes == []


def test_stages_that_answer_in_other_forms_are_refused() -> None:
    class Wide(Fake):
        def run(self, inputs: Mapping[str, Any]) -> Arrays:
            return super().run(inputs) | {"y": np.ones((len(inputs["x"]), 3), np.float32)}

    class Short(Fake):
        def run(self, inputs: Mapping[str, Any]) -> Arrays:
            return {"y": super().run(inputs)["y"]}

    for later in (Wide(1, 1), Short(1, 1)):
        with pytest.raises(EngineError, match="one stage"):
            cascade(Fake(0, 1), later).run({"x": np.zeros((2, 2), np.float32)})


def test_what_is_no_cascade_is_refused() -> None:
    with pytest.raises(OptionError, match="no cascade"):
        CascadeSession([Fake(0, 1)], [], RULE, signature())
    with pytest.raises(OptionError, match="no cascade"):
        CascadeSession([Fake(0, 1), Fake(1, 1)], [], RULE, signature())
    mean = Signature(signature().inputs, (TensorSpec("y", "float32", (2,)),))
    for fixed in (signature(1), mean):
        with pytest.raises(OptionError, match="dynamic batch size"):
            CascadeSession([Fake(0, 1), Fake(1, 1)], [Gate(0.5, 1.0)], RULE, fixed)


def test_every_stage_is_closed_even_where_one_jams() -> None:
    stages = Fake(0, 1), Fake(1, 2)
    with pytest.raises(EngineError, match="jams"), cascade(*stages) as session:
        assert session.layers({}) == ()
    assert [s.closed for s in stages] == [1, 1]


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CascadeSession]:
    """Real engines: a free batch before one that is fixed to two rows."""
    graph = SmallNet().onnx(tmp_path_factory.mktemp("cascade"))
    runtime = get("onnxruntime")
    symbol = graph.signature.batch_symbol
    assert symbol is not None
    stages = [runtime.open(graph.file, graph, Settings(fixed=fixed)) for fixed in ({}, {symbol: 2})]
    rule = Confidence(graph.signature.outputs[0].name, Measure.TOP)
    with CascadeSession(stages, [Gate(0.9, 1.0)], rule, graph.signature) as session:
        yield session


@pytest.mark.parametrize("count", [1, 2, 5])
def test_real_engines_answer_as_the_network_does(engines: CascadeSession, count: int) -> None:
    inputs = SmallNet().inputs(count)
    for name, want in SmallNet().answer(inputs).items():
        np.testing.assert_allclose(engines.run(inputs)[name], want, rtol=1e-4, atol=1e-4)

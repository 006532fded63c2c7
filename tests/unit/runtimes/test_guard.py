from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.core.spec import Arrays, Signature, TensorSpec
from whet.errors import EngineError, InputError, OptionError
from whet.runtimes.guard import (
    Guard,
    Port,
    check_ports,
    fix_symbols,
    numpy_dtype,
    widen_bfloat16,
)

SIGNATURE = Signature(
    inputs=(
        TensorSpec("ids", "int64", ("batch", "length")),
        TensorSpec("mask", "int64", ("batch", "length")),
        TensorSpec("scale", "float32", ()),
        TensorSpec("image", "uint8", ("batch", 4, 3)),
    ),
    outputs=(TensorSpec("y", "bfloat16", ("batch", 2)),),
)


def arrays(batch: int = 2, length: int = 5) -> Arrays:
    return {
        "ids": np.zeros((batch, length), np.int64),
        "mask": np.ones((batch, length), np.int64),
        "scale": np.array(1, np.float32),
        "image": np.zeros((batch, 4, 3), np.uint8),
    }


def test_admits_in_the_signatures_order_whatever_the_callers() -> None:
    given_arrays = arrays()
    backwards = dict(reversed(given_arrays.items()))
    admitted = Guard(SIGNATURE).admit(backwards)
    assert all(a is b for a, b in zip(admitted, given_arrays.values(), strict=True))


SHAPES = st.lists(st.integers(1, 4), min_size=0, max_size=3).map(tuple)
DTYPES = st.sampled_from(["int64", "int32", "float32", "uint8"])


@given(st.data())
def test_admits_exactly_what_bind_accepts(data: st.DataObject) -> None:
    inputs = arrays(data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3)))
    for name in data.draw(st.sets(st.sampled_from([*inputs, "other"]), max_size=2)):
        inputs[name] = np.zeros(data.draw(SHAPES), data.draw(DTYPES))
    for name in data.draw(st.sets(st.sampled_from(list(inputs)), max_size=1)):
        if data.draw(st.booleans()):
            del inputs[name]
    assert refusal(Guard(SIGNATURE).admit, inputs) == refusal(SIGNATURE.bind, inputs)


def refusal(check: Callable[[Arrays], object], inputs: Arrays) -> str:
    try:
        check(inputs)
    except InputError as error:
        return str(error)
    return ""


def test_takes_memory_maps_and_subclasses() -> None:
    signature = Signature((TensorSpec("x", "float32", ("n",)),), ())

    class Own(np.ndarray):
        pass

    assert Guard(signature).admit({"x": np.ones(3, np.float32).view(Own)})


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"scale": 1.0}, "float, not a numpy array"),
        ({"image": np.zeros((0, 4, 3), np.uint8)}, "batch"),
        ({"scale": np.array(1, ">f4")}, "byte order"),
    ],
)
def test_says_what_bind_does_not_know(wrong: Arrays, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Guard(SIGNATURE).admit(arrays() | wrong)


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        Guard(SIGNATURE).admit(arrays(batch=0))


def test_fixing_replaces_a_symbol_everywhere() -> None:
    fixed = fix_symbols(SIGNATURE, {"batch": 3})
    assert [spec.shape for spec in fixed.inputs] == [(3, "length"), (3, "length"), (), (3, 4, 3)]
    assert fixed.outputs[0].shape == (3, 2)
    assert fix_symbols(SIGNATURE, {}) is SIGNATURE


@pytest.mark.parametrize("fixed", [{"bacth": 1}, {"batch": 0}, {"batch": -1}])
def test_fixing_needs_a_known_symbol_and_a_size(fixed: dict[str, int]) -> None:
    with pytest.raises(OptionError):
        fix_symbols(SIGNATURE, fixed)


def test_bfloat16() -> None:
    assert widen_bfloat16(SIGNATURE).outputs[0].dtype == "float32"
    with pytest.raises(InputError, match="bfloat16"):
        numpy_dtype("bfloat16")


X = Signature((TensorSpec("x", "float32", ("n", 3)),), (TensorSpec("y", "float32", ("n", 2)),))
Y = Port("y", "float32", (None, 2))


@pytest.mark.parametrize(
    ("port", "fits"),
    [
        (Port("x", "float32", (None, 3)), True),
        (Port("x", None, (None, 3)), True),
        (Port("x", "float32", None), True),
        (Port("x", "float64", (None, 3)), False),
        (Port("x", "float32", (None, 4)), False),
        (Port("x", "float32", (1, 3)), False),  # fixed where it was promised to be dynamic
        (Port("x", "float32", (None, None)), False),
        (Port("x", "float32", (None, 3, 1)), False),
        (Port("z", "float32", (None, 3)), False),
    ],
)
def test_inputs_must_be_as_promised(port: Port, fits: bool) -> None:
    if fits:
        check_ports("some", X, [port], [Y])
    else:
        with pytest.raises(EngineError):
            check_ports("some", X, [port], [Y])


def test_outputs_may_be_vague_and_more() -> None:
    x = Port("x", "float32", (None, 3))
    check_ports("some", X, [x], [Port("more", "int8", ()), Port("y", "float32", (1, None))])
    with pytest.raises(EngineError, match="outputs"):
        check_ports("some", X, [x], [])
    with pytest.raises(EngineError, match="'y'"):
        check_ports("some", X, [x], [Port("y", "float32", (None, 9))])

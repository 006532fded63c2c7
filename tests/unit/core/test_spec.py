from __future__ import annotations

import numpy as np
import pytest

from whet.core.spec import Signature, TensorSpec
from whet.errors import InputError

TOKENS = Signature(
    (
        TensorSpec("ids", "int64", ("batch", "sequence")),
        TensorSpec("mask", "int64", ("batch", "sequence")),
    ),
    (TensorSpec("embedding", "float32", ("batch", 8)),),
)


def test_bind_gives_the_size_of_each_symbol() -> None:
    ids = np.zeros((2, 5), np.int64)
    assert TOKENS.bind({"ids": ids, "mask": ids}) == {"batch": 2, "sequence": 5}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"ids": np.zeros((2, 5), np.int64)}, "takes \\['ids', 'mask'\\]"),
        ({"ids": np.zeros((2, 5), np.int32), "mask": np.zeros((2, 5), np.int64)}, "astype"),
        (
            {"ids": np.zeros((2, 5), np.int64), "mask": np.zeros((2, 6), np.int64)},
            "axis 1 has 6 and 'sequence' is 5 elsewhere",
        ),
        ({"ids": np.zeros(2, np.int64), "mask": np.zeros((2, 5), np.int64)}, "rank"),
    ],
)
def test_what_does_not_fit_is_refused(arrays: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(InputError, match=words):
        TOKENS.bind(arrays)


def test_the_batch_symbol_is_the_leading_one_that_all_inputs_share() -> None:
    assert TOKENS.batch_symbol == "batch"
    fixed = Signature((TensorSpec("x", "float32", (1, 3)),), ())
    assert fixed.batch_symbol is None
    assert Signature((), ()).batch_symbol is None


def test_a_shape_becomes_concrete() -> None:
    assert TOKENS.inputs[0].concrete({"batch": 3, "sequence": 7}) == (3, 7)


def test_a_fixed_size_is_named_by_its_axis() -> None:
    fixed = Signature((TensorSpec("x", "float32", ("batch", 1, 8, 8)),), ())
    with pytest.raises(InputError, match="axis 2 has 64 and must have 8"):
        fixed.bind({"x": np.zeros((2, 1, 64, 64), np.float32)})


@pytest.mark.parametrize(
    ("given", "asked", "says"),
    [
        ("float32", "uint8", "raw values 0 to 255"),
        ("float64", "int64", "whole numbers"),
        ("float64", "float32", ".astype('float32')"),
        ("int32", "int64", ".astype('int64')"),
    ],
)
def test_no_remedy_for_a_datatype_loses_what_the_values_say(
    given: str, asked: str, says: str
) -> None:
    signature = Signature((TensorSpec("x", asked, (2,)),), ())
    with pytest.raises(InputError) as refused:
        signature.bind({"x": np.zeros(2, given)})
    assert says in refused.value.remedy

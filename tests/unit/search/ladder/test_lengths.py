from __future__ import annotations

import pytest

from whet.core.spec import Signature, TensorSpec
from whet.search.ladder.lengths import masked_symbols, round_ups


def signature(*inputs: tuple[str, tuple[int | str, ...]]) -> Signature:
    return Signature(tuple(TensorSpec(n, "int64", s) for n, s in inputs), ())


def test_what_a_mask_covers_may_be_padded() -> None:
    text = signature(
        ("input_ids", ("batch", "sequence")), ("attention_mask", ("batch", "sequence"))
    )
    assert masked_symbols(text) == ("sequence",)


@pytest.mark.parametrize(
    "inputs",
    [
        [("x", ("batch", "time", 4))],
        [("x", ("batch", "time")), ("y", ("batch", "time"))],
        [("x", ("batch", "time")), ("mask", ("batch", 8))],
        [("x", ("batch", 16)), ("mask", ("batch", 16))],
    ],
    ids=["no mask", "two inputs", "a mask of something else", "fixed"],
)
def test_what_no_mask_covers_may_not(inputs: list[tuple[str, tuple[int | str, ...]]]) -> None:
    assert masked_symbols(signature(*inputs)) == ()


def test_multiples_that_the_samples_can_judge() -> None:
    assert round_ups({"sequence": [5, 9, 11, 17]}) == ({"sequence": 8}, {"sequence": 16})
    assert round_ups({"sequence": [8, 24, 40, 8]}) == ({"sequence": 16},)
    assert round_ups({"sequence": [16, 32, 64]}) == ()
    assert round_ups({"sequence": []}) == ()
    assert round_ups({}) == ()

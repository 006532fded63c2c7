from __future__ import annotations

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from whet.core.spec import Arrays
from whet.data.image import ImageTransform
from whet.errors import InputError
from whet.serve.loaded import Loaded


def picture(value: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def loaded(*names: str) -> Loaded:
    def run(arrays: Arrays) -> Arrays:
        return {"mean": arrays["input"].reshape(len(arrays["input"]), -1).mean(1)}

    inputs = tuple(SimpleNamespace(name=name) for name in names)
    signature = SimpleNamespace(batch_symbol=None, inputs=inputs)
    variant = SimpleNamespace(signature=signature, settings=SimpleNamespace(fixed={}))
    transform = ImageTransform(size=(8, 8), mean=(0.0,) * 3, std=(1.0,) * 3)
    return Loaded(None, variant, SimpleNamespace(signature=signature, run=run), transform)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [None, "text", 3])
@pytest.mark.parametrize("place", [1, 2])
def test_one_of_another_kind_is_refused_by_its_place(wrong: object, place: int) -> None:
    inputs: list[object] = [picture(10), picture(100), picture(200)]
    assert len(loaded().run(inputs)["mean"]) == 3  # type: ignore[arg-type]
    inputs[place] = wrong
    with pytest.raises(InputError, match=f"Input {place} is a {type(wrong).__name__}"):
        loaded().run(inputs)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_pictures_in_any_buffer(kind: Callable[[bytes], bytes]) -> None:
    answers = loaded().run([kind(picture(10)), picture(20)])["mean"]
    assert answers.tolist() == [10, 20]
    with pytest.raises(InputError, match="Give a list, even for a single sample"):
        loaded().run(kind(picture(10)))  # type: ignore[arg-type]


def test_tensors_are_taken_as_arrays() -> None:
    tensor = torch.arange(6.0).reshape(2, 3)
    for given in (tensor, {"input": tensor}, {"input": tensor.numpy()}):
        assert loaded("input").run(given)["mean"].tolist() == [1.0, 4.0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"input": [1.0, 2.0]}, "'input' is a list"),
        ({"input": torch.ones(2).bfloat16()}, "'input' is a Tensor that can't be read"),
        ({"input": torch.ones(2).requires_grad_()}, "'input' is a Tensor that can't be read"),
        (torch.ones(2).requires_grad_(), "input is a Tensor that can't be read"),
        (None, "A batch of samples"),
        (3, "A batch of samples"),
        ([], "A batch of samples"),
        ((x for x in "ab"), "A batch of samples"),
        (memoryview(np.zeros((2, 2))), "A batch of samples"),
    ],
)
def test_what_is_no_batch_is_refused_with_a_remedy(given: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        loaded("input").run(given)
    assert caught.value.remedy

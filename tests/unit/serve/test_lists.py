from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from whet.core.spec import Arrays
from whet.data.image import ImageTransform
from whet.errors import InputError
from whet.serve.loaded import Loaded


def picture(value: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def loaded() -> Loaded:
    def run(arrays: Arrays) -> Arrays:
        return {"mean": arrays["input"].reshape(len(arrays["input"]), -1).mean(1)}

    signature = SimpleNamespace(batch_symbol=None)
    variant = SimpleNamespace(signature=signature, settings=SimpleNamespace(fixed={}))
    transform = ImageTransform(size=(8, 8), mean=(0.0,) * 3, std=(1.0,) * 3)
    return Loaded(None, variant, SimpleNamespace(signature=None, run=run), transform)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [None, "text", 3])
@pytest.mark.parametrize("place", [1, 2])
def test_one_of_another_kind_is_refused_by_its_place(wrong: object, place: int) -> None:
    inputs: list[object] = [picture(10), picture(100), picture(200)]
    assert len(loaded().run(inputs)["mean"]) == 3  # type: ignore[arg-type]
    inputs[place] = wrong
    with pytest.raises(InputError, match=f"Input {place} is a {type(wrong).__name__}"):
        loaded().run(inputs)  # type: ignore[arg-type]

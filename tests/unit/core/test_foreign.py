from __future__ import annotations

import numpy as np
import pytest
import torch

from whet.core.foreign import ArrayLike, array_of
from whet.errors import InputError, SamplesError

VALUES = torch.arange(6.0).reshape(2, 3)


def test_what_says_that_it_is_an_array() -> None:
    for value in (VALUES, np.zeros(3)):
        assert isinstance(value, ArrayLike)
    for value in ([1, 2], 3, "a", b"a", {}, None):
        assert not isinstance(value, ArrayLike)
    assert array_of(VALUES, "x").tolist() == VALUES.tolist()


@pytest.mark.parametrize(
    "tensor", [VALUES.bfloat16(), VALUES.clone().requires_grad_(), VALUES.to("meta")]
)
def test_tensors_that_numpy_cannot_see(tensor: torch.Tensor) -> None:
    for kind in (InputError, SamplesError):
        with pytest.raises(kind, match="x is a Tensor that can't be read") as caught:
            array_of(tensor, "x", kind)
        assert r"tensor.detach().cpu().numpy(), with .float()" in caught.value.remedy

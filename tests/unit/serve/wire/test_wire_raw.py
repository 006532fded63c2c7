"""Bodies that are nothing but the bytes of one row."""

from __future__ import annotations

import numpy as np
import pytest

from whet.core.spec import TensorSpec
from whet.errors import RequestError
from whet.serve.wire.raw import raw_row

ROW = np.arange(6, dtype=np.float32).tobytes()


@pytest.mark.parametrize(
    ("shape", "found"),
    [(("batch", 2, 3), (1, 2, 3)), (("batch", "length", 3), (1, 2, 3)), ((1, 6), (1, 6))],
)
def test_one_row(shape: tuple[int | str, ...], found: tuple[int, ...]) -> None:
    given = raw_row(ROW, TensorSpec("x", "float32", shape))
    assert given.shape == found
    np.testing.assert_array_equal(np.ravel(given.values), np.arange(6))


@pytest.mark.parametrize("shape", [("batch", 5), ("batch", "a", "b"), ("batch", "a", 4), (2, 6)])
def test_what_does_not_fit(shape: tuple[int | str, ...]) -> None:
    with pytest.raises(RequestError):
        raw_row(ROW, TensorSpec("x", "float32", shape))

"""In which axis rows may differ; what is said where they differ otherwise."""

from __future__ import annotations

import pytest

from whet.core.spec import TensorSpec
from whet.data.shapes import free_axes, shape_remedy
from whet.errors import SamplesError


def test_symbols_say_where_rows_may_differ_else_they_may_anywhere():
    spec = TensorSpec("x", "float32", ("batch", 3, "time"))
    assert free_axes(spec.shape[1:], spec) == (1,)
    assert free_axes((3, 8, 8), spec) == (0, 1, 2)
    with pytest.raises(SamplesError, match=r"have 9 axes\. They may have 8 at most"):
        free_axes((1,) * 9, spec)


@pytest.mark.parametrize(
    ("shape", "first", "free", "axis", "remedy"),
    [
        ((2, 9), (2, 7), (0, 1), None, ""),
        ((2, 9), (2, 7), (0, 1), 1, ""),
        ((2, 7), (2, 7), (0, 1), 1, ""),
        ((1, 7), (2, 7), (0, 1), 1, "may differ in one axis"),
        ((1, 9), (2, 7), (0, 1), None, "may differ in one axis"),
        ((1, 7), (2, 7), (1,), 1, "may differ in one axis"),
        ((1, 7), (2, 7), (1, 2), None, "takes one size there"),
        ((2, 0), (2, 7), (0, 1), None, "holds nothing"),
        ((7,), (2, 7), (0, 1), None, "same number of axes"),
        ((1, 8, 8), (3, 8, 8), (0, 1, 2), None, "same number of channels"),
        ((8, 8, 4), (8, 8, 3), (0, 1, 2), None, "same number of channels"),
        ((1, 6, 20), (1, 6, 3), (0, 1, 2), None, ""),
    ],
)
def test_one_axis_may_differ(shape, first, free, axis, remedy):
    found = shape_remedy(shape, first, free, axis)
    assert remedy in found
    assert bool(found) == bool(remedy)

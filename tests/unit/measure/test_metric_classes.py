"""Outputs that are classes already are the same or not."""

from __future__ import annotations

import numpy as np
import pytest

from whet.measure.metrics import resolve_metric


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_maps_of_classes_are_compared_by_equality(dtype: str) -> None:
    classes = np.random.default_rng(0).integers(0, 2, (40, 8, 8)).astype(dtype)
    found = resolve_metric(
        "auto", labels=None, rows_per_sample=1, outputs={"y": classes}, task=None
    )
    assert found == "closeness"

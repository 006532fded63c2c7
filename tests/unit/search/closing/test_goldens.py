"""Goldens of outputs so large that a bundle holds fewer of them than usual."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from whet.bundle import check
from whet.core.contract import Contract
from whet.data.readers import open_samples
from whet.data.store import write_store
from whet.optimize.graph.io import write_onnx
from whet.search.closing import goldens
from whet.search.reference import References
from whet.testing.small_graphs import make_graph

WIDE = 1000  # numbers in an answer


@pytest.mark.parametrize(("batch", "fit"), [(1, 1), (1, 2), (2, 2), (4, 4)])
def test_as_many_rows_are_recorded_as_fit(
    batch: int, fit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(goldens, "MAX_TENSOR_BYTES", fit * WIDE * 4)
    body = f"g (float[batch, 1] x) => (float[batch, {WIDE}] y) {{ y = Tile (x, r) }}"
    graph = write_onnx(make_graph(body, {"r": np.array([1, WIDE])}), tmp_path, "net")
    x = np.arange(16, dtype=np.float32)[:, None]
    select = write_store(
        open_samples({"x": x}, expect=graph.signature.inputs), tmp_path / "s", limit=16, seed=0
    )
    setup = SimpleNamespace(
        contract=Contract(batch=batch),
        select=select,
        workdir=tmp_path,
        graph=graph,
        seed=0,
        references=References(
            SimpleNamespace(program=None, graph=graph),  # type: ignore[arg-type]  # what it reads
            tmp_path / "original",
            (0,),
            4 << 30,
        ),
    )
    found = goldens.record(setup, None, ())  # type: ignore[arg-type]  # no finalist is asked
    assert found.common is not None
    assert len(found.common.inputs["x"]) == fit
    np.testing.assert_array_equal(
        found.common.reference["y"], np.repeat(found.common.inputs["x"], WIDE, axis=1)
    )
    assert check.MAX_TENSOR_BYTES > goldens.MAX_TENSOR_BYTES

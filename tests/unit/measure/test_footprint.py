from __future__ import annotations

import msgspec
import numpy as np
import pytest

from whet.data.store import SampleStore
from whet.errors import EngineError, MeasurementError, OptionError
from whet.measure.contender import disk_bytes
from whet.measure.footprint import cold_start_ms, measure_footprint, same_answers
from whet.runtimes.registry import get


def test_footprint_of_a_compiled_engine(models, store: SampleStore, tmp_path) -> None:
    graph_itself = models.matmul(hidden=64)
    place = tmp_path / "engine"
    place.mkdir()
    engine = get("onnxruntime").compile(graph_itself.graph, graph_itself.settings, place)
    contender = msgspec.structs.replace(graph_itself, engine=str(engine))
    found = measure_footprint(contender, store.ref(), batch=2, cold_starts=1, warm_seconds=0.5)
    assert found.disk_bytes == disk_bytes(contender)
    assert found.disk_bytes <= sum(f.stat().st_size for f in place.iterdir())
    assert found.cold_start_ms is not None
    assert found.load_ms is not None
    assert found.cold_start_ms > found.load_ms
    assert found.energy_mj is not None or found.notes[-1].where == "energy"


def test_a_wrong_first_answer_is_no_cold_start(models, store: SampleStore) -> None:
    wrong = {"y": np.zeros((1, 4), np.float32)}
    with pytest.raises(MeasurementError, match="not the expected"):
        cold_start_ms(models.matmul(), store.ref(), wrong, batch=1, repeats=1)


def test_a_cold_start_needs_an_engine(models, store: SampleStore) -> None:
    contender = msgspec.structs.replace(models.matmul(), engine=None)
    with pytest.raises(OptionError, match="no compiled engine"):
        cold_start_ms(contender, store.ref(), {}, batch=1)
    found = measure_footprint(contender, store.ref(), batch=1, warm_seconds=0.2)
    assert found.cold_start_ms is None
    assert any(note.where == "cold start" for note in found.notes)


def test_missing_files_are_an_engine_error(models) -> None:
    contender = msgspec.structs.replace(models.matmul(), engine="/nowhere/engine.onnx")
    with pytest.raises(EngineError, match="can't be read"):
        disk_bytes(contender)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"y": np.array([1.0, 100.0])}, True),
        ({"y": np.array([1.05, 100.05])}, True),
        ({"y": np.array([1.2, 100.0])}, False),
        ({"y": np.array([np.nan, 100.0])}, False),
        ({"y": np.array([1.0])}, False),
        ({"z": np.array([1.0, 100.0])}, False),
    ],
)
def test_same_but_for_the_order_of_sums(other: dict[str, np.ndarray], same: bool) -> None:
    assert same_answers(other, {"y": np.array([1.0, 100.0])}) is same

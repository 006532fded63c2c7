from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from trial_factory import trial

from whet.core.contract import Contract
from whet.core.spec import Signature
from whet.data.readers import open_samples
from whet.data.store import SampleStore, write_store
from whet.search.closing.goldens import golden_part
from whet.search.closing.pack import variant_names


@pytest.fixture
def select(tmp_path: Path) -> SampleStore:
    x = np.arange(20, dtype=np.float32).reshape(10, 2)
    return write_store(open_samples({"x": x}), tmp_path / "samples", limit=100, seed=0)


def golden(select: SampleStore, batch: int, folder: Path) -> SampleStore:
    signature = Signature(select.inputs, ())
    setup = SimpleNamespace(
        contract=Contract(batch=batch),
        workdir=folder,
        select=select,
        graph=SimpleNamespace(signature=signature),
        seed=0,
    )
    return golden_part(setup)  # type: ignore[arg-type]  # the four fields that it looks at


@pytest.mark.parametrize(("batch", "rows"), [(1, 4), (2, 4), (3, 3), (8, 8), (16, 16)])
def test_goldens_are_a_whole_number_of_requests(
    select: SampleStore, tmp_path: Path, batch: int, rows: int
) -> None:
    assert len(golden(select, batch, tmp_path)) == rows


def test_another_batch_has_goldens_of_its_own(select: SampleStore, tmp_path: Path) -> None:
    """Searches under several contracts share the workspace."""
    first = golden(select, 1, tmp_path)
    assert len(golden(select, 8, tmp_path)) == 8
    assert golden(select, 1, tmp_path).path == first.path


def test_variants_have_distinct_names_that_files_may_have() -> None:
    finalists = tuple(trial(name, 1.0) for name in ("a b (c)", "a-b-c", "???", "x" * 99))
    names = variant_names(finalists)
    assert list(names.values()) == ["a-b-c", "a-b-c-2", "variant", "x" * 60]

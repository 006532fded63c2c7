"""One network and one cache for all runs of the whole main job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from stripes import Job, make_job


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return make_job(tmp_path_factory.mktemp("job"))


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of its own, so that each run builds on the one before."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("cache")
    patch.setenv("WHET_CACHE", str(folder))
    yield folder
    patch.undo()

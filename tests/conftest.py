"""Shared by all tests: where the real data lies, seeds, no network, slow tests by wish."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# Before any library reads them: no model hub, no fork warnings, no spinning threads
# (two cores are shared with the processes that the tests start).
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# How long one example takes says something of the machine, which is shared, and not of the code.
settings.register_profile("whet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("whet")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip slow tests unless they were asked for, by --slow or by a marker expression."""
    if config.getoption("--slow") or "slow" in config.getoption("markexpr"):
        return
    skip = pytest.mark.skip(reason="slow; run with --slow or `make test-all`")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real data (`WHET_DATA`, default ``../shared/data``); skips where it is absent."""
    where = Path(os.environ.get("WHET_DATA") or ROOT.parent / "shared" / "data")
    if not (where / "README.md").is_file():
        pytest.skip(f"no real data at {where}; set WHET_DATA to the folder")
    return where


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Engines, ledgers and measured ceilings of tests stay out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHET_CACHE", str(tmp_path_factory.mktemp("whet-cache")))
        yield


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Every test starts from the same global seeds; tests that need more make a generator."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global state is what third-party code draws from

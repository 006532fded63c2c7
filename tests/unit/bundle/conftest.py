from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Factories beside the tests are plain modules; importlib mode doesn't put them on the path.
sys.path.insert(0, str(Path(__file__).parent))

from bundle_factory import make_bundle

from whet.bundle.read import Bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "good")

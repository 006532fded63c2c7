from __future__ import annotations

import sys
from pathlib import Path

# Factories beside the tests are plain modules; importlib mode doesn't put them on the path.
sys.path.insert(0, str(Path(__file__).parent))

"""A parent that starts a family of workers and then waits to be killed."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from whet_probe import Answer, Ask  # noqa: E402 - the path is set above

from whet.search.workers.isolate import run_isolated  # noqa: E402 - the path is set above

if __name__ == "__main__":
    run_isolated(
        f"whet_probe:{sys.argv[1]}",
        Ask(sys.argv[2], 300.0),
        Answer,
        timeout_s=300,
        memory_bytes=None,
        worker=(str(HERE / "probe_worker.py"),),
    )

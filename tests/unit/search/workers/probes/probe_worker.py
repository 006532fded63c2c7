"""The worker, allowed to run the probes beside this file."""

from __future__ import annotations

import sys
from pathlib import Path

from whet.search.workers.worker import main

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main(sys.argv[1:], packages=("whet_probe",))

"""Build the documentation strictly: any warning fails.

`python scripts/build_docs.py` builds into a temporary folder and says nothing
when all is well; `--keep` leaves the pages in site/.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def command(site: Path) -> list[str]:
    """The build as an argument list; the output folder is the only choice."""
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    return [*build, "--config-file", str(ROOT / "mkdocs.yml"), "--site-dir", str(site)]


def main(argv: list[str] | None = None) -> int:
    """Build; the exit status is the generator's."""
    parser = argparse.ArgumentParser(description="Build the documentation.")
    parser.add_argument("--keep", action="store_true", help="leave the pages in site/")
    keep = parser.parse_args(argv).keep
    with tempfile.TemporaryDirectory() as scratch:
        site = ROOT / "site" if keep else Path(scratch) / "site"
        # The theme prints an advertisement for its authors' plans unless told not to.
        env = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}
        built = subprocess.run(
            command(site), env=env, capture_output=True, text=True, check=False, cwd=ROOT
        )
    if built.returncode:
        print(built.stdout + built.stderr, file=sys.stderr)
    return built.returncode


if __name__ == "__main__":
    sys.exit(main())

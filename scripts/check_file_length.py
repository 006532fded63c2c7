"""Hold the house rule on file length: over 300 lines is listed, over 500 fails.

`python scripts/check_file_length.py [--quiet] [FOLDER ...]` (default: src).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

LISTED = 300
FAILED = 500


@dataclass(frozen=True)
class Lengths:
    """Files over the two limits, longest first, as (name, lines)."""

    failed: tuple[tuple[str, int], ...]
    listed: tuple[tuple[str, int], ...]


def judge(lines: Mapping[str, int]) -> Lengths:
    """Sort files by what their number of lines asks for."""
    longest = sorted(lines.items(), key=lambda item: (-item[1], item[0]))
    return Lengths(
        failed=tuple((name, n) for name, n in longest if n > FAILED),
        listed=tuple((name, n) for name, n in longest if LISTED < n <= FAILED),
    )


def count(folders: Iterable[Path]) -> dict[str, int]:
    """Number of lines of every Python file below the folders."""
    return {
        str(file): len(file.read_text(encoding="utf-8").splitlines())
        for folder in folders
        for file in sorted(folder.rglob("*.py"))
    }


def main(argv: list[str] | None = None) -> int:
    """Print the long files; 1 if one is too long."""
    parser = argparse.ArgumentParser(description="Check the length of Python files.")
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("src")])
    parser.add_argument("--quiet", action="store_true", help="print only what fails")
    args = parser.parse_args(argv)
    found = judge(count(args.folders))
    for name, n in found.failed:
        print(f"{name}: {n} lines, over {FAILED}: split it by subject", file=sys.stderr)
    for name, n in () if args.quiet else found.listed:
        print(f"{name}: {n} lines, over {LISTED}: does it have a reason?")
    return 1 if found.failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Fill the tables of docs/concepts/statistics.md from the product's own statistics.

`python scripts/floor_tables.py [--check]`.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from whet.measure.statistics.counts import binomial_upper, queries_needed
from whet.measure.statistics.paired import paired_proportions

PAGE = Path(__file__).resolve().parent.parent / "docs" / "concepts" / "statistics.md"
CONFIDENCE = 0.95


def smallest(holds: Callable[[int], bool], start: int) -> int:
    """The smallest n from ``start`` on that holds, for a rule that keeps holding once it does."""
    low, high = start - 1, start
    while not holds(high):
        low, high = high, 2 * high
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def paired(share: float, floor: float) -> int:
    """Samples that prove a floor for top-1 when ``share`` of them differ, half for the better."""

    def holds(n: int) -> bool:
        each = max(1, math.ceil(share * n / 2))
        return n >= 2 * each and paired_proportions(each, each, n, CONFIDENCE).upper <= floor

    return smallest(holds, 2)


def agreement(seen: int, floor: float) -> int:
    """Samples that prove a floor on disagreement when ``seen`` of them disagree."""
    return smallest(lambda n: binomial_upper(seen, n, CONFIDENCE) <= floor, seen + 1)


def table(heads: Iterable[str], lines: Iterable[tuple[str, Iterable[int]]]) -> str:
    """A Markdown table of counts."""
    names = list(heads)
    text = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    text += [f"| {name} | " + " | ".join(f"{n:,}" for n in row) + " |" for name, row in lines]
    return "\n".join(text)


def tables() -> dict[str, str]:
    """Each table by the name in its marks."""
    floors, shares, seen = (0.02, 0.01, 0.005), (0.005, 0.01, 0.02, 0.04), (0, 1, 2, 5)
    return {
        "paired": table(
            ["discordant share", "floor 2 points", "1 point", "0.5 points"],
            [(f"{s:.1%}", [paired(s, f) for f in floors]) for s in shares],
        ),
        "agreement": table(
            ["floor", *(f"{k} seen" for k in seen)],
            [
                (f"{f:.1%}", [agreement(k, f) for k in seen])
                for f in (0.05, 0.02, 0.01, 0.005)
            ],
        ),
        "queries": table(
            ["percentile", "none above the limit", "one above", "two above"],
            [(f"p{q:g}", [queries_needed(q, k) for k in (0, 1, 2)]) for q in (50, 90, 95, 99, 99.9)],
        ),
    }  # fmt: skip


def spliced(page: str, texts: dict[str, str]) -> str:
    """The page with the text between ``<!-- NAME -->`` and ``<!-- /NAME -->`` replaced.

    Raises:
        ValueError: a mark is missing.
    """
    for name, text in texts.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, found, rest = page.partition(start)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"the page has no {start} ... {end}")
        page = f"{before}{start}\n\n{text}\n\n{end}{after}"
    return page


def main(argv: list[str] | None = None) -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description="Fill the tables of the statistics page.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if out of date")
    check = parser.parse_args(argv).check
    old = PAGE.read_text(encoding="utf-8")
    new = spliced(old, tables())
    if check:
        if new != old:
            print(f"{PAGE.name} is out of date: run scripts/floor_tables.py", file=sys.stderr)
        return int(new != old)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Fill the table of results in README.md from the committed result of the main benchmark.

`python scripts/readme_results.py [--check] [--from FILE.json]`. With `--check`
nothing is written and the exit status says whether README.md is up to date.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START, END = "<!-- results -->", "<!-- /results -->"

Row = Mapping[str, object]

_LEVEL = "Never slower, and against peers: also met where the interval of the ratio reaches 1."

# The head of each column, and where its value lies in a row of benchmarks/main_job.py.
COLUMNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("network", ("network",)),
    ("contender", ("contender",)),
    ("p50, ms", ("p50_ms", "value")),
    ("p99, ms", ("p99_ms", "value")),
    ("× eager, p50", ("speedup_over_eager", "value")),
    ("× best untouched, p50", ("speedup_over_untouched", "value")),
    ("size, MB", ("size_bytes",)),
    ("metric", ("quality", "metric")),
    ("value", ("quality", "candidate")),
    ("drop", ("quality", "drop")),
    ("drop at most (95 %)", ("quality", "bound")),
)


def value_at(row: object, path: Sequence[str]) -> object:
    """The value at a path of keys; ``None`` where one is missing."""
    for key in path:
        if not isinstance(row, Mapping):
            return None
        row = row.get(key)
    return row


def cell(head: str, value: object) -> str:
    """One value as text: 3 digits, megabytes, a dash for what was not measured."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, int | float):
        number = value / 1e6 if head.endswith("MB") else value
        return f"{number:.3g}" if abs(number) < 1000 else f"{number:,.0f}"
    return str(value).replace("|", "\\|")


def table(heads: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    text = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for line in lines:
        cells = (cell(head, value) for head, value in zip(heads, line, strict=True))
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text)


def rows_table(rows: Sequence[Row]) -> str:
    """One line per contender of each network."""
    lines = [[value_at(row, path) for _, path in COLUMNS] for row in rows]
    return table([head for head, _ in COLUMNS], lines) if lines else ""


def goals_table(goals: Sequence[Row]) -> str:
    """What was aimed at and what was reached, in the benchmark's own order."""
    lines = [
        (g.get("name"), _with_unit(g.get("goal"), g), _with_unit(g.get("reached"), g), g.get("met"))
        for g in goals
    ]
    return table(("goal", "aimed at", "reached", "met"), lines) if lines else ""


def _with_unit(value: object, goal: Row) -> str:
    unit = str(goal.get("unit") or "")
    return f"{cell('', value)} {unit}".rstrip() if value is not None else "–"


def render(result: Mapping[str, object], source: str) -> str:
    """The Markdown between the two marks."""
    rows, goals = result.get("rows"), result.get("goals")
    parts = [
        f"Written by `python scripts/readme_results.py` from `{source}`{_where(result)}.",
        rows_table(rows) if isinstance(rows, list) else "",
        goals_table(goals) if isinstance(goals, list) else "",
        _LEVEL if isinstance(goals, list) and goals else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _where(result: Mapping[str, object]) -> str:
    """The machine in a few words, where the result says it."""
    machine = result.get("machine")
    if not isinstance(machine, Mapping) or not machine.get("cpu"):
        return ""
    flags, cores = machine.get("flags"), machine.get("cores")
    amx = " with AMX" if isinstance(flags, list) and "amx_int8" in flags else ""
    return f"; measured on {machine['cpu']}{amx}" + (f", {cores} cores" if cores else "")


def spliced(readme: str, text: str) -> str:
    """README with the part between the marks replaced.

    Raises:
        ValueError: a mark is missing.
    """
    before, start, rest = readme.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"README.md has no {START} ... {END}")
    return f"{before}{START}\n{text}\n{END}{after}"


def main(argv: list[str] | None = None) -> int:
    """Write README.md, or check it."""
    parser = argparse.ArgumentParser(description="Fill README.md from the benchmark's result.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if out of date")
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        default=ROOT / "benchmarks" / "results" / "main_job.json",
    )
    args = parser.parse_args(argv)
    if not args.source.is_file():
        print(f"{args.source} isn't there: run the benchmark first", file=sys.stderr)
        return 0 if args.check else 1
    inside = args.source.resolve().is_relative_to(ROOT)
    name = str(args.source.resolve().relative_to(ROOT)) if inside else args.source.name
    readme = ROOT / "README.md"
    old = readme.read_text(encoding="utf-8")
    new = spliced(old, render(json.loads(args.source.read_text(encoding="utf-8")), name))
    if args.check:
        if new != old:
            print("README.md is out of date: run scripts/readme_results.py", file=sys.stderr)
        return int(new != old)
    readme.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Write docs/reference/cli.md from the parser itself.

`python scripts/cli_reference.py [--check]`.
"""

# ruff: noqa: SLF001 - argparse has no public way to list what a parser takes

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from whet.cli.exits import TABLE
from whet.cli.main import parser

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "cli.md"
HEAD = """# Command line

Written by `scripts/cli_reference.py` from the parser.

`whet VERB --help` shows the same. Results go to standard output and progress to standard error, so both can be redirected apart.
"""


def flags(action: argparse.Action) -> str:
    """How an argument is written, e.g. ``--p99 TIME``."""
    name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if not action.option_strings:
        return f"`{name}`"
    if action.choices is not None and action.metavar is None:
        name = "|".join(str(choice) for choice in action.choices)
    written = ", ".join(action.option_strings)
    return f"`{written}`" if action.nargs == 0 else f"`{written} {name}`"


def cell(text: str) -> str:
    """Text that may stand in a Markdown table."""
    return text.replace("|", "\\|")


def table(group: argparse._ArgumentGroup) -> str:
    """One group of arguments as Markdown; empty where all are hidden."""
    shown = [
        a for a in group._group_actions if a.help is not argparse.SUPPRESS and a.dest != "help"
    ]
    if not shown:
        return ""
    lines = [f"| {cell(flags(a))} | {cell((a.help or '').replace('%%', '%'))} |" for a in shown]
    title = group.title or ""
    title = "" if title in {"options", "positional arguments"} else f"**{title}**"
    about = f"{title}: {group.description}" if title and group.description else title
    return "\n\n".join(part for part in (about, "| | |\n|---|---|\n" + "\n".join(lines)) if part)


def page() -> str:
    """The whole page."""
    top = parser()
    (verbs,) = (a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    helps = {choice.dest: choice.help or "" for choice in verbs._choices_actions}
    parts = [HEAD.strip()]
    for name, verb in verbs.choices.items():
        about = verb.description or helps.get(name, "")
        parts += [f"## whet {name}", about[:1].upper() + about[1:]]
        parts += [text for group in verb._action_groups if (text := table(group))]
    codes = "\n".join(f"| {code} | {words} |" for code, words in TABLE.items())
    parts += ["## Exit status", "| status | meaning |\n|---|---|\n" + codes]
    return "\n\n".join(parts) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Write the page, or check it."""
    options = argparse.ArgumentParser(description="Write the command line reference.")
    options.add_argument("--check", action="store_true", help="write nothing; 1 if out of date")
    new = page()
    if options.parse_args(argv).check:
        current = PAGE.read_text(encoding="utf-8") == new
        if not current:
            print(f"{PAGE.name} is out of date: run scripts/cli_reference.py", file=sys.stderr)
        return 0 if current else 1
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

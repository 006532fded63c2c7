"""``whet recipe``: how a variant of a bundle was made, as a file for ``whet apply``."""

from __future__ import annotations

import argparse
from pathlib import Path

from whet.cli.console import Console, plain
from whet.cli.exits import Exit
from whet.cli.ports import GetApi, Verbs

__all__ = ["add", "run"]


def add(verbs: Verbs) -> None:
    """Add this verb to the command line."""
    parser = verbs.add_parser(
        "recipe",
        help="write how a bundle's variant was made, as YAML",
        description="Write the recipe of a variant: its passes with their options, its runtime with"
        " its settings, and the seed and threads of the search. 'whet apply' makes the graph again.",
        allow_abbrev=False,
    )
    parser.add_argument("bundle", help="its folder")
    parser.add_argument("--variant", metavar="NAME", help="default: the bundle's default")
    parser.add_argument("--out", default="-", metavar="FILE", help="default: stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, console: Console, api: GetApi) -> int:
    """Carry it out."""
    recipe = api().recipe_of(args.bundle, args.variant)
    text = recipe.to_yaml()
    if args.out == "-":
        console.say(text.rstrip("\n"))
        return Exit.KEPT
    from whet.bundle.disk import check_outside, write_whole

    check_outside(Path(args.out), Path(args.bundle))
    write_whole(text.encode(), Path(args.out))
    console.say(f"recipe  {plain(args.out)}")
    return Exit.KEPT

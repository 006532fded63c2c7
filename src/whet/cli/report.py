"""``whet report``: write a bundle's page again."""

from __future__ import annotations

import argparse
from pathlib import Path

from whet.cli.console import Console, plain
from whet.cli.exits import Exit
from whet.cli.ports import GetApi, Verbs
from whet.errors import BundleError

__all__ = ["add", "run"]


def add(verbs: Verbs) -> None:
    """Add this verb to the command line."""
    parser = verbs.add_parser(
        "report",
        help="write a bundle's report as one HTML file",
        description="Write the report of the search that made a bundle: one file that needs no network.",
        allow_abbrev=False,
    )
    parser.add_argument("bundle", help="its folder")
    parser.add_argument(
        "--out", default="report.html", metavar="FILE", help="'-' for stdout (default report.html)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, console: Console, api: GetApi) -> int:
    """Carry it out."""
    found = api().inspect(args.bundle)
    if found.evidence is None:
        raise BundleError(
            f"The bundle '{args.bundle}' holds no evidence, so there is nothing to report.",
            "Bundles that 'whet optimize' writes hold it.",
        )
    from whet.bundle.disk import check_outside, write_whole
    from whet.report import bundle_info, render

    page = render(found.evidence, bundle_info(found.manifest, args.bundle))
    if args.out == "-":
        console.say(page.rstrip("\n"))
        return Exit.KEPT
    check_outside(Path(args.out), Path(args.bundle))
    write_whole(page.encode(), Path(args.out))
    console.say(f"report  {plain(args.out)}")
    return Exit.KEPT

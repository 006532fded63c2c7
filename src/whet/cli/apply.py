"""``whet apply``: carry out a recipe, without a search."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from whet.cli import options
from whet.cli.closing import table
from whet.cli.console import Console, plain
from whet.cli.exits import Exit
from whet.cli.ports import Applied, GetApi, Verbs
from whet.report import format as fmt

__all__ = ["add", "run"]


def add(verbs: Verbs) -> None:
    """Add this verb to the command line."""
    parser = verbs.add_parser(
        "apply",
        help="carry out a recipe: the same passes, samples and seed make the same graph",
        description="Carry out the passes of a recipe and write the graph. Nothing is searched or"
        " proven; how far the answers are from the original's is shown, on samples that no pass"
        " saw. The same recipe, network, samples and seed make the same file, bit for bit.",
        allow_abbrev=False,
    )
    parser.add_argument("recipe", help="a .yaml file, such as 'whet recipe' writes")
    options.add_network(parser)
    options.add_samples(parser)
    options.add_transform(parser)
    making = parser.add_argument_group("making")
    making.add_argument("--seed", type=int, metavar="N", help="default: the recipe's")
    making.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="of the passes; sums depend on it in their last bits (default: the recipe's, else all"
        " cores that may be used)",
    )
    making.add_argument(
        "--ignore-output",
        metavar="NAME",
        action="append",
        help="output that nobody compares; may be given several times (default: the recipe's)",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out", metavar="DIR", help="for the graph and its recipe (default: NAME.applied here)"
    )
    output.add_argument("--json", action="store_true", help="one JSON document on stdout")
    output.add_argument("--quiet", action="store_true", help="no progress")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, console: Console, api: GetApi) -> int:
    """Carry it out."""
    out = Path(args.out) if args.out else options.default_out(args.network, ".applied")

    def told(title: str) -> None:
        if not args.quiet:
            console.tell(console.paint_err(title, "dim"))

    found = api().apply(
        Path(args.recipe),
        args.network,
        args.samples,
        out=out,
        weights=args.weights,
        transform=options.transform_of(args),
        labels=args.labels,
        train=args.train,
        label_key=args.label_key,
        text_keys=options.names_of("--text-keys", args.text_keys),
        pairs=args.pairs,
        label_offset=args.label_offset,
        most=args.most,
        seed=args.seed,
        threads=args.threads,
        ignore_outputs=tuple(args.ignore_output) if args.ignore_output else None,
        on_phase=told,
    )
    if console.json:
        console.document(msgspec.json.encode(_document(found)))
    else:
        console.say(*_lines(found))
    return Exit.KEPT


def _document(found: Applied) -> dict[str, object]:
    return {
        "graph": str(found.graph),
        "changed": found.changed,
        "recipe": found.recipe,
        "notes": found.notes,
        "before": found.before,
        "after": found.after,
        "deviations": found.deviations,  # JSON has no infinity: null
        "rows": found.rows,
    }


def _lines(found: Applied) -> list[str]:
    costs = [
        [name, fmt.big(cost.parameters), fmt.big(cost.macs), fmt.bytes_text(cost.size_bytes)]
        for name, cost in (("before", found.before), ("after", found.after))
    ]
    lines = table(["", "parameters", "MACs", "size"], costs, left=1)
    if not found.changed:
        lines.append("No pass changed anything.")
    rows = fmt.plural(found.rows, "row")
    lines += [
        f"'{plain(name)}' is at most {each.largest:.3g} off, {fmt.percent(each.share)} of the values"
        f" around, on {rows} that no pass saw"
        for name, each in found.deviations.items()
    ]
    lines += [f"! {plain(note.where)}: {plain(note.reason)}" for note in found.notes]
    return [*lines, "", f"graph   {plain(str(found.graph))}"]

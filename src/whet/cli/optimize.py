"""``whet optimize``: search, show, write the bundle."""

from __future__ import annotations

import argparse
import shlex
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from whet.cli import options
from whet.cli.closing import closing
from whet.cli.console import Console
from whet.cli.contract import add_contract, as_flags, contract_of
from whet.cli.exits import Exit
from whet.cli.ports import GetApi, Outcome, Verbs
from whet.cli.watch import watch
from whet.errors import ContractError
from whet.measure.cgroup import allowed_cores
from whet.search.events import Event

__all__ = ["add", "report_outcome", "run"]

_BUDGET = "15m"


def add(verbs: Verbs) -> None:
    """Add this verb to the command line."""
    parser = verbs.add_parser(
        "optimize",
        help="find the fastest variant that keeps a contract, prove it and pack it",
        description="Find the fastest variant of a network that keeps a contract on this machine."
        " Exits with 0 when the contract is kept and with 2 when it isn't or can't be"
        " proven; the nearest miss is packed all the same.",
        allow_abbrev=False,
    )
    options.add_network(parser)
    options.add_samples(parser)
    add_contract(parser)
    options.add_transform(parser)
    search = parser.add_argument_group("search")
    search.add_argument(
        "--budget",
        default=_BUDGET,
        metavar="TIME",
        help=f"such as 10m; 'none' for no limit (default {_BUDGET}). What is never left out takes"
        " about 30s even for a small network: less is exceeded",
    )
    search.add_argument("--runtimes", metavar="A,B", help="default: all that can be used here")
    search.add_argument("--seed", type=int, default=0, metavar="N", help="default 0")
    search.add_argument(
        "--ledger", metavar="FILE", help="remembers every trial (default: in the user's cache)"
    )
    output = parser.add_argument_group("output")
    output.add_argument("--out", metavar="DIR", help="the bundle (default: NAME.whet here)")
    output.add_argument("--json", action="store_true", help="one JSON document on stdout")
    output.add_argument("--quiet", action="store_true", help="no progress")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, console: Console, api: GetApi) -> int:
    """Carry it out."""
    contract = contract_of(args, cores=allowed_cores())
    transform = options.transform_of(args)
    budget_s = None if args.budget == "none" else options.parse_seconds("--budget", args.budget)
    runtimes = options.names_of("--runtimes", args.runtimes)
    text_keys = options.names_of("--text-keys", args.text_keys)
    out = Path(args.out) if args.out else options.default_out(args.network)
    command = shlex.join(["whet", *args.command_line])
    console.quiet = args.quiet
    verbs = api()

    def job(listener: Callable[[Event], None], cancel: threading.Event) -> Outcome:
        return verbs.optimize(
            args.network,
            args.samples,
            contract,
            out=out,
            weights=args.weights,
            transform=transform,
            labels=args.labels,
            train=args.train,
            budget_s=budget_s,
            label_key=args.label_key,
            text_keys=text_keys,
            pairs=args.pairs,
            label_offset=args.label_offset,
            most=args.most,
            ledger=args.ledger,
            seed=args.seed,
            runtimes=runtimes,
            on_event=listener,
            cancel=cancel,
            command=command,
        )

    try:
        outcome = watch(console, args.network, job)
    except ContractError as error:  # of clauses that only the exported network could break
        raise as_flags(error) from error
    return Exit.INTERRUPTED if outcome is None else report_outcome(outcome, console)


def report_outcome(outcome: Outcome, console: Console) -> int:
    """The closing table, or the one JSON document."""
    bundle = str(outcome.bundle) if outcome.bundle is not None else None
    if console.json:
        document = {
            "kept": outcome.evidence.kept,
            "exit_code": outcome.exit_code,
            "bundle": bundle,
            "report": f"{bundle}/report.html" if bundle is not None else None,
            "evidence": outcome.evidence,
        }
        console.document(msgspec.json.encode(document))
    else:
        console.say(
            *closing(outcome.evidence, bundle=bundle, columns=console.columns, paint=console.paint)
        )
    return outcome.exit_code

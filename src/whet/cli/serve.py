"""``whet serve``: bundles as a service."""

from __future__ import annotations

import argparse
from pathlib import Path

from whet.cli import options
from whet.cli.console import Console
from whet.cli.exits import Exit
from whet.cli.ports import GetApi, Verbs
from whet.core.contract import parse_ms
from whet.errors import OptionError

__all__ = ["add", "run"]


def add(verbs: Verbs) -> None:
    """Add this verb to the command line."""
    parser = verbs.add_parser(
        "serve",
        help="run bundles as a service",
        description="Answer over the Open Inference Protocol (REST, JSON or binary tensors) until"
        " SIGTERM or Ctrl-C. Each bundle is checked and its recorded answers replayed before it is"
        " ready. Requests that can't be answered by their deadline are refused at once.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "bundles", nargs="+", metavar="BUNDLE", help="a folder, or NAME=FOLDER to name the model"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen at (default: this machine only)"
    )
    parser.add_argument(
        "--port", type=int, default=8000, help="0 for any that is free (default 8000)"
    )
    parser.add_argument("--uds", metavar="PATH", help="a Unix socket in place of host and port")
    parser.add_argument(
        "--deadline",
        metavar="TIME",
        help="of requests that name none; variants that keep the quality floor are then used as"
        " the load asks (default: none, and the bundle's default variant answers)",
    )
    parser.add_argument(
        "--variants", metavar="A,B", help="to use, from the most accurate to the fastest"
    )
    parser.add_argument(
        "--max-batch",
        type=int,
        default=32,
        metavar="N",
        help="rows of a batch that requests share (default 32)",
    )
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="batches that run at once (default 1)"
    )
    parser.add_argument(
        "--keys", metavar="FILE", help="a file with the keys that clients may bring, one a line"
    )
    parser.add_argument(
        "--server-name",
        default="whet",
        metavar="NAME",
        help="in the server's metadata (default whet)",
    )
    parser.add_argument(
        "--model-control",
        action="store_true",
        help="let clients have models loaded again from their folders, and unloaded",
    )
    parser.add_argument(
        "--drain",
        default="25s",
        metavar="TIME",
        help="to answer what is there when told to stop (default 25s)",
    )
    options.add_trust(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, console: Console, api: GetApi) -> int:
    """Carry it out."""
    clean = api().serve(
        _bundles(args.bundles),
        host=args.host,
        port=args.port,
        uds=args.uds,
        deadline_ms=parse_ms(args.deadline) if args.deadline is not None else None,
        variants=options.names_of("--variants", args.variants),
        most_rows=args.max_batch,
        workers=args.workers,
        keys=_keys(args.keys) if args.keys is not None else None,
        server_name=args.server_name,
        model_control=args.model_control,
        drain_s=options.parse_seconds("--drain", args.drain),
        trust_code=args.trust_code,
        on_ready=lambda where: console.say(f"Ready at {where}"),
    )
    if not clean:
        console.say("Some requests were not answered before the time to stop was over.")
    return Exit.KEPT if clean else Exit.INTERNAL


def _bundles(given: list[str]) -> list[str] | dict[str, str]:
    """Folders, by name where each has one."""
    named = [item.partition("=") for item in given]
    if not any(sign for _, sign, _ in named):
        return given
    if not all(sign for _, sign, _ in named):
        raise OptionError("Some bundles are named and some aren't.", "Write NAME=FOLDER for each.")
    if len({name for name, _, _ in named}) < len(named):
        raise OptionError("Two bundles have one name.", "Write another NAME=FOLDER.")
    return {name: folder for name, _, folder in named}


def _keys(file: str) -> tuple[str, ...]:
    try:
        lines = Path(file).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"The keys in {file} can't be read: {error}.", "Mend --keys.") from error
    if not lines:
        raise OptionError(f"{file} holds no key.", "Write one a line.")
    return tuple(lines)

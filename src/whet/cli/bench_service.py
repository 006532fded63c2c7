"""``whet bench URL``: load on a service that runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import msgspec

from whet.cli import options
from whet.cli.console import Console, plain
from whet.cli.exits import Exit
from whet.cli.ports import GetApi
from whet.cli.service_ports import ServiceBench, ServiceLoad
from whet.core.contract import parse_ms
from whet.core.evidence import Verdict
from whet.errors import OptionError
from whet.report import format as fmt

__all__ = ["add_service", "is_url", "refuse_service_options", "run_service"]

_OF_BUNDLES = ("variant", "scenario", "label_key", "text_keys", "trust_code")


def is_url(where: str) -> bool:
    """Whether a service is meant, and no folder."""
    return where.startswith(("http://", "https://", "unix:"))


def add_service(parser: argparse.ArgumentParser) -> None:
    """What is asked of a service only."""
    group = parser.add_argument_group(
        "a service", "where a URL (http://host:port, https://..., unix:/path) stands for the folder"
    )
    group.add_argument("--model", metavar="NAME", help="of the server (default: its only one)")
    group.add_argument(
        "--clients",
        type=int,
        metavar="N",
        help="that ask again as soon as they are answered, where there is no --rate (default 1)",
    )
    group.add_argument(
        "--arrivals",
        metavar="HOW",
        help="with --rate: poisson, bursts, even, or a file with one time in seconds a line"
        " (default poisson)",
    )
    group.add_argument(
        "--find-highest",
        action="store_true",
        help="look for the highest rate at which --limit is kept, from --rate on",
    )
    group.add_argument(
        "--deadline", metavar="TIME", help="that requests name, so that the server can refuse them"
    )
    group.add_argument("--rows", type=int, metavar="N", help="of a request (default 1)")
    group.add_argument("--key", metavar="FILE", help="a file with the key that the server asks for")
    group.add_argument("--ca", metavar="FILE", help="certificates that the server's is signed by")


def run_service(args: argparse.Namespace, console: Console, api: GetApi) -> int:
    """Carry it out."""
    _refuse(args, _OF_BUNDLES, "is of bundles, not of services")
    if args.rate is None:
        _refuse(args, ("arrivals",), "needs --rate")
    else:
        _refuse(args, ("clients",), "is for a load without --rate")
    if args.limit is None:
        _refuse(args, ("percentile",), "is of --limit")
    say: Callable[[ServiceLoad], None] = _silent if console.json else _sayer(console)
    found = api().bench_service(
        args.bundle,
        model=args.model or "",
        rate_per_s=args.rate,
        clients=1 if args.clients is None else args.clients,
        arrivals="poisson" if args.arrivals is None else args.arrivals,
        seconds=options.parse_seconds("--seconds", args.seconds),
        limit_ms=parse_ms(args.limit) if args.limit is not None else None,
        percentile=args.percentile if args.percentile is not None else 99.0,
        find_highest=args.find_highest,
        deadline_ms=parse_ms(args.deadline) if args.deadline is not None else None,
        inputs=args.inputs,
        rows=1 if args.rows is None else args.rows,
        key=_key(args.key) if args.key is not None else None,
        ca_file=args.ca,
        on_load=say,
    )
    code = _code(found, looked=args.find_highest)
    if console.json:
        document = {
            "model": found.model,
            "loads": found.loads,
            "highest_per_s": found.highest_per_s,
            "exit_code": int(code),
        }
        console.document(msgspec.json.encode(document))
    elif args.find_highest:
        highest = found.highest_per_s
        console.say(
            "No rate that was tried keeps the limit."
            if highest is None
            else f"The limit is kept up to {fmt.significant(highest)} requests/s."
        )
    return code


def refuse_service_options(args: argparse.Namespace) -> None:
    """Where a folder is given, what is of services isn't ignored silently.

    Raises:
        OptionError: there is some.
    """
    own = ("model", "clients", "arrivals", "find_highest", "deadline", "rows", "key", "ca")
    _refuse(args, own, "is of services; the bundle is a folder")


def _refuse(args: argparse.Namespace, names: tuple[str, ...], why: str) -> None:
    for name in names:
        value = getattr(args, name)
        if value is not None and value is not False:
            flag = name.replace("_", "-")
            raise OptionError(f"--{flag} {why}.", f"Leave out --{flag}.")


def _code(found: ServiceBench, *, looked: bool) -> Exit:
    if looked:
        return Exit.KEPT if found.highest_per_s is not None else Exit.NOT_KEPT
    verdicts = {load.verdict for load in found.loads}
    return Exit.KEPT if verdicts <= {None, Verdict.PASSED} else Exit.NOT_KEPT


def _key(file: str) -> str:
    keys = options.keys_in("--key", file)
    if len(keys) > 1:
        raise OptionError(f"{file} holds {len(keys)} keys.", "Write the one to use there.")
    return keys[0]


def _silent(_: ServiceLoad) -> None:
    """Nothing is said before the document."""


def _sayer(console: Console) -> Callable[[ServiceLoad], None]:
    return lambda load: console.say(*_lines(load))


def _lines(load: ServiceLoad) -> list[str]:
    """One load, as a reader sees it."""
    rate = fmt.significant(load.offered_per_s)
    answered = fmt.significant(load.answered_per_s)
    requests = fmt.plural(load.requests, "request", "requests")
    spread = fmt.duration(load.seconds)
    lines = [f"{requests} in {spread}: {rate}/s offered, {answered}/s answered"]
    lines += [
        f"  {fmt.percentile(p.q):<6} {fmt.ms(p.value_ms):>10}   "
        f"{fmt.ms_interval(p.low_ms, p.high_ms, p.value_ms)}".rstrip()
        for p in load.percentiles
    ]
    lines.append(f"  {'max':<6} {fmt.ms(load.max_ms):>10}")
    others = [f"{n:,} {plain(how)}" for how, n in load.endings.items() if how != "ok"]
    if others:
        told = f", told after {fmt.ms(load.refused_ms)}" if load.refused_ms is not None else ""
        lines.append(f"  not answered: {', '.join(others)}{told}")
    if len(load.variants) > 1:
        total = sum(load.variants.values())
        shares = (f"{n / total:.0%} by '{plain(name)}'" for name, n in load.variants.items())
        lines.append(f"  answered {', '.join(shares)}")
    if load.limit_ms is not None and load.verdict is not None:
        good = fmt.significant(load.goodput_per_s)
        lines.append(
            f"  {fmt.percentile(load.percentile)} ≤ {fmt.limit_ms(load.limit_ms)}:"
            f" {load.verdict.value}, goodput {good}/s"
        )
    if load.behind_ms > 1:
        lines.append(
            f"  One request in a hundred was sent {fmt.ms(load.behind_ms)} late or more: this machine is"
            " too busy to tell shorter latencies apart."
        )
    return lines

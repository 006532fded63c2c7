"""``whet bench``: load a bundle's variant the way it will be used."""

from __future__ import annotations

import argparse

import msgspec

from whet.cli import options
from whet.cli.console import Console, plain
from whet.cli.exits import Exit
from whet.cli.ports import Bench, GetApi, Verbs
from whet.core.contract import parse_ms
from whet.report import format as fmt

__all__ = ["SCENARIOS", "add", "run"]

SCENARIOS = ("single-stream", "multi-stream", "server", "offline")


def add(verbs: Verbs) -> None:
    """Add this verb to the command line."""
    parser = verbs.add_parser(
        "bench",
        help="measure a bundle under load",
        description="Load a variant by one of MLPerf's scenarios, on its golden inputs.",
        allow_abbrev=False,
    )
    parser.add_argument("bundle", help="its folder")
    parser.add_argument("--variant", metavar="NAME", help="default: the bundle's default")
    parser.add_argument("--scenario", choices=SCENARIOS, default=SCENARIOS[0])
    parser.add_argument("--seconds", default="10s", metavar="TIME", help="to run (default 10s)")
    parser.add_argument("--rate", type=float, metavar="N", help="arrivals a second, for 'server'")
    parser.add_argument("--limit", metavar="TIME", help="above it a query is missed, for 'server'")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, console: Console, api: GetApi) -> int:
    """Carry it out."""
    seconds = options.parse_seconds("--seconds", args.seconds)
    limit_ms = parse_ms(args.limit) if args.limit is not None else None
    found = api().bench(
        args.bundle,
        variant=args.variant,
        scenario=args.scenario,
        seconds=seconds,
        rate_per_s=args.rate,
        limit_ms=limit_ms,
    )
    if console.json:
        console.document(msgspec.json.encode(_document(found)))
    else:
        console.say(*_lines(found))
    return Exit.KEPT


def _document(found: Bench) -> dict[str, object]:
    return {
        "variant": found.variant,
        "scenario": found.scenario,
        "seconds": found.seconds,
        "missed": found.missed,
        "latency": found.latency,
    }


def _lines(found: Bench) -> list[str]:
    latency = found.latency
    queries = fmt.plural(latency.queries, "query", "queries")
    ran = f"{queries} in {fmt.duration(found.seconds)}"
    rate = fmt.significant(latency.throughput_per_s)
    lines = [
        f"{plain(found.variant)}, {found.scenario}: {ran}, {rate} rows/s",
    ]
    for point in latency.percentiles:
        interval = fmt.ms_interval(point.low_ms, point.high_ms, point.value_ms)
        lines.append(
            f"  {fmt.percentile(point.q):<6} {fmt.ms(point.value_ms):>10}"
            + (f"   {interval}" if interval else "")
        )
    lines.append(f"  {'mean':<6} {fmt.ms(latency.mean_ms):>10}")
    lines.append(f"  {'max':<6} {fmt.ms(latency.max_ms):>10}")
    if found.missed:
        lines.append(f"  {fmt.plural(found.missed, 'query', 'queries')} missed the limit")
    return lines

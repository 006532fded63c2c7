"""``whet bench``: load a bundle's variant the way it will be used."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import msgspec

from whet.cli import options
from whet.cli.bench_service import add_service, is_url, refuse_service_options, run_service
from whet.cli.console import Console, plain
from whet.cli.exits import Exit
from whet.cli.ports import Bench, GetApi, Verbs
from whet.core.contract import parse_ms
from whet.core.evidence import Verdict
from whet.core.scope import outside, scope
from whet.errors import OptionError
from whet.report import format as fmt

__all__ = ["SCENARIOS", "add", "run"]

SCENARIOS = ("single-stream", "multi-stream", "server", "offline")


def add(verbs: Verbs) -> None:
    """Add this verb to the command line."""
    parser = verbs.add_parser(
        "bench",
        help="measure a bundle under load",
        description="Load a variant by one of MLPerf's scenarios, on its golden inputs and on the"
        " cores that it was tuned for. A query is one batch of the engine, in 'multi-stream' 8"
        " samples (in several runs, if the engine's batch is smaller)."
        " Exits with 2 when a limit is given and isn't proven to be kept.",
        allow_abbrev=False,
    )
    parser.add_argument("bundle", help="its folder; or the URL of a service")
    parser.add_argument("--variant", metavar="NAME", help="default: the bundle's default")
    parser.add_argument("--scenario", choices=SCENARIOS, help=f"of MLPerf (default {SCENARIOS[0]})")
    parser.add_argument(
        "--seconds", default="10s", metavar="TIME", help="to measure, warm-up apart (default 10s)"
    )
    parser.add_argument(
        "--rate",
        type=float,
        metavar="N",
        help="arrivals a second, for 'server' and for services",
    )
    parser.add_argument(
        "--limit", metavar="TIME", help="above it a query is missed; not for 'offline'"
    )
    parser.add_argument(
        "--percentile",
        type=float,
        metavar="N",
        help="that --limit bounds (default: the contract's, or 99)",
    )
    parser.add_argument(
        "--inputs",
        metavar="WHERE",
        help="raw samples to ask with from end to end: a folder of pictures, with class folders or"
        " without, a .jsonl or .csv file, or a file with one text a line (default: the golden"
        " inputs, without decoding or tokenising)",
    )
    parser.add_argument("--label-key", metavar="NAME", help="column of --inputs with the labels")
    parser.add_argument("--text-keys", metavar="A,B", help="columns of --inputs with the text")
    options.add_trust(parser)
    add_service(parser)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, console: Console, api: GetApi) -> int:
    """Carry it out."""
    if is_url(args.bundle):
        return run_service(args, console, api)
    refuse_service_options(args)
    seconds = options.parse_seconds("--seconds", args.seconds)
    limit_ms = parse_ms(args.limit) if args.limit is not None else None
    if limit_ms is not None and limit_ms <= 0:
        raise OptionError(f"No query takes {args.limit}.", "Give --limit a time such as '5ms'.")
    found = api().bench(
        args.bundle,
        variant=args.variant,
        scenario=args.scenario or SCENARIOS[0],
        seconds=seconds,
        rate_per_s=args.rate,
        limit_ms=limit_ms,
        percentile=args.percentile,
        inputs=args.inputs,
        label_key=args.label_key,
        text_keys=options.names_of("--text-keys", args.text_keys),
        trust_code=args.trust_code,
    )
    code = Exit.NOT_KEPT if _missed(found) else Exit.KEPT
    if console.json:
        document = {
            "variant": found.variant,
            "seconds": found.seconds,
            "rows_per_query": found.rows,
            "runs_per_query": found.runs,
            "exit_code": int(code),
            "outcome": found.outcome,
            "transform": found.transform,
            "transform_inside": bool(found.parts),
            "parts": found.parts,
            "exits": found.exits,
            "certified_exits": found.certified_exits,
        }
        console.document(msgspec.json.encode(document))
    else:
        console.say(*_lines(found))
    return code


def _missed(found: Bench) -> bool:
    """A limit was given and isn't proven to be kept."""
    return found.outcome.verdict not in {None, Verdict.PASSED}


def _lines(found: Bench) -> list[str]:
    outcome = found.outcome
    queries = fmt.plural(outcome.queries, "query", "queries")
    if found.rows > 1:
        runs = f" in {found.runs} runs" if found.runs > 1 else ""
        queries += f" of {found.rows} rows{runs}"
    ran = f"{queries} in {fmt.duration(found.seconds)}"
    rate = fmt.significant(outcome.throughput_per_s)
    lines = [f"{plain(found.variant)}, {found.scenario}: {ran}, {rate} rows/s"]
    for point in outcome.percentiles:
        interval = fmt.ms_interval(point.low_ms, point.high_ms, point.value_ms)
        lines.append(
            f"  {fmt.percentile(point.q):<6} {fmt.ms(point.value_ms):>10}   {interval}".rstrip()
        )
    lines.append(f"  {'max':<6} {fmt.ms(outcome.max_ms):>10}")
    if found.exits:
        here, certified = map(_left_at, (found.exits, found.certified_exits))
        lines.append(f"  rows left: {here}; of the certify samples {certified}")
    lines += _scope(found)
    if outcome.errors or outcome.dropped:
        first = f": {plain(outcome.first_error)}" if outcome.first_error else ""
        lines.append(f"  {outcome.errors:,} errors, {outcome.dropped:,} dropped{first}")
    if outcome.verdict is not None and outcome.limit_ms is not None:
        q = fmt.percentile(outcome.percentile if outcome.percentile is not None else 99.0)
        misses = fmt.plural(outcome.misses, "miss", "misses")
        limit = fmt.limit_ms(outcome.limit_ms)
        lines.append(f"  {q} ≤ {limit}: {outcome.verdict.value}, {misses}{_few(found)}")
    return lines


def _left_at(exits: Mapping[str, float]) -> str:
    return ", ".join(f"{share:.0%} at '{plain(stage)}'" for stage, share in exits.items())


def _scope(found: Bench) -> list[str]:
    """What the latency holds: the network only, or the transform too and how much it takes."""
    if not found.parts:
        return [f"  {scope(found.transform)}"] if found.transform is not None else []
    names = {"transform": outside(found.transform or "")}
    return [
        f"  of which {names.get(part, part)}: "
        + ", ".join(f"{fmt.percentile(p.q)} {fmt.ms(p.value_ms)}" for p in points)
        for part, points in found.parts.items()
        if points
    ]


def _few(found: Bench) -> str:
    """Which time would do, where fewer queries ran than prove anything."""
    outcome = found.outcome
    if outcome.verdict is not Verdict.UNDECIDED or outcome.percentile is None:
        return ""
    if outcome.queries >= found.needed:
        return ""
    return f"; {found.needed:,} queries prove it with one miss, so give more --seconds"

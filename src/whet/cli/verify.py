"""``whet verify``: does a bundle still hold on this machine."""

from __future__ import annotations

import argparse

import msgspec

from whet.cli.console import Console, Paint, plain
from whet.cli.exits import Exit
from whet.cli.ports import GetApi, Verbs, Verification
from whet.core.evidence import Percentile
from whet.report import format as fmt

__all__ = ["add", "run"]


def add(verbs: Verbs) -> None:
    """Add this verb to the command line."""
    parser = verbs.add_parser(
        "verify",
        help="replay a bundle's goldens and measure it here",
        description="Check a bundle's hashes, replay its recorded answers on this machine, measure"
        " its latency, and say how this machine differs from the one it was tuned for."
        " Exits with 5 when an answer differs.",
        allow_abbrev=False,
    )
    parser.add_argument("bundle", help="its folder")
    parser.add_argument("--quick", action="store_true", help="time nothing")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, console: Console, api: GetApi) -> int:
    """Carry it out."""
    found = api().verify(args.bundle, quick=args.quick)
    code = Exit.KEPT if found.ok else Exit.BUNDLE
    if console.json:
        console.document(msgspec.json.encode(_document(found, int(code))))
    else:
        console.say(*_lines(found, console.paint))
    return code


def _document(found: Verification, code: int) -> dict[str, object]:
    return {
        "ok": found.ok,
        "exit_code": code,
        "variant": found.variant,
        "machine_same": found.machine_same,
        "differences": found.differences,
        "goldens": {
            name: [
                {
                    "tensor": r.tensor,
                    "ok": r.ok,
                    "max_difference": r.max_difference,
                    "limit": r.limit,
                }
                for r in results
            ]
            for name, results in found.goldens.items()
        },
        "expected": found.expected,
        "latency": found.latency,
        "notes": found.notes,
    }


def _lines(found: Verification, paint: Paint) -> list[str]:
    lines = []
    for name, results in found.goldens.items():
        good = all(result.ok for result in results)
        sign = paint("✓", "green") if good else paint("✕", "red")
        default = " (default)" if name == found.variant else ""
        words = "answers as recorded" if good else "answers otherwise here"
        lines.append(f"{sign} {plain(name)}{default}: {words}")
        lines += [f"    {plain(result.sentence)}" for result in results if not result.ok]
    lines += [f"{paint('!', 'yellow')} {plain(n.where)}: {plain(n.reason)}" for n in found.notes]
    if found.machine_same:
        lines.append(f"{paint('✓', 'green')} this machine is like the one it was tuned for")
    else:
        lines.append(f"{paint('!', 'yellow')} this machine is another one than it was tuned for:")
        lines += [f"    {plain(n.where)}: {plain(n.reason)}" for n in found.differences]
        lines.append("    Its latency may differ; 'whet optimize' on this machine tunes anew.")
    lines += _latency(found)
    lines.append("")
    if found.ok:
        lines.append(paint("The bundle holds here.", "bold", "green"))
    else:
        lines.append(paint("The bundle does not hold here.", "bold", "red"))
    return lines


def _latency(found: Verification) -> list[str]:
    here = {p.q: p for p in found.latency.percentiles} if found.latency is not None else {}
    stated = {p.q: p for p in found.expected.percentiles} if found.expected is not None else {}
    return [
        f"  {fmt.percentile(q):<6} {_point(here.get(q)):>12} here, {_point(stated.get(q))} stated"
        for q in sorted(here)
    ]


def _point(point: Percentile | None) -> str:
    return fmt.ms(point.value_ms) if point is not None else fmt.DASH

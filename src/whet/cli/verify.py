"""``whet verify``: does a bundle still hold on this machine."""

from __future__ import annotations

import argparse
import math

import msgspec

from whet.cli import options
from whet.cli.console import Console, Paint, plain
from whet.cli.exits import Exit
from whet.cli.ports import Check, GetApi, Verbs, Verification
from whet.core.evidence import Percentile, Verdict
from whet.core.standing import Standing
from whet.errors import HostError
from whet.report import format as fmt

__all__ = ["add", "run"]

# A sign, its colour and what is said.
_SAID = {
    Standing.HOLDS: ("✓", "green", "answers as recorded"),
    Standing.DIFFERS: ("✕", "red", "answers otherwise here"),
    Standing.FAILS: ("✕", "red", "can't run here"),
    Standing.UNCHECKED: ("?", "yellow", "not checked"),
}

_KEPT = {
    Verdict.PASSED: ("✓", "green", "kept"),
    Verdict.FAILED: ("✕", "red", "not kept"),
    Verdict.UNDECIDED: ("?", "yellow", "not proven"),
    None: ("?", "yellow", "not looked at"),
}


def add(verbs: Verbs) -> None:
    """Add this verb to the command line."""
    parser = verbs.add_parser(
        "verify",
        help="replay a bundle's goldens and measure it here",
        description="Check a bundle's hashes, replay its recorded answers on this machine, measure"
        " its latency, say how this machine differs from the one it was tuned for, and give a"
        " verdict here for each clause of its contract."
        " Exits with 5 when an answer differs or the default variant can't run here, with 4 when"
        " this machine lacks what the default variant needs, and with 2 when a clause is not kept"
        " or not proven here, or that variant was not checked for another reason.",
        allow_abbrev=False,
    )
    parser.add_argument("bundle", help="its folder")
    parser.add_argument(
        "--quick", action="store_true", help="time nothing; latency, size and memory get no verdict"
    )
    options.add_trust(parser)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, console: Console, api: GetApi) -> int:
    """Carry it out."""
    found = api().verify(args.bundle, quick=args.quick, trust_code=args.trust_code)
    code = _code(found)
    if console.json:
        console.document(msgspec.json.encode(_document(found, int(code))))
    else:
        console.say(*_lines(found, console.paint))
    return code


def _code(found: Verification) -> Exit:
    """Where nothing was compared, what is missing decides."""
    if found.standing is Standing.HOLDS:
        return Exit.KEPT if found.kept in {None, Verdict.PASSED} else Exit.NOT_KEPT
    if found.standing is not Standing.UNCHECKED:
        return Exit.BUNDLE
    errors = [check.error for check in found.checks if check.variant == found.variant]
    return Exit.HOST if isinstance(errors[0], HostError) else Exit.NOT_KEPT


def _document(found: Verification, code: int) -> dict[str, object]:
    return {
        "ok": found.ok,
        "standing": found.standing,
        "exit_code": code,
        "variant": found.variant,
        "machine_same": found.machine_same,
        "differences": found.differences,
        "variants": {check.variant: _variant(check) for check in found.checks},
        "kept": found.kept,
        "clauses": found.clauses,
        "contract": found.made.contract if found.made is not None else None,
        "kept_where_made": found.made.kept if found.made is not None else None,
        "expected": found.expected,
        "latency": found.latency,
        "far_off": found.far_off,
        "notes": found.notes,
    }


def _variant(check: Check) -> dict[str, object]:
    return {
        "standing": check.standing,
        "reason": check.error.message if check.error is not None else "",
        "remedy": check.error.remedy if check.error is not None else "",
        "exits": check.exits,
        "goldens": [
            {
                "tensor": r.tensor,
                "ok": r.ok,
                "max_difference": r.max_difference if math.isfinite(r.max_difference) else None,
                "limit": r.limit,
            }
            for r in check.results
        ],
    }


def _lines(found: Verification, paint: Paint) -> list[str]:
    lines = []
    for check in found.checks:
        sign, color, words = _SAID[check.standing]
        default = " (default)" if check.variant == found.variant else ""
        lines.append(f"{paint(sign, color)} {plain(check.variant)}{default}: {words}")
        lines += [f"    golden rows left: {plain(check.exits)}"] if check.exits else []
        lines += [f"    {plain(result.sentence)}" for result in check.results if not result.ok]
        if check.error is not None:
            lines += [f"    {plain(check.error.message)}", f"    {plain(check.error.remedy)}"]
    lines += [f"{paint('!', 'yellow')} {plain(n.where)}: {plain(n.reason)}" for n in found.notes]
    if found.machine_same:
        lines.append(f"{paint('✓', 'green')} this machine is like the one it was tuned for")
    else:
        lines.append(f"{paint('!', 'yellow')} this machine is another one than it was tuned for:")
        lines += [f"    {plain(n.where)}: {plain(n.reason)}" for n in found.differences]
        lines.append("    Its latency may differ; 'whet optimize' on this machine tunes anew.")
    lines += _latency(found)
    if found.far_off:
        lines.append(f"{paint('!', 'yellow')} {plain(found.far_off)}")
    lines += [*_contract(found, paint), ""]
    if found.ok:
        lines.append(_whole(found, paint))
    elif found.standing is Standing.UNCHECKED:
        words = f"Whether the bundle holds here is not known: '{found.variant}' was not checked."
        lines.append(paint(plain(words), "bold", "yellow"))
    else:
        lines.append(paint("The bundle does not hold here.", "bold", "red"))
    return lines


def _contract(found: Verification, paint: Paint) -> list[str]:
    """The contract, a verdict here for each of its clauses, and what the search said of it."""
    if found.made is None:
        return []
    lines = [f"  contract: {plain(found.made.contract.brief())}"]
    for clause in found.clauses:
        sign, color, words = _KEPT[clause.verdict]
        lines.append(f"{paint(sign, color)} {clause.name}: {words}; {plain(clause.words)}")
    if found.made.kept is not Verdict.PASSED or not found.clauses:
        _, _, words = _KEPT[found.made.kept]
        lines.append(f"  where it was made: {words}. {plain(found.made.sentence)}")
    return lines


def _whole(found: Verification, paint: Paint) -> str:
    """The verdict of a bundle whose answers hold."""
    open_names = [clause.name for clause in found.clauses if clause.verdict is not Verdict.PASSED]
    names = ", ".join(open_names)
    if found.kept is Verdict.FAILED:
        failed = ", ".join(c.name for c in found.clauses if c.verdict is Verdict.FAILED)
        words = f"The answers hold here, the contract does not: {failed}."
        return paint(words, "bold", "red")
    if found.kept is Verdict.UNDECIDED:
        words = f"The answers hold here; whether the contract does is not proven: {names}."
        return paint(words, "bold", "yellow")
    rest = f" Not looked at: {names}." if open_names else ""
    return paint("The bundle holds here.", "bold", "green") + rest


def _latency(found: Verification) -> list[str]:
    here = {p.q: p for p in found.latency.percentiles} if found.latency is not None else {}
    stated = {p.q: p for p in found.expected.percentiles} if found.expected is not None else {}
    return [
        f"  {fmt.percentile(q):<6} {_point(here.get(q)):>12} here, {_point(stated.get(q))} stated"
        for q in sorted(here)
    ]


def _point(point: Percentile | None) -> str:
    return fmt.ms(point.value_ms) if point is not None else fmt.DASH

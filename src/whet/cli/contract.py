"""From the words of a command line to a contract; every error in it is told at once."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

from whet.core.contract import METRICS, Contract, parse_bytes, parse_drop, parse_ms
from whet.errors import ContractError, Issue

__all__ = ["add_contract", "as_flags", "contract_of"]

T = TypeVar("T")
_PERCENTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9}
# How the command line calls a clause that is checked in `whet.core.contract`.
_FLAGS = {
    "max_bytes": "--max-size",
    "max_memory_bytes": "--max-memory",
    "ignore_outputs": "--ignore-output",
}


def add_contract(parser: argparse.ArgumentParser) -> None:
    """The clauses of the contract; all are optional."""
    group = parser.add_argument_group(
        "contract", "what must be kept; without a limit: as fast as possible"
    )
    for name, q in _PERCENTILES.items():
        words = (
            f"limit of the {q:g}th percentile, such as 5ms (5 without a unit is 5 ms)"
            if name == "p99"
            else argparse.SUPPRESS
        )
        group.add_argument(f"--{name}", metavar="TIME", help=words)
    group.add_argument("--percentile", metavar="N", help="percentile that is bounded (default 99)")
    group.add_argument(
        "--limit", metavar="TIME", help="its limit, such as 800us, 5ms or 0.2s (ms without a unit)"
    )
    group.add_argument(
        "--max-drop",
        metavar="DROP",
        help="quality that may be lost: 1%% (of the original's value), 1pt or 0.01 (default 1pt)",
    )
    group.add_argument("--metric", metavar="NAME", help=f"{', '.join(METRICS)} or file.py:function")
    group.add_argument(
        "--output",
        metavar="NAME",
        help="output that the metric judges (default: the first); all others are held to the"
        " original's",
    )
    group.add_argument(
        "--ignore-output",
        metavar="NAME",
        action="append",
        help="output that may become anything; may be given several times",
    )
    group.add_argument(
        "--confidence",
        metavar="P",
        help="of bounds on quality (default 0.95)",
    )
    group.add_argument("--batch", metavar="N", help="rows per request (default 1)")
    group.add_argument("--concurrency", metavar="N", help="requests at once (default 1)")
    group.add_argument(
        "--threads", metavar="N", help="compute threads (default: all that may be used)"
    )
    group.add_argument("--max-size", metavar="SIZE", help="limit on disk, such as 25MB")
    group.add_argument(
        "--max-memory", metavar="SIZE", help="limit of the peak memory, such as 500MB"
    )


def contract_of(args: argparse.Namespace, *, cores: int | None = None) -> Contract:
    """The contract, or one error that lists everything that is wrong with it.

    Args:
        args: the parsed command line.
        cores: that this process may use; bounds the threads.

    Raises:
        ContractError: every broken clause.
    """
    issues: list[Issue] = []

    def read(flag: str, text: str | None, parse: Callable[[str], T], default: T) -> T:
        if text is None:
            return default
        try:
            return parse(text)
        except ContractError as error:
            issues.extend(Issue(flag, issue.message, issue.remedy) for issue in error.issues)
            return default

    usual = Contract()
    percentile, flag, limit = _limit(args, issues)
    contract = Contract(
        limit_ms=read(flag, limit, parse_ms, usual.limit_ms),
        percentile=read("--percentile", percentile, _number, usual.percentile),
        batch=read("--batch", args.batch, _whole, usual.batch),
        concurrency=read("--concurrency", args.concurrency, _whole, usual.concurrency),
        threads=read("--threads", args.threads, _whole, usual.threads),
        metric=args.metric or usual.metric,
        output=args.output,
        ignore_outputs=tuple(args.ignore_output or ()),
        max_drop=read("--max-drop", args.max_drop, parse_drop, usual.max_drop),
        confidence=read("--confidence", args.confidence, _number, usual.confidence),
        max_bytes=read("--max-size", args.max_size, parse_bytes, usual.max_bytes),
        max_memory_bytes=read("--max-memory", args.max_memory, parse_bytes, usual.max_memory_bytes),
    )
    try:
        contract.checked(cores)
    except ContractError as error:
        issues += as_flags(error, limit=flag).issues
    if issues:
        raise ContractError(tuple(issues))
    return contract


def as_flags(error: ContractError, *, limit: str = "--limit") -> ContractError:
    """The same error with its clauses called as the command line calls them."""
    names = {**_FLAGS, "limit_ms": limit}
    return ContractError(
        tuple(
            Issue(names.get(i.where, f"--{i.where.replace('_', '-')}"), i.message, i.remedy)
            for i in error.issues
        )
    )


def _limit(args: argparse.Namespace, issues: list[Issue]) -> tuple[str | None, str, str | None]:
    """The percentile, and the flag and text of its limit."""
    named = [name for name in _PERCENTILES if getattr(args, name) is not None]
    given = [f"--{name}" for name in named] + (["--limit"] if args.limit is not None else [])
    if len(given) > 1:
        issues.append(
            Issue(
                given[1],
                f"it bounds the latency a second time, after {given[0]}.",
                "Give one of them.",
            )
        )
    if named and args.percentile is not None:
        issues.append(
            Issue(
                "--percentile", f"--{named[0]} names a percentile already.", "Give --limit with it."
            )
        )
    if named:
        return str(_PERCENTILES[named[0]]), f"--{named[0]}", getattr(args, named[0])
    return args.percentile, "--limit", args.limit


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        issue = Issue("", f"'{text}' is no whole number.", "Write one such as 2.")
        raise ContractError((issue,)) from error


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        issue = Issue("", f"'{text}' is no number.", "Write one such as 0.95 or 99.")
        raise ContractError((issue,)) from error

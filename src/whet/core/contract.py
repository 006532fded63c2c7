"""What the user wants kept: a latency limit, a quality floor, size and memory limits.

Everything is checked in one place (`Contract.checked`) and all errors are
reported together, each with its remedy.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import msgspec

from whet.core.bounds import MOST_BYTES, MOST_PARALLEL, MOST_ROWS
from whet.core.drop import NUMBER, Drop, DropKind, boundless, parse_drop, unread
from whet.core.units import bytes_words
from whet.errors import ContractError, Issue

__all__ = [
    "Contract",
    "Drop",
    "DropKind",
    "parse_bytes",
    "parse_drop",
    "parse_ms",
]

METRICS = (
    "auto",
    "top1",
    "top5",
    "f1",
    "cosine",
    "spearman",
    "mae",
    "agreement",
    "closeness",
)


class Contract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Latency, quality, size and memory that a variant must keep.

    Attributes:
        limit_ms: latency limit; ``None`` means "as fast as possible".
        percentile: the percentile (0-100) that the limit bounds.
        batch: rows per request, at most 4096.
        concurrency: requests in flight at once, at most 4096.
        threads: compute threads allowed; ``None`` means those that this process may use.
        metric: one of `METRICS`, or ``module:function`` of the user's. `whet.optimize` takes a
            live function too.
        output: the output that the metric judges; ``None`` means the first. Every other
            output is held to the original's own (`whet.measure.guards`).
        ignore_outputs: outputs that may become anything.
        max_drop: allowed loss of quality against the original.
        confidence: of every bound on quality (0-1).
        max_bytes: limit on the size on disk of the engine.
        max_memory_bytes: limit on the peak resident memory of a serving process.
    """

    limit_ms: float | None = None
    percentile: float = 99.0
    batch: int = 1
    concurrency: int = 1
    threads: int | None = None
    metric: str = "auto"
    max_drop: Drop = Drop(0.01)
    confidence: float = 0.95
    max_bytes: int | None = None
    max_memory_bytes: int | None = None
    output: str | None = None
    ignore_outputs: tuple[str, ...] = ()

    def checked(self, cores: int | None = None) -> Contract:
        """Return self, or raise one `ContractError` that lists every broken clause.

        Args:
            cores: that this process may use, where the contract is for this machine.
        """
        issues = tuple(_issues(self, cores))
        if issues:
            raise ContractError(issues)
        return self

    def brief(self) -> str:
        """One line, e.g. ``"p99 <= 5 ms at batch 1; top1 may drop by 0.01 (95 % confidence)"``."""
        latency = (
            f"p{self.percentile:g} ≤ {self.limit_ms:g} ms"
            if self.limit_ms is not None
            else f"as fast as possible (p{self.percentile:g})"
        )
        load = f"batch {self.batch}" + (
            f", {self.concurrency} at once" if self.concurrency > 1 else ""
        )
        if self.threads is not None:
            load += f", {self.threads} thread{'s'[: self.threads != 1]}"
        of = f" of '{self.output}'" if self.output is not None else ""
        quality = (
            f"{self.metric}{of} may drop by {self.max_drop} ({self.confidence:.0%} confidence)"
        )
        limits = ((self.max_bytes, "on disk"), (self.max_memory_bytes, "of memory"))
        rest = [f"at most {bytes_words(most)} {what}" for most, what in limits if most is not None]
        return "; ".join((f"{latency} at {load}", quality, *rest))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_drop(value: object) -> bool:
    return isinstance(value, Drop) and _is_number(value.value) and isinstance(value.kind, DropKind)


def _is_names(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(name, str) for name in value)


# What each clause is, whether it may be left out, and how it is written.
_KINDS: dict[str, tuple[Callable[[object], bool], bool, str]] = {
    "limit_ms": (_is_number, True, "Give milliseconds, such as 5.0 or '5ms'."),
    "percentile": (_is_number, False, "Give a number between 0 and 100, such as 99."),
    "batch": (_is_whole, False, "Give a whole number, such as 1."),
    "concurrency": (_is_whole, False, "Give a whole number, such as 1."),
    "threads": (_is_whole, True, "Give a whole number, or leave it out for all allowed."),
    "metric": (
        _is_text,
        False,
        f"Take one of {', '.join(METRICS)}, 'file.py:function', or a function.",
    ),
    "max_drop": (
        _is_drop,
        False,
        "Give whet.Drop(0.01) (absolute), 0.01, '1pt', or '1%' (of the original's value).",
    ),
    "confidence": (_is_number, False, "Give a number from 0.5 to below 1, such as 0.95."),
    "max_bytes": (_is_whole, True, "Give a size such as '25MB', or whole bytes."),
    "max_memory_bytes": (_is_whole, True, "Give a size such as '500MB', or whole bytes."),
    "output": (_is_text, True, "Give the name of one, or leave it out for the first."),
    "ignore_outputs": (_is_names, False, "Give their names as a tuple: ('hidden',)."),
}


def _kind_issues(c: Contract) -> list[Issue]:
    """Clauses that hold another kind of thing than they should: Python checks no types."""
    found = []
    for name, (fits, optional, remedy) in _KINDS.items():
        value: object = getattr(c, name)
        if not (fits(value) or (optional and value is None)):
            shown = f"{value!r:.60} ({type(value).__name__}) can't be read."
            found.append(Issue(name, shown, remedy))
    return found


def _issues(given: Contract, cores: int | None) -> list[Issue]:
    found = _kind_issues(given)
    usual = Contract()
    # The rest is checked all the same, so that all errors are told at once.
    c = msgspec.structs.replace(given, **{i.where: getattr(usual, i.where) for i in found})

    def need(holds: bool, where: str, message: str, remedy: str) -> None:
        if not holds:
            found.append(Issue(where, message, remedy))

    def finite(value: float) -> bool:
        return math.isfinite(value)

    need(
        c.limit_ms is None or (finite(c.limit_ms) and c.limit_ms > 0),
        "limit_ms",
        f"{c.limit_ms} is no latency.",
        "Give a positive number of milliseconds, or leave it out for 'as fast as possible'.",
    )
    need(
        finite(c.percentile) and 0 < c.percentile < 100,
        "percentile",
        f"{c.percentile} is no percentile.",
        "Give a number between 0 and 100, such as 99.",
    )
    need(
        1 <= c.batch <= MOST_ROWS,
        "batch",
        f"{c.batch} rows can't be served at once.",
        f"Give 1-{MOST_ROWS}; more rows are several requests.",
    )
    need(
        1 <= c.concurrency <= MOST_PARALLEL,
        "concurrency",
        f"{c.concurrency} requests at once can't be served.",
        f"Give 1-{MOST_PARALLEL}.",
    )
    need(
        c.threads is None or 1 <= c.threads <= MOST_PARALLEL,
        "threads",
        f"{c.threads} threads can't compute.",
        f"Give 1-{MOST_PARALLEL}, or leave it out for all that this process may use.",
    )
    need(
        c.threads is None or cores is None or c.threads <= cores,
        "threads",
        f"{c.threads} threads were asked for and this process may use {cores} cores.",
        f"Ask for at most {cores}, or give the process more cores.",
    )
    need(
        c.metric in METRICS or re.fullmatch(r"[^:]+:[A-Za-z_]\w*", c.metric) is not None,
        "metric",
        f"'{c.metric}' is not known.",
        f"Take one of {', '.join(METRICS)}, or 'file.py:function'.",
    )
    need(
        finite(c.max_drop.value) and c.max_drop.value >= 0,
        "max_drop",
        f"{c.max_drop.value} is no drop.",
        "Give 0 or more, e.g. '1%' (of the original's value), '1pt' or '0.01'.",
    )
    need(
        c.max_drop.kind is DropKind.ABSOLUTE or c.max_drop.value < 1,
        "max_drop",
        "a relative drop of 100 % or more allows anything.",
        "Give less than 100 %.",
    )
    found += boundless(c.metric, c.max_drop)
    need(
        finite(c.confidence) and 0.5 <= c.confidence < 1,
        "confidence",
        f"{c.confidence} is no confidence.",
        "Give a number from 0.5 to below 1, such as 0.95.",
    )
    need(
        c.max_bytes is None or 0 < c.max_bytes <= MOST_BYTES,
        "max_bytes",
        f"{c.max_bytes} bytes are no size of a model.",
        "Give a positive size such as '25MB'.",
    )
    need(
        c.max_memory_bytes is None or 0 < c.max_memory_bytes <= MOST_BYTES,
        "max_memory_bytes",
        f"{c.max_memory_bytes} bytes are no size of a process.",
        "Give a positive size such as '500MB'.",
    )
    need(
        c.output is None or c.output not in c.ignore_outputs,
        "ignore_outputs",
        f"'{c.output}' is the output to judge.",
        "Judge another output, or don't ignore this one.",
    )
    need(
        c.output != "" and "" not in c.ignore_outputs,
        "output",
        "an output has a name.",
        "Give the name of one, or leave it out for the first.",
    )
    return found


def parse_ms(text: str) -> float:
    """Milliseconds from ``"5ms"``, ``"800us"``, ``"0.2s"`` or ``"5"``.

    Raises:
        ContractError: no such duration.
    """
    match = re.fullmatch(NUMBER + r"(us|µs|ms|s)?\s*", text)
    if match is None:
        raise unread("limit_ms", text, "Write a duration such as '5ms', '800us' or '0.2s'.")
    scale = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}[match[2] or "ms"]
    return float(match[1]) * scale


def parse_bytes(text: str) -> int:
    """Bytes from ``"25MB"``, ``"1.5GiB"``, ``"900k"`` or a plain number.

    Raises:
        ContractError: no such size.
    """
    match = re.fullmatch(NUMBER + r"([kKmMgG]?)(i?)[bB]?\s*", text)
    if match is None or not math.isfinite(float(match[1])):
        raise unread("max_bytes", text, "Write a size such as '25MB' or '1.5GiB'.")
    power = {"": 0, "k": 1, "m": 2, "g": 3}[match[2].lower()]
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)

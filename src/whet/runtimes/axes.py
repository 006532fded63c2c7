"""What spans the settings of any runtime on a machine, under a contract."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Axes"]


@dataclass(frozen=True)
class Axes:
    """What bounds the settings that are worth trying.

    Attributes:
        cores: compute threads that may be used, by all requests together.
        fixed: sizes that the contract makes known, e.g. ``{"batch": 1}``; empty
            where requests differ in size.
        flags: what the CPU can do (`whet.runtimes.cpu.cpu_flags`).
        concurrency: requests at once.
    """

    cores: int
    fixed: dict[str, int]
    flags: frozenset[str]
    concurrency: int = 1

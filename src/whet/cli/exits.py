"""Exit codes, documented in ``whet --help`` and held by a test."""

from __future__ import annotations

import enum

__all__ = ["TABLE", "Exit"]


class Exit(enum.IntEnum):
    """What a command ends with."""

    KEPT = 0
    INTERNAL = 1
    NOT_KEPT = 2
    BAD_INPUT = 3
    HOST = 4
    BUNDLE = 5
    STORAGE = 6
    INTERRUPTED = 130


TABLE: dict[Exit, str] = {
    Exit.KEPT: "done; of optimize: the contract is kept",
    Exit.INTERNAL: "something inside failed",
    Exit.NOT_KEPT: "the contract is not kept, or can't be proven; of verify: also not checked",
    Exit.BAD_INPUT: "what was given can't be used (also a wrong command line)",
    Exit.HOST: "this machine lacks something",
    Exit.BUNDLE: "the bundle is refused, or does not hold here",
    Exit.STORAGE: "something can't be written",
    Exit.INTERRUPTED: "interrupted before there was a result; every finished trial is kept",
}

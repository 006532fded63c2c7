"""What a search gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from whet.core.evidence import Evidence, Verdict

__all__ = ["KEPT", "NOT_KEPT", "Outcome"]

KEPT = 0
NOT_KEPT = 2


@dataclass(frozen=True)
class Outcome:
    """The record and the bundle.

    Attributes:
        evidence: everything that was measured and decided.
        bundle: the folder that was written; ``None`` if none was asked for.
    """

    evidence: Evidence
    bundle: Path | None

    @property
    def exit_code(self) -> int:
        """0 where the contract is kept, 2 where it isn't or can't be proven."""
        return KEPT if self.evidence.kept is Verdict.PASSED else NOT_KEPT

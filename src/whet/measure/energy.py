"""Energy per inference from the machine's own counters, where it has any that we may read.

Intel's and AMD's running average power limit (RAPL) counters are files under
``/sys/class/powercap``. They count the whole processor package, other work included, so the figure
is an upper bound on a quiet machine. Every runtime here computes on the CPU, so no other counter
is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from whet.core.note import Note

__all__ = ["Meter", "energy_per_query", "find_meter"]

_POWERCAP = Path("/sys/class/powercap")


class Meter(Protocol):
    """A counter of energy that only grows."""

    name: str

    def millijoules(self) -> float:
        """The reading now; only differences mean something."""
        ...


@dataclass
class _Domain:
    """One RAPL package: a counter in microjoules that starts again at ``wraps_at``."""

    file: Path
    wraps_at: int
    last: int
    turns: int = 0

    def microjoules(self) -> int:
        now = int(self.file.read_text())
        # Read often enough (well under a minute) no wrap is missed.
        self.turns += now < self.last
        self.last = now
        return self.turns * self.wraps_at + now


class RaplMeter:
    """All packages of the machine together."""

    name = "RAPL"

    def __init__(self, domains: Iterable[Path]) -> None:
        self._domains = [
            _Domain(
                file=folder / "energy_uj",
                wraps_at=int((folder / "max_energy_range_uj").read_text()),
                last=int((folder / "energy_uj").read_text()),
            )
            for folder in domains
        ]

    def millijoules(self) -> float:
        return sum(domain.microjoules() for domain in self._domains) / 1e3


def find_meter(*, powercap: Path = _POWERCAP) -> tuple[Meter | None, Note | None]:
    """A meter, or a note that says why there is none.

    Args:
        powercap: where the kernel shows its counters.
    """
    # intel-rapl:0 is a package; intel-rapl:0:1 a part of it that is counted there already.
    packages = sorted(folder for folder in powercap.glob("*-rapl:*") if folder.name.count(":") == 1)
    if not packages:
        return _unknown("this machine shows no energy counters (RAPL)")
    try:
        return RaplMeter(packages), None
    except PermissionError:
        return _unknown(f"its counters under {powercap} may only be read by root")
    except (OSError, ValueError) as error:
        return _unknown(f"its counters can't be read ({error})")


def _unknown(reason: str) -> tuple[None, Note]:
    return None, Note("energy", f"Energy per inference is unknown: {reason}.")


def energy_per_query(meter: Meter, run: Callable[[], int]) -> float:
    """Millijoules per query while ``run`` runs queries and returns how many."""
    before = meter.millijoules()
    queries = run()
    return (meter.millijoules() - before) / max(1, queries)

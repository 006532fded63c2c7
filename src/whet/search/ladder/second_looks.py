"""A result above a measured ceiling: is the result wrong, or was the ceiling measured too low?

The ceiling is measured again, a few times and in little time. The result is refused where looks
on a quiet machine agree that it is impossible, or where no such CPU could do it. Otherwise the
machine was too busy for a ceiling to be measured: the result stays, and the ceiling goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import msgspec

from whet.core.evidence import Ceilings, Footprint, Latency, Trial
from whet.core.note import Note
from whet.errors import MeasurementError
from whet.measure.ceiling_looks import Look, higher, settled
from whet.measure.roofline import beyond_theory, peak_of, top_precision, without_peak
from whet.search.decisions.figures import query_ms
from whet.search.decisions.footing import arithmetic_of, complete, counts_of
from whet.search.setup import Setup
from whet.search.workers.jobs import Made

__all__ = ["SecondLooks", "unmeasured"]

_MOST_LOOKS = 4  # of one ceiling
_MOST_S = 12.0  # of a whole search, unless a look that was begun in time takes longer


@dataclass
class SecondLooks:
    """The looks of one search at ceilings that a result passed.

    Attributes:
        look: measures one ceiling again, by precision.
        done: all looks so far, by precision.
    """

    look: Callable[[str], Look]
    done: dict[str, list[Look]]

    @property
    def seconds(self) -> float:
        """Spent on them so far."""
        return sum(look.seconds for looks in self.done.values() for look in looks)

    def complete(
        self, setup: Setup, trial: Trial, made: Made, latency: Latency, measured: Footprint
    ) -> tuple[Setup, Footprint]:
        """Complete a footprint; the setup comes back with what its ceilings turned out to be.

        Raises:
            MeasurementError: the result is above what this machine can do.
        """
        precision = arithmetic_of(trial.recipe)
        while True:
            try:
                return setup, complete(setup, trial, made, latency, measured)
            except MeasurementError:
                # What runs wider than int8 may be what is faster here: that peak decides.
                top = top_precision(setup.machine.ceilings, precision)
                looks = self.done.setdefault(top, [])
                raised = reduce(higher, (x.ceilings for x in looks), setup.machine.ceilings)
                if raised != setup.machine.ceilings:
                    setup = _with(setup, raised)
                    continue
                if settled(looks, top) or _impossible(setup, made, latency, precision):
                    raise
                if len(looks) >= _MOST_LOOKS or self.seconds >= _MOST_S:
                    break
                looks.append(self.look(top))
        setup = _with(setup, without_peak(setup.machine.ceilings, precision))
        footprint = complete(setup, trial, made, latency, measured)
        note = unmeasured(top, looks)
        return setup, msgspec.structs.replace(footprint, notes=(*footprint.notes, note))


def unmeasured(precision: str, looks: Sequence[Look]) -> Note:
    """That a ceiling couldn't be measured, and why."""
    unrest = next((look.unrest for look in reversed(looks) if look.unrest), "")
    peaks = [peak for look in looks if (peak := peak_of(look.ceilings, precision)) is not None]
    if unrest:
        why = f"machine busy: {unrest}"
    elif len(peaks) > 1:
        why = f"{len(peaks)} looks at it differ by {max(peaks) / min(peaks) - 1:.0%}"
    else:
        why = "there was no time for enough looks at it"
    return Note(
        "ceiling",
        f"This machine's {precision} ceiling couldn't be measured ({why}): results lie above what"
        " it seemed to reach. The share of the ceiling is left out.",
    )


def _impossible(setup: Setup, made: Made, latency: Latency, precision: str) -> bool:
    median_ms = query_ms(latency)
    machine = setup.machine
    return median_ms is not None and beyond_theory(
        counts_of(setup, made).macs * setup.contract.batch,
        median_ms,
        cores=machine.cores,
        flags=machine.flags,
        precision=precision,
    )


def _with(setup: Setup, ceilings: Ceilings) -> Setup:
    return replace(setup, machine=msgspec.structs.replace(setup.machine, ceilings=ceilings))

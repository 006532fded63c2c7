"""What a search tells while it runs: a stream of closed, immutable events.

The search emits, a listener renders. An event carries the time that has
passed, so that a listener needs no clock to say where the search stands. The
order is::

    Phase*, Started, (Phase | RungStarted | TrialStarted, Learning*, TrialDone | Remark)*, Finished

A search that fails, or is stopped before anything was measured, ends without `Finished`.
"""

from __future__ import annotations

import msgspec

from whet.core.contract import Contract
from whet.core.evidence import Evidence, Machine, SampleSummary, Trial
from whet.core.lesson import Lesson
from whet.core.note import Note

__all__ = [
    "Event",
    "Finished",
    "Learning",
    "Phase",
    "Remark",
    "RungStarted",
    "Started",
    "Stopped",
    "TrialDone",
    "TrialStarted",
]


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Something happened.

    Attributes:
        elapsed_s: seconds since the search began.
        budget_s: seconds that the whole search may take; ``None`` for no limit.
    """

    elapsed_s: float
    budget_s: float | None = None


class Started(_Event, frozen=True, kw_only=True):
    """The samples are read, the machine is known, the search begins."""

    contract: Contract
    samples: SampleSummary
    machine: Machine


class Phase(_Event, frozen=True, kw_only=True):
    """A part of the run that tries no candidate: export, baseline, certify, pack."""

    title: str


class RungStarted(_Event, frozen=True, kw_only=True):
    """The search climbs to another rung of the ladder."""

    rung: int
    title: str


class TrialStarted(_Event, frozen=True, kw_only=True):
    """A candidate is being tried; ``number`` counts from 1."""

    name: str
    number: int


class Learning(_Event, frozen=True, kw_only=True):
    """The network of the candidate that is being tried learns; told every few seconds."""

    lesson: Lesson


class TrialDone(_Event, frozen=True, kw_only=True):
    """A candidate has been tried, or was remembered by the ledger.

    ``best`` is the fastest trial so far that looks as if it kept the contract.
    """

    trial: Trial
    best: Trial | None = None


class Remark(_Event, frozen=True, kw_only=True):
    """Something that the user should know while the search runs."""

    note: Note


class Finished(_Event, frozen=True, kw_only=True):
    """The search is over; ``bundle`` is the folder that was written."""

    evidence: Evidence
    bundle: str | None = None


Event = Started | Phase | RungStarted | TrialStarted | Learning | TrialDone | Remark | Finished


class Stopped(Exception):  # noqa: N818 - it isn't an error
    """The user asked to stop; the ledger holds every finished trial."""

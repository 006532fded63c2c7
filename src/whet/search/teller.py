"""Tells the listener what happens, with the time that has passed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from whet.core.evidence import Trial
from whet.core.lesson import Lesson
from whet.core.note import Note
from whet.search.budget.budget import Budget
from whet.search.budget.spending import Mark
from whet.search.events import (
    Event,
    Learning,
    Phase,
    Remark,
    RungStarted,
    TrialDone,
    TrialStarted,
)

__all__ = ["TITLES", "Teller"]

TITLES = {
    0: "what is reachable",
    1: "the untouched graph on every runtime",
    2: "post-training quantisation",
    3: "the network itself, block by block",
    4: "the changed network, taught by the original",
    5: "another network, taught by the original",
    6: "cascades",
}


@dataclass
class Teller:
    """Turns what the search does into events.

    Attributes:
        emit: takes them.
        budget: says how much time has passed.
        entered: rungs that were announced.
        remarks: what the user was told on the way; it goes into the evidence too.
        marks: what was done when.
    """

    emit: Callable[[Event], None]
    budget: Budget
    entered: set[int] = field(default_factory=set)
    remarks: list[Note] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    def phase(self, title: str) -> None:
        """A part of the run begins that tries no candidate."""
        self.marks.append((title, self._elapsed_s()))
        self.emit(Phase(title=title, elapsed_s=self._elapsed_s(), budget_s=self.budget.total_s))

    def rung(self, rung: int) -> None:
        """A rung begins, or goes on after another; told once per rung."""
        self.marks.append((TITLES[rung], self._elapsed_s()))
        if rung in self.entered:
            return
        self.entered.add(rung)
        self.emit(
            RungStarted(
                rung=rung,
                title=TITLES[rung],
                elapsed_s=self._elapsed_s(),
                budget_s=self.budget.total_s,
            )
        )

    def remark(self, where: str, reason: str) -> None:
        """Something that matters while the search runs, and afterwards."""
        note = Note(where, reason)
        self.remarks.append(note)
        self.show(note)

    def show(self, note: Note) -> None:
        """A note that is kept elsewhere and should be seen now."""
        self.emit(Remark(note=note, elapsed_s=self._elapsed_s(), budget_s=self.budget.total_s))

    def once(self, where: str, reason: str) -> None:
        """A remark that is told only the first time."""
        if Note(where, reason) not in self.remarks:
            self.remark(where, reason)

    def trying(self, name: str, number: int) -> None:
        """A candidate is being tried."""
        self.emit(
            TrialStarted(
                name=name,
                number=number,
                elapsed_s=self._elapsed_s(),
                budget_s=self.budget.total_s,
            )
        )

    def learning(self, lesson: Lesson) -> None:
        """The network of the candidate that is being tried has come so far."""
        self.emit(
            Learning(lesson=lesson, elapsed_s=self._elapsed_s(), budget_s=self.budget.total_s)
        )

    def tried(self, trial: Trial, best: Trial | None) -> None:
        """A candidate has been tried, or was remembered."""
        self.emit(
            TrialDone(
                trial=trial,
                best=best,
                elapsed_s=self._elapsed_s(),
                budget_s=self.budget.total_s,
            )
        )

    def _elapsed_s(self) -> float:
        return self.budget.elapsed_s(time.monotonic())

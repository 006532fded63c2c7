"""Tries candidates one at a time: make, time, judge, remember. A thin shell.

Everything that can go wrong with one candidate ends as a `Trial` with a
status and a note; only the user's own mistakes and a full disk end the search.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import msgspec

from whet.core.evidence import Footprint, Latency, Quality, Status, Trial
from whet.core.recipe import Recipe
from whet.errors import MeasurementError, WhetError
from whet.measure.ceiling_looks import Look, look_again
from whet.runtimes.cache import renew
from whet.search.budget.budget import Budget, Skipped
from whet.search.budget.closing import closing_s
from whet.search.budget.pace import usual_s
from whet.search.decisions.endings import ended, holds, reason_of, worth_another_try
from whet.search.decisions.figures import is_untouched
from whet.search.decisions.order import FINALISTS, certify_order
from whet.search.decisions.untouched import stranger_note
from whet.search.decisions.worth import best_so_far, worth_judging
from whet.search.events import Stopped
from whet.search.ladder.assay import (
    answered_ms,
    ask_original,
    compare_untouched,
    contender_of,
    judge_on,
    quick_plan,
    time_all,
)
from whet.search.ladder.making import engine_for
from whet.search.ladder.naming import name_of
from whet.search.ladder.second_looks import SecondLooks
from whet.search.ledger.ledger import Ledger
from whet.search.ledger.reuse import Kept, carried, origin
from whet.search.setup import Setup
from whet.search.stop import Stop
from whet.search.teller import Teller
from whet.search.workers.jobs import Made

__all__ = ["Trials"]

_STOPPED = (
    "The search was stopped early: what it had found by then was certified and packed. The same"
    " command goes on from there."
)


@dataclass
class Trials:
    """The candidates of one search so far, and how to try another.

    Attributes:
        stop: the user's wish that trying end.
        anchor: the first untouched trial; all quick timings are ratios to it.
        all: the trials by id, in the order in which they were tried.
        past: trials of other searches whose speed holds here, by recipe digest.
        made: the engine of each trial that was made in this run.
        errors: why a trial of this run ended badly, by id. Those whose figures can't be believed
            are tried again by the next search, so the ledger doesn't keep them.
        skipped: candidates for which there was no time, by recipe digest.
        looks: at ceilings that a result passed, by precision.
        aside_s: seconds spent on what all trials share, which none of them is charged for.
    """

    setup: Setup
    ledger: Ledger
    budget: Budget
    tell: Teller
    stop: Stop
    past: Mapping[str, Kept] = field(default_factory=dict)
    anchor: Trial | None = None
    all: dict[str, Trial] = field(default_factory=dict)
    made: dict[str, Made] = field(default_factory=dict)
    errors: dict[str, WhetError] = field(default_factory=dict)
    aside_s: float = 0.0
    skipped: dict[str, Skipped] = field(default_factory=dict)
    looks: dict[str, list[Look]] = field(default_factory=dict)

    def attempt(
        self,
        recipe: Recipe,
        rung: int,
        *,
        judge: bool = True,
        until_s: float = float("inf"),
        must: bool = False,
    ) -> Trial | None:
        """Try one candidate, or take it from the ledger; ``None`` where there is no time for it.

        Of another search's trial the speed is taken; its quality is judged here, as is that of
        a remembered one which limits or time kept from being judged.

        Args:
            recipe: what to try.
            rung: of the ladder.
            judge: whether to judge its quality if it is fast enough.
            until_s: on the monotonic clock; it is only begun if it should end before.
            must: try it even if there is no time.

        Raises:
            Stopped: the user asked to stop.
            StorageError: nothing can be written any more.
        """
        self.stop.check()
        known = self.all.get(recipe.digest())
        if known is not None:
            return known
        remembered = self._remembered(recipe)
        taken = {t.name: t.recipe for t in self.all.values()}
        free = remembered is not None and remembered.name not in taken
        name = remembered.name if remembered and free else name_of(recipe, taken, probe=rung == 0)
        reused = self._reused(recipe, name, rung) if remembered is None else None
        now, usual = time.monotonic(), self.expected_s(recipe)
        time_left = now + usual <= until_s and self.budget.affords(now, usual)
        if not (remembered or reused or must or time_left):
            need_s = self.budget.elapsed_s(now) + usual + self._closing_s()
            self.skipped.setdefault(recipe.digest(), Skipped(recipe, need_s))
            return None
        self.skipped.pop(recipe.digest(), None)
        self.tell.rung(rung)  # only now: a rung that there is no time for isn't begun
        self.tell.trying(name, len(self.all) + 1)
        if remembered is not None:
            remembered = msgspec.structs.replace(remembered, name=name)
            trial = self._judged_if_worth(remembered) if judge and time_left else remembered
        elif reused is not None:
            trial = self._judged_if_worth(reused) if judge and time_left else reused
        else:
            trial = self._fresh(recipe, name, rung, judge)
        compared = self._compared(trial)
        if worth_another_try(compared) and not self._doubted(compared):
            self.tell.once(name, f"It crashed and is tried once more: {reason_of(compared)}")
            compared = self._compared(self._fresh(recipe, name, rung, judge))
        self._keep(compared, new=compared is not remembered)
        return compared

    @contextmanager
    def until_stopped(self) -> Iterator[None]:
        """What stands in here ends where the user asks to stop.

        Raises:
            Stopped: there is no untouched trial yet, so nothing to close with.
        """
        try:
            yield
        except Stopped:
            if not self.untouched():
                raise
            self.tell.once("search", _STOPPED)

    def closing(self) -> Trials:
        """The same trials for the end of the search, which no wish to stop cuts short."""
        asked = self.stop.asked.is_set()
        budget = self.budget.ended(time.monotonic()) if asked else self.budget
        return replace(self, budget=budget, stop=Stop())

    def _remembered(self, recipe: Recipe) -> Trial | None:
        """The ledger's trial, if it still holds and is compared with the engine of this search."""
        trial = self.ledger.find(recipe.digest())
        if trial is None or not holds(trial):
            return None
        if trial.speedup is None:
            return trial
        anchor = self.anchor.name if self.anchor is not None else trial.name
        return trial if trial.speedup.against == anchor else None

    def _reused(self, recipe: Recipe, name: str, rung: int) -> Trial | None:
        """Another search's trial of this recipe, if its speed says something here."""
        kept = self.past.get(recipe.digest())
        trial = None if kept is None else carried(kept, name, rung, self.anchor)
        if trial is not None:
            self.tell.once(
                "reused",
                f"{origin(trial)} It only screens here: finalists are timed and certified afresh.",
            )
        return trial

    def time_share_s(self, share: float) -> float:
        """When ``share`` of the time left for climbing will be used up, on the monotonic clock."""
        now = time.monotonic()
        return now + share * self.budget.climbing_s(now)

    def untouched(self) -> list[Trial]:
        """The trials of the untouched graph in full precision that ran."""
        return [t for t in self.all.values() if t.status is Status.OK and is_untouched(t)]

    def made_for(self, trial: Trial) -> Made:
        """The engine of a trial, made again if this run hasn't made it or the cache dropped it."""
        made = self.made.get(trial.id)
        if made is None or not renew(Path(made.engine)):
            left_s = self.budget.left_s(time.monotonic())
            made = self._made(trial, left_s)
            self.made[trial.id] = made
        return made

    def expected_s(self, recipe: Recipe) -> float:
        """Seconds that a trial of a recipe should take, from those before it."""
        built = {t.recipe.build_digest() for t in self.all.values() if t.id in self.made}
        rows = len(self.setup.repair)
        return usual_s(recipe, self.all.values(), repair_rows=rows, built=built)

    def climbing_s(self) -> float:
        """Seconds left for trying candidates."""
        return self.budget.climbing_s(time.monotonic())

    def update(self, trial: Trial, *, remember: bool = True) -> None:
        """Put a trial with more known of it in place of the one with its id.

        Args:
            trial: as it is now.
            remember: also in the ledger; not for figures against another engine than the anchor.
        """
        self.all[trial.id] = trial
        if remember:
            self.ledger.record(trial)

    def judge(self, trial: Trial) -> Trial:
        """Judge a trial's quality on the select split, if that isn't done yet."""
        if trial.select is not None or trial.status is not Status.OK:
            return trial
        judged = self._judged(trial)
        self.update(judged)
        return judged

    def footprint(
        self, trial: Trial, made: Made, latency: Latency, measured: Footprint
    ) -> Footprint:
        """Complete a footprint; one above the ceiling has the ceiling measured again.

        Raises:
            MeasurementError: the result is above what this machine can do.
        """
        again = SecondLooks(self._look, self.looks)
        spent_s = again.seconds
        try:
            self.setup, found = again.complete(self.setup, trial, made, latency, measured)
        finally:
            self.aside_s += again.seconds - spent_s
        for note in found.notes:
            if note.where == "ceiling":
                self.tell.once(note.where, note.reason)
        return found

    # -- inside --

    def _look(self, precision: str) -> Look:
        return look_again(self.setup.machine, precision, self.setup.cache.parent)

    def _compared(self, trial: Trial) -> Trial:
        """An untouched trial with its answers compared with the original's, whoever timed it."""
        if not is_untouched(trial) or trial.status is not Status.OK:
            return trial
        if trial.select is None:
            try:
                make = partial(self.made_for, trial)
                select = compare_untouched(
                    self.setup, trial, make, left_s=self.climbing_s(), while_waiting=self.stop.check
                )
            except WhetError as error:
                return self._ended(trial, error)
            trial = msgspec.structs.replace(trial, select=select)
        strange = stranger_note(trial)
        if strange is not None:
            self.tell.once(strange.where, strange.reason)
        return trial

    def _judged_if_worth(self, trial: Trial) -> Trial:
        """As it is remembered, or with the judgement that limits or time kept it from then."""
        timed = trial.status is Status.OK and trial.speedup is not None
        if not timed or trial.select is not None or is_untouched(trial):
            return trial
        return self._judged(trial) if self._worth_judging(trial) else trial

    def _judged(self, trial: Trial) -> Trial:
        try:
            select = self._select(trial, lambda: self.made_for(trial))
        except WhetError as error:
            return self._ended(trial, error)
        return msgspec.structs.replace(trial, select=select)

    def _fresh(self, recipe: Recipe, name: str, rung: int, judge: bool) -> Trial:
        began = time.monotonic() - self.aside_s
        trial = Trial(recipe.digest(), name, recipe, rung, Status.OK, 0.0)
        try:
            trial = self._measured(trial, judge)
        except WhetError as error:
            trial = self._ended(trial, error)
        seconds = time.monotonic() - self.aside_s - began
        return msgspec.structs.replace(trial, seconds=seconds)

    def _measured(self, trial: Trial, judge: bool) -> Trial:
        made = self._made(trial, self._most_s(trial))
        self.made[trial.id] = made
        anchor = self.anchor if self.anchor is not None else trial
        pair = {t.id: contender_of(t, self.made_for(t)) for t in (anchor, trial)}
        plan = quick_plan(self.setup, self.climbing_s())
        result = time_all(self.setup, tuple(pair.values()), plan, while_waiting=self.stop.check)
        if trial.name in result.failures:
            raise result.failures[trial.name]
        latency = result.latency[trial.name]
        footprint = self.footprint(trial, made, latency, result.footprints[trial.name])
        trial = msgspec.structs.replace(
            trial,
            latency=latency,
            speedup=result.ratio(anchor.name, trial.name),
            footprint=footprint,
            notes=made.notes + result.notes,
        )
        if judge and not is_untouched(trial) and self._worth_judging(trial):
            trial = msgspec.structs.replace(trial, select=self._select(trial, lambda: made))
        return trial

    def _made(self, trial: Trial, left_s: float) -> Made:
        return engine_for(self.setup, trial.recipe, left_s, self.stop.asked, self.tell.learning)

    def _select(self, trial: Trial, make: Callable[[], Made]) -> Quality:
        setup, began = self.setup, time.monotonic()
        check = self.stop.check
        ask_original(setup, setup.select, left_s=self.climbing_s(), while_waiting=check)
        self.aside_s += time.monotonic() - began  # asked once, for all trials
        return judge_on(
            setup, trial, make, setup.select, left_s=self.climbing_s(), while_waiting=check
        )

    def _worth_judging(self, trial: Trial) -> bool:
        return worth_judging(
            trial, self.all.values(), self.setup.contract, self.setup.certify.samples
        )

    def _most_s(self, trial: Trial) -> float:
        """How long it may be built: a candidate leaves closing its reserve, untouched ones must run."""
        untouched = is_untouched(trial)
        return self.budget.left_s(time.monotonic()) if untouched else self.climbing_s()

    def _ended(self, trial: Trial, error: WhetError) -> Trial:
        self.stop.check()
        self.errors[trial.id] = error
        return ended(trial, error)

    def _doubted(self, trial: Trial) -> bool:
        return isinstance(self.errors.get(trial.id), MeasurementError)

    def _keep(self, trial: Trial, *, new: bool) -> None:
        self.all[trial.id] = trial
        if new and not self._doubted(trial):
            self.ledger.record(trial)
        if self.anchor is None and trial.status is Status.OK:
            self.anchor = trial
        self._reserve()
        self.tell.tried(trial, best_so_far(self.all.values(), self.anchor))

    def _reserve(self) -> None:
        """Hold back for closing what the trials so far say that it will take."""
        self.budget = self.budget.reserving(self._closing_s())

    def _closing_s(self) -> float:
        setup, total_s = self.setup, self.budget.total_s
        rows, ms, known = len(setup.certify), setup.original_ms, self.all.values()
        due = certify_order(known, setup.contract, setup.certify.samples, FINALISTS)
        answered = {t.id: row for t in due if (row := answered_ms(setup, t)) is not None}
        return closing_s(
            setup.contract,
            rows,
            ms,
            known,
            total_s,
            values=setup.values,
            due=due,
            answered_ms=answered,
        )

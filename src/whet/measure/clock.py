"""The race: contenders timed turn by turn, so that the machine's moods hit all alike.

In each restart every contender gets a fresh process, is warmed up by rule and then
has its turns, in random order within each round. Waiting processes sleep: no runtime
here spins once its query is answered. Where memory does not allow all
processes at once they run one after another within each restart; the pairs are then
farther apart in time, and a note says so. A contender that fails is taken out and
reported; the race goes on.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from whet.core.evidence import Footprint
from whet.core.note import Note
from whet.core.units import seconds_words
from whet.data.layout import StoreRef
from whet.errors import EngineError, OptionError, StorageError, WhetError
from whet.measure.cgroup import allowed_memory, available_memory
from whet.measure.contender import Contender, disk_bytes
from whet.measure.noise import TOO_NOISY, read_cpu_use, uneven, unrest
from whet.measure.plan import (
    ClockPlan,
    Race,
    Turn,
    Turns,
    latency_of,
    restarts_that_fit,
    turn_seconds,
)
from whet.measure.process import ContenderProcess

__all__ = ["ClockPlan", "Race", "race"]

OnRound = Callable[[int, int], None]

_WARM_SECONDS = 10.0
_SPARE = 0.1  # share of the memory that must stay free
_PROCESS_BYTES = 300 << 20  # a process before its model is in it
_COPIES = 3  # of the model's bytes that a runtime may hold while it opens


def race(
    contenders: Sequence[Contender],
    feed: StoreRef,
    plan: ClockPlan,
    *,
    on_round: OnRound | None = None,
    cores: tuple[int, ...] | None = None,
    memory_bytes: int | None = None,
) -> Race:
    """Time contenders against each other.

    Args:
        contenders: with different names.
        feed: samples that the queries cycle over; all see the same ones in the same order.
        plan: how often and how long.
        on_round: told (rounds done, rounds planned) after each round.
        cores: that the contenders may run on; ``None`` leaves what this process may use.
        memory_bytes: limit on the resident memory of each contender.

    Raises:
        OptionError: no contenders, two of one name, or a plan that times nothing.
        StorageError: the disk is full, which is no contender's fault.
    """
    plan.checked()
    names = [contender.name for contender in contenders]
    if not names or len(set(names)) < len(names):
        raise OptionError(f"The contenders are named {names}.", "Give at least one, no name twice.")
    track = _Track(contenders, feed, plan, cores, memory_bytes, on_round or (lambda *_: None))
    before = read_cpu_use()
    restart = 0
    while restart < track.restarts and track.alive():
        track.run_restart(restart)
        restart += 1
    return track.result(unrest(before, read_cpu_use()))


class _Track:
    """The state of one race."""

    def __init__(
        self,
        contenders: Sequence[Contender],
        feed: StoreRef,
        plan: ClockPlan,
        cores: tuple[int, ...] | None,
        memory_bytes: int | None,
        on_round: OnRound,
    ) -> None:
        self._contenders = {contender.name: contender for contender in contenders}
        self._feed, self._plan, self._cores = feed, plan, cores
        self._memory_bytes, self._on_round = memory_bytes, on_round
        self._random = random.Random(plan.seed)  # noqa: S311 - an order, not a secret
        self._began = time.monotonic()
        self._start_s = 0.0
        self.restarts = plan.restarts
        self._together = len(contenders) > 1
        self._turns: dict[str, Turns] = {name: [] for name in self._contenders}
        self._footprints: dict[str, Footprint] = {}
        self._failures: dict[str, WhetError] = {}
        self._notes: list[Note] = []

    def alive(self) -> list[str]:
        """Names of those that have not failed, in random order."""
        names = [name for name in self._contenders if name not in self._failures]
        self._random.shuffle(names)
        return names

    def note(self, reason: str) -> None:
        self._notes.append(Note("race", reason))

    def run_restart(self, restart: int) -> None:
        """Fresh processes for all, and all their turns."""
        for turns in self._turns.values():
            turns.append([])
        if self._together and not self._run_together(restart):
            self._together = False
            self.note("Memory is too short for all processes at once; they ran one after another.")
            for turns in self._turns.values():
                turns[-1].clear()
        if not self._together:
            self._run_apart(restart)

    def _run_together(self, restart: int) -> bool:
        """All processes at once; false where memory is too short for it."""
        with ExitStack() as stack:
            began = time.monotonic()
            running: dict[str, ContenderProcess] = {}
            order = self.alive()
            for name in order:
                if running and not self._fits(name):
                    return False
                process = self._started(stack, name, len(order))
                if process is not None:
                    running[name] = process
            self._start_s = time.monotonic() - began
            seconds = self._turn_seconds(restart, len(running))
            for number in range(self._plan.rounds):
                for name in [n for n in self.alive() if n in running]:
                    self._take_turn(running[name], restart, number, seconds)
                self._on_round(restart * self._plan.rounds + number + 1, self._rounds())
            self._measure_memory(running)
        return True

    def _run_apart(self, restart: int) -> None:
        """One process after another."""
        order = self.alive()
        started = 0.0
        for name in order:
            with ExitStack() as stack:
                began = time.monotonic()
                process = self._started(stack, name, len(order))
                started += time.monotonic() - began
                self._start_s = started
                seconds = self._turn_seconds(restart, len(order))
                for number in range(self._plan.rounds):
                    if process is None or name in self._failures:
                        break
                    self._take_turn(process, restart, number, seconds)
                if process is not None:
                    self._measure_memory({name: process})
        self._on_round((restart + 1) * self._plan.rounds, self._rounds())

    def _started(self, stack: ExitStack, name: str, contenders: int) -> ContenderProcess | None:
        """A warmed-up process, or none and a failure."""
        plan = self._plan
        share = plan.seconds / plan.restarts / contenders / 4
        with self._held_against(name):
            process = stack.enter_context(
                ContenderProcess(
                    self._contenders[name],
                    self._feed,
                    batch=plan.batch,
                    concurrency=plan.concurrency,
                    memory_bytes=self._memory_bytes,
                    timeout_s=plan.timeout_s,
                    cores=self._cores,
                )
            )
            warm = process.warm_up(seconds=max(0.5, min(_WARM_SECONDS, share)))
            if not warm.settled:
                reason = (
                    f"Its latency had not settled after {seconds_words(warm.seconds)} of warm-up."
                )
                if Note(name, reason) not in self._notes:
                    self._notes.append(Note(name, reason))
            return process
        return None

    def _take_turn(
        self, process: ContenderProcess, restart: int, number: int, seconds: float
    ) -> None:
        plan = self._plan
        # The same inputs in the same order for all contenders of a round.
        seed = (plan.seed * 1_000 + restart) * 1_000 + number
        name = process.contender.name
        with self._held_against(name):
            timing = process.timed(plan.queries_per_round, seed, seconds)
            self._turns[name][-1].append(Turn(timing.ms, timing.wall_s))

    def _measure_memory(self, running: dict[str, ContenderProcess]) -> None:
        for name, process in running.items():
            if name in self._failures or name in self._footprints:
                continue
            with self._held_against(name):
                self._footprints[name] = process.footprint()

    @contextmanager
    def _held_against(self, name: str) -> Iterator[None]:
        """What goes wrong in here is this contender's failure; a full disk is nobody's."""
        try:
            yield
        except StorageError:
            raise
        except WhetError as error:
            self._failures[name] = error

    def _fits(self, name: str) -> bool:
        """Whether one more process leaves memory free."""
        known = self._footprints.get(name)
        if known is not None and known.peak_bytes is not None:
            need = known.peak_bytes
        else:
            try:
                size = disk_bytes(self._contenders[name])
            except EngineError:
                size = 0  # its start will say what is wrong
            need = _COPIES * size + _PROCESS_BYTES
        return available_memory() - need > _SPARE * allowed_memory()

    def _turn_seconds(self, restart: int, contenders: int) -> float:
        """Seconds for each turn of this restart; also settles how many restarts there will be."""
        plan = self._plan
        fitting = restarts_that_fit(plan.restarts, plan.seconds, self._start_s)
        if restart == 0 and fitting < plan.restarts:
            self.restarts = fitting
            self.note(
                f"{fitting} of {plan.restarts} restarts fit into {seconds_words(plan.seconds)}."
            )
        left = plan.seconds - (time.monotonic() - self._began)
        return turn_seconds(left, self.restarts - restart, self._start_s, plan.rounds * contenders)

    def _rounds(self) -> int:
        return self.restarts * self._plan.rounds

    def result(self, unquiet: str) -> Race:
        turns = {
            name: [restart for restart in turns if restart]
            for name, turns in self._turns.items()
            if name not in self._failures
        }
        latency = {name: latency_of(each, self._plan) for name, each in turns.items()}
        if unquiet:
            self.note(f"{TOO_NOISY}: {unquiet}.")
        for name, found in latency.items():
            if unlike := uneven(found.restart_spread):
                self._notes.append(Note(name, f"{TOO_NOISY}: {unlike}."))
        return Race(
            plan=self._plan,
            turns=turns,
            latency=latency,
            footprints={name: self._footprints[name] for name in turns},
            failures=dict(self._failures),
            unrest=unquiet,
            notes=tuple(self._notes),
        )

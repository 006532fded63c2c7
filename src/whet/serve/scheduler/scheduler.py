"""The scheduler of one model: admits, orders, batches, chooses the variant, refuses; knows no clock.

Theory of operation. A request is admitted only where the work ahead of it, done by the fastest
variant, leaves time for its own. Admitted requests wait in one order (`waiting`). Whenever a worker
is idle, those that can't be answered in time any more are given up, and of the others the first is
taken with as many of its kind as make nobody late, on the most accurate variant that would get all
that waits done in time (`rules`). The worker waits for more only where that pays. What a batch took
is told back, so that the next is planned by it.

The shell around it calls `admit`, `step` and `done` with the time, runs what `step` says, and comes
back at the time that it names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from whet.serve.scheduler.rate import Rate
from whet.serve.scheduler.rules import Choice, accurate_enough_in_time, gathered, may_wait_until
from whet.serve.scheduler.waiting import Queue, Waiting

__all__ = ["Batch", "Policy", "Refusal", "Scheduler", "Step"]


@dataclass(frozen=True)
class Policy:
    """How requests are treated.

    Attributes:
        margin_s: kept free before each deadline, for what isn't the engine's time.
        priority_s: by how much a step of priority comes later.
        most_waiting_rows: beyond which nothing is admitted.
    """

    margin_s: float = 0.0005
    priority_s: float = 0.05
    most_waiting_rows: int = 4096


@dataclass(frozen=True)
class Refusal:
    """Why a request isn't admitted.

    Attributes:
        full: there is no room; else it would be late.
        retry_after_s: when it may be asked again.
    """

    full: bool
    retry_after_s: float


@dataclass(frozen=True)
class Batch:
    """Requests that run together.

    Attributes:
        number: of the batch.
        requests: in order.
        choice: place of the variant.
        rows: of all requests.
        filled: rows that are run, the last repeated; more where that is seen to be faster.
        end_s: when it should be done.
    """

    number: int
    requests: tuple[Waiting, ...]
    choice: int
    rows: int
    filled: int
    end_s: float


@dataclass(frozen=True)
class Step:
    """What is to be done now.

    Attributes:
        run: batches, each on an idle worker.
        late: requests that are given up.
        wake_s: when to ask again, if nothing happens before; ``None`` for not by itself.
    """

    run: tuple[Batch, ...]
    late: tuple[Waiting, ...]
    wake_s: float | None


class Scheduler:
    """The requests of one model.

    Args:
        choices: variants from the most accurate to the fastest.
        workers: batches that run at once.
        policy: how requests are treated.
    """

    def __init__(
        self, choices: Sequence[Choice], *, workers: int = 1, policy: Policy | None = None
    ) -> None:
        self.choices = tuple(choices)
        self.policy = policy if policy is not None else Policy()
        self._workers = workers
        self._queue = Queue()
        self._running: dict[int, Batch] = {}
        self._rate = Rate()
        self._batches = 0

    @property
    def waiting_rows(self) -> int:
        """Rows of all that waits."""
        return self._queue.rows

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._queue and not self._running

    def admit(self, request: Waiting, level: int, now_s: float) -> Refusal | None:
        """Let a request wait for its turn, if it can be answered in time.

        Args:
            request: whose place is found here.
            level: of priority: 0 is the most important.
            now_s: the time.
        """
        self._rate.arrived(request.rows, now_s)
        if self._queue.rows + request.rows > self.policy.most_waiting_rows and self._queue.rows:
            return Refusal(full=True, retry_after_s=self._clears_s(self._queue.rows, now_s))
        placed = replace(request, place_s=request.arrived_s + level * self.policy.priority_s)
        ahead = self._queue.rows_before(placed)
        end_s = now_s + self._clears_s(ahead, now_s) + self._together_s(ahead + request.rows)
        late_s = end_s + self.policy.margin_s - request.deadline_s
        if late_s > 0:
            return Refusal(full=False, retry_after_s=late_s)
        self._queue.put(placed)
        return None

    def again(self, request: Waiting) -> None:
        """Let a member of a batch that failed wait once more, by itself."""
        self._queue.put(replace(request, kind=("alone", request.number)))

    def withdraw(self, number: int) -> bool:
        """Forget a request that waits; false where it runs already, or isn't known."""
        return self._queue.withdrawn(number) is not None

    def step(self, now_s: float) -> Step:
        """What is to be done now."""
        late = self._given_up(now_s)
        run: list[Batch] = []
        wake_s: float | None = None
        while self._queue and len(self._running) < self._workers:
            choice, requests = self._next(now_s)
            wake_s = may_wait_until(
                self.choices[choice],
                requests,
                now_s,
                rate=self._rate.at(now_s),
                workers=self._workers,
                margin_s=self.policy.margin_s,
            )
            if wake_s is not None:
                break
            run.append(self._begun(choice, requests, now_s))
        if wake_s is None and self._queue:
            wake_s = self._next_loss_s()
        return Step(tuple(run), late, wake_s)

    def done(self, batch: Batch, took_s: float | None) -> None:
        """A batch has ended, after so long; ``None`` where it failed."""
        del self._running[batch.number]
        if took_s is not None:
            self.choices[batch.choice].times.told(batch.filled, took_s)

    def _next(self, now_s: float) -> tuple[int, tuple[Waiting, ...]]:
        choice = accurate_enough_in_time(
            self.choices,
            self._queue,
            now_s,
            workers=self._workers,
            margin_s=self.policy.margin_s,
        )
        candidates = self._queue.first_of_kind()
        return choice, gathered(self.choices[choice], candidates, now_s, self.policy.margin_s)

    def _begun(self, choice: int, requests: tuple[Waiting, ...], now_s: float) -> Batch:
        for request in requests:
            self._queue.take(request)
        chosen, rows = self.choices[choice], sum(r.rows for r in requests)
        filled = chosen.times.filled(rows, chosen.most_rows)
        self._batches += 1
        end_s = now_s + chosen.times.of(filled)
        batch = Batch(self._batches, requests, choice, rows, filled, end_s)
        self._running[batch.number] = batch
        return batch

    def _given_up(self, now_s: float) -> tuple[Waiting, ...]:
        """Take out those that not even the fastest variant would answer in time."""
        late = []
        for request in self._queue.by_deadline():
            if now_s <= self._latest_s(request):
                break  # one after it that is larger is found when it comes first
            self._queue.take(request)
            late.append(request)
        return tuple(late)

    def _next_loss_s(self) -> float | None:
        latest_s = self._latest_s(next(self._queue.by_deadline()))
        return math.nextafter(latest_s, math.inf) if math.isfinite(latest_s) else None

    def _latest_s(self, request: Waiting) -> float:
        """When a request has to be begun by the fastest variant."""
        return request.deadline_s - self._own_s(request.rows)

    def _own_s(self, rows: int) -> float:
        return self.choices[-1].times.of(rows)

    def _together_s(self, rows: int) -> float:
        """Seconds of the batch that a request will be part of, behind so many rows with its own.

        Under load that is a full one. Who is left time for it when it is admitted doesn't keep
        later batches small.
        """
        fastest = self.choices[-1]
        return fastest.times.of(min(rows, fastest.times.busiest(fastest.reach())))

    def _clears_s(self, rows: int, now_s: float) -> float:
        """Seconds until so many rows are done by the fastest variant, after what runs now."""
        fastest = self.choices[-1]
        size = fastest.times.busiest(fastest.reach())
        free_s = 0.0
        if len(self._running) >= self._workers:
            free_s = max(0.0, min(batch.end_s for batch in self._running.values()) - now_s)
        return free_s + rows / size * fastest.times.of(size) / self._workers

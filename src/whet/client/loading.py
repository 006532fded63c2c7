"""A load test of a service: what to ask, at which rates, and what came of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from whet.client.calls import Inputs
from whet.client.payloads import made_up, samples_in
from whet.client.retries import Retries
from whet.client.waiting import AsyncClient
from whet.errors import OptionError
from whet.measure.load.arrivals import Seconds, bursts, evenly, poisson, traced
from whet.measure.load.asking import by_schedule, in_turns, run
from whet.measure.load.highest import Tried, highest_kept, keeps, next_rate
from whet.measure.load.outcome import Load, load_of

__all__ = ["NO_RETRIES", "Arrivals", "LoadTest", "Loaded", "loaded"]

NO_RETRIES = Retries(most=0)
"""For clients whose requests are measured: a retry would hide what is."""

_WARM_S = 1.0
_PAUSE_S = 0.5  # between rates, so that one's queue doesn't slow down the next


@dataclass(frozen=True)
class Arrivals:
    """How requests come.

    Attributes:
        pattern: ``"poisson"``, ``"bursts"``, ``"even"``, or ``"trace"``.
        times_s: of a trace.
    """

    pattern: str = "poisson"
    times_s: tuple[float, ...] = ()

    def due(self, rate_per_s: float, seconds: float, seed: int) -> Seconds:
        """The schedule at some rate.

        Raises:
            OptionError: it can't be followed.
        """
        if self.pattern == "trace":
            span_s = max(self.times_s) - min(self.times_s) if self.times_s else 0.0
            own = (len(self.times_s) - 1) / span_s if span_s > 0 else 1.0
            due = traced(self.times_s, faster=rate_per_s / own)
            return due[due < seconds]
        if self.pattern == "even":
            return evenly(rate_per_s, seconds)
        if self.pattern == "bursts":
            return bursts(rate_per_s, seconds, seed)
        return poisson(rate_per_s, seconds, seed)


@dataclass(frozen=True)
class LoadTest:
    """What to find out.

    Attributes:
        model: by name; the only one if empty.
        rate_per_s: requests a second, or the first of several; ``None`` for a closed loop.
        clients: of a closed loop.
        arrivals: how they come.
        seconds: of each load.
        limit_ms: within which an answer counts.
        percentile: of the requests that has to keep it.
        highest: whether to look for the highest rate at which it is kept.
        deadline_ms: that requests name; ``None`` for none.
        inputs: file or folder with samples; ``None`` for random ones.
        rows: of a request.
        seed: of schedule and samples.
    """

    model: str = ""
    rate_per_s: float | None = None
    clients: int = 1
    arrivals: Arrivals = Arrivals()
    seconds: float = 10.0
    limit_ms: float | None = None
    percentile: float = 99.0
    highest: bool = False
    deadline_ms: float | None = None
    inputs: Path | None = None
    rows: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Loaded:
    """What came of it.

    Attributes:
        model: that was asked.
        loads: in the order in which they were tried.
        highest_per_s: rate that was kept; ``None`` where none was, or none was looked for.
    """

    model: str
    loads: tuple[Load, ...]
    highest_per_s: float | None = None


def loaded(
    make: Callable[[], AsyncClient], test: LoadTest, *, on_load: Callable[[Load], None]
) -> Loaded:
    """Carry a load test out.

    Args:
        make: a client, on the event loop that will use it.
        test: what to find out.
        on_load: told of each load when it is over.

    Raises:
        ServeError: the server isn't there, or has no such model.
        SamplesError: there is nothing to ask it.
        OptionError: the test can't be carried out.
    """
    return run(_loaded(make, test, on_load))


async def _loaded(
    make: Callable[[], AsyncClient], test: LoadTest, on_load: Callable[[Load], None]
) -> Loaded:
    async with make() as client:
        model = test.model or await _only_model(client)
        asks = await _questions(client, model, test)
        ask = partial(_ask, client, model, asks, test.deadline_ms)
        await ask(0)  # if it can't be asked at all, that is said, and not measured
        await in_turns(ask, 1, _WARM_S)
        if test.rate_per_s is None:
            load = await _turns(ask, test)
            on_load(load)
            return Loaded(model, (load,))
        return await _rates(ask, model, test, test.rate_per_s, on_load)


async def _turns(ask: Callable[[int], Any], test: LoadTest) -> Load:
    asked, seconds = await in_turns(ask, test.clients, test.seconds)
    return load_of(asked, seconds, limit_ms=test.limit_ms, percentile=test.percentile)


async def _rates(
    ask: Callable[[int], Any],
    model: str,
    test: LoadTest,
    first_per_s: float,
    on_load: Callable[[Load], None],
) -> Loaded:
    """One rate; or one after another until the highest that is kept is known."""
    tried: list[Tried] = []
    loads: list[Load] = []
    rate: float | None = first_per_s
    while rate is not None:
        due = test.arrivals.due(rate, test.seconds, test.seed)
        asked = await by_schedule(ask, due)
        spread_s = test.seconds
        if test.arrivals.pattern == "trace":  # which may be over sooner
            spread_s = min(spread_s, float(due[-1]) + 1 / rate)
        load = load_of(asked, spread_s, limit_ms=test.limit_ms, percentile=test.percentile)
        on_load(load)
        loads.append(load)
        tried.append(Tried(rate, keeps(load)))
        rate = next_rate(tried, first_per_s) if test.highest else None
        if rate is not None:
            await asyncio.sleep(_PAUSE_S)
    return Loaded(model, tuple(loads), highest_kept(tried) if test.highest else None)


async def _ask(
    client: AsyncClient, model: str, asks: Sequence[Inputs], deadline_ms: float | None, number: int
) -> str:
    found = await client.infer(model, asks[number % len(asks)], timeout_ms=deadline_ms)
    return found.variant


async def _only_model(client: AsyncClient) -> str:
    names = sorted({entry["name"] for entry in await client.models()})
    if len(names) != 1:
        if not names:
            raise OptionError("The server has no model.", "Serve a bundle first.")
        raise OptionError("The server has several models.", f"Name one of {', '.join(names)}.")
    return str(names[0])


async def _questions(client: AsyncClient, model: str, test: LoadTest) -> list[Inputs]:
    metadata = await client.metadata(model)
    if test.inputs is None:
        return made_up(metadata, test.rows, test.seed)
    return samples_in(test.inputs, metadata, test.rows)

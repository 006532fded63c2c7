"""Load on a service as a verb."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from whet.api.telling import to_nobody
from whet.client.loading import NO_RETRIES, Arrivals, Loaded, LoadTest, loaded
from whet.client.waiting import AsyncClient
from whet.core.arguments import (
    count_of,
    flag_of,
    function_of,
    maybe,
    number_of,
    one_of,
    path_of,
    seconds_of,
    text_of,
    whole_of,
)
from whet.errors import OptionError
from whet.measure.load.outcome import Load

__all__ = ["bench_service"]

_PATTERNS = ("poisson", "bursts", "even")
_TIMEOUT_S = 60.0  # an answer that comes later is none
_MOST_CONNECTIONS = 900  # `select` takes a thousand files


def bench_service(
    url: str,
    *,
    model: str = "",
    rate_per_s: float | None = None,
    clients: int = 1,
    arrivals: str | Path = "poisson",
    seconds: float = 10.0,
    limit_ms: float | None = None,
    percentile: float = 99.0,
    find_highest: bool = False,
    deadline_ms: float | None = None,
    inputs: str | Path | None = None,
    rows: int = 1,
    key: str | None = None,
    ca_file: str | Path | None = None,
    seed: int = 0,
    on_load: Callable[[Load], None] | None = None,
) -> Loaded:
    """Load a service of the Open Inference Protocol, and see what it carries.

    Latency runs from when a request was due, so that a slow answer is paid for by those who would
    have come meanwhile.

    Args:
        url: ``http://host:port``, ``https://...`` or ``unix:/path``.
        model: by name; the only one if left out.
        rate_per_s: requests a second; left out, ``clients`` ask again as soon as they are answered.
        clients: of that closed loop.
        arrivals: ``"poisson"``, ``"bursts"``, ``"even"``, or a file with one time in seconds a
            line, which is followed at ``rate_per_s``.
        seconds: of each load.
        limit_ms: within which an answer counts.
        percentile: of the requests that has to keep it.
        find_highest: look for the highest rate at which it is kept, from ``rate_per_s`` on.
        deadline_ms: that requests name, so that the server refuses what would come later.
        inputs: an ``.npz`` file with the model's inputs, a folder of pictures, or a file with one
            text a line; random numbers if left out.
        rows: of a request.
        key: that the server asks for.
        ca_file: certificates that the server's own is signed by.
        seed: of schedule and random numbers.
        on_load: told of each load when it is over.

    Raises:
        ServeError: the server isn't there, or has no such model.
        SamplesError: there is nothing to ask it.
        OptionError: an argument of the wrong type, or a test that can't be carried out.
    """
    rate = maybe(number_of, "rate_per_s", rate_per_s)
    limit = maybe(seconds_of, "limit_ms", limit_ms)
    highest = flag_of("find_highest", find_highest)
    if highest and (limit is None or rate is None):
        raise OptionError("A highest rate takes a limit and a first rate.", "Give both.")
    test = LoadTest(
        model=text_of("model", model),
        rate_per_s=rate,
        clients=_clients(clients),
        arrivals=_arrivals(arrivals),
        seconds=seconds_of("seconds", seconds),
        limit_ms=limit,
        percentile=_percentile(percentile),
        highest=highest,
        deadline_ms=maybe(seconds_of, "deadline_ms", deadline_ms),
        inputs=maybe(path_of, "inputs", inputs),
        rows=count_of("rows", rows),
        seed=whole_of("seed", seed),
    )
    place, secret = text_of("url", url), maybe(text_of, "key", key)
    certificates = maybe(path_of, "ca_file", ca_file)

    def client() -> AsyncClient:
        return AsyncClient(
            place,
            key=secret,
            timeout_s=_TIMEOUT_S,
            retries=NO_RETRIES,
            ca_file=certificates,
            most=_MOST_CONNECTIONS,
        )

    tell = function_of("on_load", on_load) if on_load is not None else to_nobody
    return loaded(client, test, on_load=tell)


def _arrivals(value: str | Path) -> Arrivals:
    if isinstance(value, str) and value in _PATTERNS:
        return Arrivals(one_of("arrivals", value, _PATTERNS))
    file = path_of("arrivals", value)
    try:
        times = tuple(float(line) for line in file.read_text(encoding="utf-8").split())
    except (OSError, ValueError) as error:
        raise OptionError(
            f"arrivals={str(value)!r} is no file with times: {error}.",
            f"Give one of {', '.join(_PATTERNS)}, or a file with one time in seconds a line.",
        ) from error
    return Arrivals("trace", times)


def _percentile(value: object) -> float:
    percentile = number_of("percentile", value)
    if not 0 < percentile < 100:
        raise OptionError(f"percentile={percentile} is none.", "Give one such as 99.")
    return percentile


def _clients(value: object) -> int:
    clients = count_of("clients", value)
    if clients > _MOST_CONNECTIONS:
        raise OptionError(
            f"clients={clients} are more than one process has connections for.",
            f"Take {_MOST_CONNECTIONS} at most, or give a rate.",
        )
    return clients

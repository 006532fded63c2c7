"""Jobs beside candidates, in processes of their own, that a search can do without."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from whet.errors import StorageError, WhetError
from whet.search.ladder.trials import Trials
from whet.search.setup import Setup
from whet.search.workers.isolate import run_isolated

__all__ = ["side_job"]

_LEAST_S, _MOST_S = 20.0, 900.0

T = TypeVar("T")


def side_job(
    setup: Setup,
    trials: Trials,
    target: str,
    job: msgspec.Struct,
    result: type[T],
    *,
    where: str,
    failing: str,
) -> T | None:
    """Do a job in a worker, within what is left for climbing; ``None`` where it fails.

    Args:
        setup: of the search.
        trials: so far; a failure becomes a remark.
        target: see `whet.search.workers.isolate.run_isolated`.
        job: the function's argument.
        result: of what type its result is.
        where: the remark belongs to.
        failing: what a failure means, as the beginning of the remark.

    Raises:
        StorageError: nothing can be written any more.
        Stopped: the user asked to stop.
    """
    try:
        return run_isolated(
            target,
            job,
            result,
            timeout_s=max(_LEAST_S, min(_MOST_S, trials.climbing_s())),
            memory_bytes=setup.memory_bytes,
            cores=setup.cores,
            cancel=trials.stop.asked,
        ).value
    except StorageError:
        raise
    except WhetError as error:
        trials.tell.remark(where, f"{failing}: {error.message}")
        return None

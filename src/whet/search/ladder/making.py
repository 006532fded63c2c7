"""Makes a candidate's engine in a process of its own: its passes, then the runtime's compiler."""

from __future__ import annotations

import threading

from whet.core.lesson import Tell
from whet.core.recipe import Recipe
from whet.search.setup import Setup
from whet.search.workers.isolate import run_isolated
from whet.search.workers.jobs import Made, MakeJob

__all__ = ["engine_for"]

_LEAST_S = 20.0
_MOST_S = 600.0


def engine_for(
    setup: Setup,
    recipe: Recipe,
    left_s: float,
    cancel: threading.Event,
    heard: Tell | None = None,
) -> Made:
    """Build the graph of a recipe and compile it, unless that was done before.

    Args:
        setup: of the search.
        recipe: what to make.
        left_s: time left for it; between 20 s and 10 min are given, and more only to learn.
        cancel: setting it ends the process.
        heard: told how far its network has come, where that learns.

    Raises:
        WhetError: as the pass or the runtime says, or how the process ended.
        Stopped: cancelled.
    """
    job = MakeJob(
        steps=recipe.steps,
        ground=setup.ground,
        runtime=recipe.runtime,
        settings=recipe.settings,
        cache=str(setup.cache),
        workdir=str(setup.workdir / "built" / recipe.build_digest()),
        shelf=str(setup.workdir / "built"),
        sizes=setup.sizes,
    )
    return run_isolated(
        "whet.search.workers.jobs:make_engine",
        job,
        Made,
        timeout_s=max(_LEAST_S, left_s if recipe.learns else min(_MOST_S, left_s)),
        memory_bytes=setup.memory_bytes,
        cores=setup.cores,
        cancel=cancel,
        heard=heard,
    ).value

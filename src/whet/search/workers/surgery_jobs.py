"""What runs in worker processes for surgery: menus of a network, and what their blocks take."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.recipe import Step
from whet.core.room import temporary_folder
from whet.core.settings import Settings
from whet.core.spec import Arrays
from whet.errors import PassError
from whet.optimize.network import menu as menus
from whet.runtimes.base import Session
from whet.search.workers.built import built_graph, keep
from whet.search.workers.ground import Ground

__all__ = [
    "Costs",
    "CostsJob",
    "MenusJob",
    "Pace",
    "PaceJob",
    "WholesJob",
    "block_costs",
    "learning_pace",
    "network_menus",
    "network_wholes",
]

_ROUNDS = (10, 60)  # at least and at most
_SECONDS = 12.0  # after which no further round is begun


class MenusJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network whose blocks are to get menus; see `whet.optimize.network.menu`."""

    ground: Ground
    plan: menus.MenuPlan
    workdir: str
    shelf: str


class WholesJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network of which is asked what it may become as a whole, within some seconds."""

    ground: Ground
    plan: menus.WholePlan
    workdir: str
    shelf: str
    seconds: float


class CostsJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Blocks to time in turn: each a graph with one request beside it."""

    graphs: tuple[Artifact, ...]
    steps: tuple[Step, ...]
    runtime: str
    settings: Settings
    cache: str
    threads: int
    seed: int


class PaceJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network that was changed, of which is asked how fast it learns."""

    ground: Ground
    steps: tuple[Step, ...]
    batch: int
    workdir: str
    shelf: str


class Pace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds that one step of learning takes."""

    step_s: float


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Median ms of each graph, in their order."""

    ms: tuple[float, ...]


def network_menus(job: MenusJob) -> menus.Choices:
    """The menus of a network, kept beside their graphs.

    Raises:
        RequirementError: there is nothing to choose.
        ExportError: the program can't be put back into layers.
    """
    from whet._optional import require

    network = require("whet.optimize.network.net", "change a network")
    make = require("whet.optimize.network.choices", "change a network")
    done = Path(job.workdir) / "menus.json"
    if done.exists():
        return msgspec.json.decode(done.read_bytes(), type=menus.Choices)
    ctx = _context(job)
    found: menus.Choices = make.choices_of(network.opened(ctx.program), ctx, job.plan)
    keep(done, found)
    return found


def network_wholes(job: WholesJob) -> menus.Wholes:
    """What the network may become as a whole, kept beside its graphs.

    Raises:
        ExportError: the program can't be put back into layers.
    """
    from whet._optional import require

    network = require("whet.optimize.network.net", "change a network")
    whole = require("whet.optimize.network.whole", "change a network")
    done = Path(job.workdir) / "wholes.json"
    if done.exists():
        return msgspec.json.decode(done.read_bytes(), type=menus.Wholes)
    ctx = _context(job)
    found: menus.Wholes = whole.wholes_of(network.opened(ctx.program), ctx, job.plan, job.seconds)
    keep(done, found)
    return found


def learning_pace(job: PaceJob) -> Pace:
    """How fast a changed network learns here.

    Raises:
        PassError: a pass refused the network.
    """
    from whet._optional import require
    from whet.core.passes import Pipeline, run
    from whet.optimize.build import pass_of

    network = require("whet.optimize.network.net", "change a network")
    distill = require("whet.optimize.network.distill", "teach a network")
    ctx = _context(job)
    changed = run(Pipeline(tuple(map(pass_of, job.steps))), network.opened(ctx.program), ctx)
    return Pace(distill.step_s(changed.model, ctx, job.batch))


def _context(job: MenusJob | WholesJob | PaceJob) -> Context:
    for needed in (job.workdir, job.shelf):
        Path(needed).mkdir(parents=True, exist_ok=True)
    return job.ground.context(job.workdir, job.shelf)


def block_costs(job: CostsJob) -> Costs:
    """Time blocks in turn, one request of each per round.

    Between two requests of one block all others run, as they do in a whole network: its weights
    come from where they lie then.

    Raises:
        EngineError: a block can't be compiled or run.
    """
    from whet.runtimes.cache import EngineCache
    from whet.runtimes.registry import get

    runtime, cache = get(job.runtime), EngineCache(Path(job.cache))
    with ExitStack() as opened:
        folder = opened.enter_context(temporary_folder("whet-blocks-"))
        asked: list[tuple[Session, Arrays]] = []
        for place, graph in enumerate(job.graphs):
            with np.load(graph.file.with_name(menus.REQUEST)) as file:
                request = dict(file)
            made = _with_passes(job, graph, request, folder / str(place))
            session, _ = cache.opened(runtime, made, _unfixed(job.settings))
            opened.enter_context(session)
            asked.append((session, request))
        return Costs(tuple(_in_turn(asked)))


def _with_passes(job: CostsJob, graph: Artifact, request: Arrays, folder: Path) -> Artifact:
    """A block with the candidate's own passes; as it is where they have nothing to do in it."""
    ctx = Context(folder, graph, _Request(request), job.threads, job.seed)
    try:
        return built_graph(job.steps, graph, ctx, folder / "shelf").graph
    except PassError:
        return graph


def _unfixed(settings: Settings) -> Settings:
    """The settings for a block, whose sizes are fixed as they are."""
    return msgspec.structs.replace(settings, fixed={}, round_up={})


class _Request:
    """One request as samples for passes that look at some; whatever is asked for, it is given."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays

    def __len__(self) -> int:
        return 1

    def batches(self, size: int, limit: int | None = None) -> Iterator[Arrays]:  # noqa: ARG002  # blocks take no other size
        yield self._arrays

    def rows(self, indices: NDArray[np.integer]) -> Arrays:  # noqa: ARG002  # there is one
        return self._arrays


def _in_turn(asked: list[tuple[Session, Arrays]]) -> list[float]:
    took: list[list[float]] = [[] for _ in asked]
    for session, request in asked:
        session.run(request)
    least, most = _ROUNDS
    began = time.perf_counter()
    gc.disable()  # a collection would fall on any block
    for done in range(most):
        if done >= least and time.perf_counter() - began > _SECONDS:
            break
        for (session, request), ms in zip(asked, took, strict=True):
            start = time.perf_counter_ns()
            session.run(request)
            ms.append((time.perf_counter_ns() - start) / 1e6)
    gc.enable()
    return [statistics.median(ms) for ms in took]

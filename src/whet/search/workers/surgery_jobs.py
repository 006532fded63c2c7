"""What runs in worker processes for surgery: menus of a network, and what their blocks take."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np

from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.recipe import Step
from whet.core.room import temporary_folder
from whet.core.settings import Settings
from whet.core.spec import Arrays
from whet.optimize.network.exits.point import Points
from whet.optimize.network.menus import menu as menus
from whet.search.workers.built import keep
from whet.search.workers.ground import Ground
from whet.search.workers.in_turn import in_turn_ms, with_passes

__all__ = [
    "MENUS",
    "Costs",
    "CostsJob",
    "ExitsJob",
    "MenusJob",
    "Pace",
    "PaceJob",
    "WholesJob",
    "block_costs",
    "learning_pace",
    "network_exits",
    "network_menus",
    "network_wholes",
]

MENUS = "menus.json"  # in the folder of a menus' job: what it found


class MenusJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network whose blocks are to get menus; see `whet.optimize.network.menus.menu`."""

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
    """Blocks to time in turn: each a graph with one request beside it.

    Where ``seconds`` are said, the first ones that there is time for.
    """

    graphs: tuple[Artifact, ...]
    steps: tuple[Step, ...]
    runtime: str
    settings: Settings
    cache: str
    threads: int
    seed: int
    seconds: float | None = None


class PaceJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network of which is asked how fast it learns; ``rounded`` while it rounds to 8 bits."""

    ground: Ground
    steps: tuple[Step, ...]
    batch: int
    workdir: str
    shelf: str
    rounded: bool = False


class ExitsJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network of which is asked where it can end early."""

    ground: Ground
    workdir: str
    shelf: str


class Pace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds that one step of learning takes."""

    step_s: float


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Median ms of each graph, in their order; of the first ones where time was short."""

    ms: tuple[float, ...]


def network_menus(job: MenusJob) -> menus.Choices:
    """The menus of a network, kept beside their graphs.

    Raises:
        RequirementError: there is nothing to choose.
        ExportError: the program can't be put back into layers.
    """
    from whet._optional import require

    network = require("whet.optimize.network.structure.net", "change a network")
    make = require("whet.optimize.network.menus.choices", "change a network")
    done = Path(job.workdir) / MENUS
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

    network = require("whet.optimize.network.structure.net", "change a network")
    whole = require("whet.optimize.network.menus.whole", "change a network")
    done = Path(job.workdir) / "wholes.json"
    if done.exists():
        return msgspec.json.decode(done.read_bytes(), type=menus.Wholes)
    ctx = _context(job)
    found: menus.Wholes = whole.wholes_of(network.opened(ctx.program), ctx, job.plan, job.seconds)
    keep(done, found)
    return found


def network_exits(job: ExitsJob) -> Points:
    """The blocks that the network can end behind.

    Raises:
        ExportError: the program can't be put back into layers.
    """
    from whet._optional import require

    network = require("whet.optimize.network.structure.net", "change a network")
    ending = require("whet.optimize.network.exits.ending", "change a network")
    found: Points = ending.points_of(network.opened(_context(job).program))
    return found


def learning_pace(job: PaceJob) -> Pace:
    """How fast a network learns here.

    Raises:
        PassError: a pass refused the network.
    """
    from whet._optional import require
    from whet.core.passes import Pipeline, run
    from whet.optimize.build import pass_of

    network = require("whet.optimize.network.structure.net", "change a network")
    name = "learn_int8" if job.rounded else "distill"
    learning = require(f"whet.optimize.network.{name}", "teach a network")
    ctx = _context(job)
    net = network.opened(ctx.program)
    if job.steps:
        net = run(Pipeline(tuple(map(pass_of, job.steps))), net, ctx).model
    return Pace(learning.step_s(net, ctx, job.batch))


def _context(job: MenusJob | WholesJob | PaceJob | ExitsJob) -> Context:
    for needed in (job.workdir, job.shelf):
        Path(needed).mkdir(parents=True, exist_ok=True)
    return job.ground.context(job.workdir, job.shelf)


def block_costs(job: CostsJob) -> Costs:
    """Time blocks in turn, as they run in a whole network.

    Raises:
        EngineError: a block can't be compiled or run.
    """
    with temporary_folder("whet-blocks-") as folder:
        asked = (_asked(job, graph, folder / str(i)) for i, graph in enumerate(job.graphs))
        seconds = math.inf if job.seconds is None else job.seconds
        settings = _unfixed(job.settings)
        return Costs(tuple(in_turn_ms(asked, job.runtime, settings, job.cache, seconds)))


def _asked(job: CostsJob, graph: Artifact, folder: Path) -> tuple[Artifact, Arrays]:
    with np.load(graph.file.with_name(menus.REQUEST)) as file:
        request = dict(file)
    threads, seed = job.threads, job.seed
    return with_passes(graph, request, job.steps, folder, threads=threads, seed=seed), request


def _unfixed(settings: Settings) -> Settings:
    """The settings for a block, whose sizes are fixed as they are."""
    return msgspec.structs.replace(settings, fixed={}, round_up={})

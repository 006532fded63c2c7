"""What runs in worker processes: exporting the network and making engines.

Each function takes and returns closed structs, so that it can be started by
`whet.search.workers.isolate.run_isolated` with a time and a memory limit. Nothing else
in the search imports torch, onnx or a compiler.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from whet.core.artifact import Artifact
from whet.core.lesson import Tell, untold
from whet.core.note import Note
from whet.core.recipe import Step
from whet.core.settings import Settings
from whet.core.spec import TensorSpec
from whet.data.store import StoreRef, open_ref
from whet.data.transform import Transform
from whet.errors import RequirementError
from whet.optimize.graph.quantize.sensitivity import Sensitivity
from whet.optimize.graph.traffic import Traffic
from whet.search.workers.built import BuiltGraph, Counts, built, built_graph, keep
from whet.search.workers.ground import Ground

if TYPE_CHECKING:
    import torch

__all__ = [
    "DescribeJob",
    "Described",
    "ExportJob",
    "Exported",
    "Made",
    "MakeJob",
    "SensitivityJob",
    "describe",
    "export_network",
    "export_source",
    "make_engine",
    "sensitivity",
]


_COMPILED_AT_EACH_START = (
    "What it keeps of this graph when compiled would not answer as the graph does, so the graph"
    " itself is compiled at each start."
)
_RARELY = (100_000, 50, 100)  # against (700, 10, 10)


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Crosses a process border."""


class DescribeJob(_Message, frozen=True):
    """Which network to look at."""

    source: str
    weights: str | None


class Described(_Message, frozen=True):
    """What a network's source says of it before any sample is read.

    Attributes:
        inputs: its inputs, where the file states them.
        transform: how its inputs are made, where the directory says so.
        task: ``"classifier"`` or ``"encoder"``, where that is known.
        classes: names of its classes by index, where the directory says them.
        untransformed: why there is no transform, where the directory says so.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    transform: Transform | None
    task: str | None
    classes: tuple[str, ...] = ()
    untransformed: str = ""


class ExportJob(_Message, frozen=True):
    """A network on disk and samples of its inputs; ``ignore`` names outputs nobody compares."""

    source: str
    weights: str | None
    feed: StoreRef
    transform: Transform | None
    workdir: str
    seed: int
    ignore: tuple[str, ...] = ()


class Exported(_Message, frozen=True):
    """The network as files: the graph, and the program where it came from torch.

    ``macs``, ``bytes_moved`` and ``wide_bytes`` are those of one row, counted at ``sizes``
    of the symbols; ``weight_bytes`` are the weights'; ``dropped`` are ignored outputs left out;
    ``uncounted`` are operators whose arithmetic the counts leave out.
    """

    name: str
    graph: Artifact
    program: Artifact | None
    parameters: int
    macs: int
    bytes_moved: int
    kind: str
    task: str | None
    notes: tuple[Note, ...]
    wide_bytes: int = 0
    weight_bytes: int = 0
    sizes: dict[str, int] = {}
    dropped: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()


class MakeJob(_Message, frozen=True):
    """A recipe to carry out: passes over the graph, then the runtime's compiler.

    ``workdir`` is the graph's own folder, ``shelf`` where those of all graphs stand; ``sizes``
    are those of symbols to count the new graph's memory traffic at.
    """

    steps: tuple[Step, ...]
    ground: Ground
    runtime: str
    settings: Settings
    cache: str
    workdir: str
    shelf: str
    sizes: dict[str, int] = {}


class Made(_Message, frozen=True):
    """The new graph and the compiled engine.

    ``traffic`` is that of a graph that passes made, where it could be counted; ``counts`` are
    those of a graph whose layers aren't the original's.
    """

    graph: Artifact
    engine: str
    notes: tuple[Note, ...]
    traffic: Traffic | None = None
    counts: Counts | None = None


class SensitivityJob(_Message, frozen=True):
    """Which quantiser's damage to find, layer by layer."""

    before: tuple[Step, ...]
    quantiser: Step
    ground: Ground
    runtime: str
    workdir: str
    shelf: str


def describe(job: DescribeJob) -> Described:
    """Read what a model file or directory says of itself."""
    from whet.optimize.intake import load_network

    found = load_network(job.source, weights=job.weights)
    task = found.task.value if found.task is not None else None
    return Described(
        found.name, found.inputs, found.transform, task, found.classes, found.untransformed()
    )


def export_network(job: ExportJob) -> Exported:
    """Load the network, fold its transform in and export it; for a process of its own.

    Raises:
        NetworkError, ExportError: with the cause in one sentence.
    """
    # A trace is millions of small objects that live to its end: looking among them for cycles
    # as often as usual takes up to a quarter of the whole export.
    gc.set_threshold(*_RARELY)
    return export_source(job.source, job)


def export_source(source: str | torch.nn.Module, job: ExportJob) -> Exported:
    """As `export_network`, for a network that may be in memory already."""
    from whet.optimize.front import export_front
    from whet.optimize.intake import load_network

    network = load_network(source, weights=job.weights)
    store, folder = open_ref(job.feed), Path(job.workdir)
    front = export_front(network, store, job.transform, folder, job.seed, job.ignore)
    return Exported(
        name=network.name,
        graph=front.graph,
        program=front.program,
        parameters=front.facts.parameters,
        macs=front.facts.macs,
        bytes_moved=front.facts.bytes_moved,
        kind=front.kind,
        task=network.task.value if network.task is not None else None,
        notes=network.notes + front.notes,
        wide_bytes=front.facts.wide_bytes,
        weight_bytes=front.facts.weight_bytes,
        sizes=front.facts.sizes,
        dropped=front.dropped,
        uncounted=front.facts.unknown,
    )


def make_engine(job: MakeJob, tell: Tell = untold) -> Made:
    """Build the graph (once per list of passes) and compile it (once per settings).

    Args:
        job: what to make.
        tell: told how far a network has come that learns.

    Raises:
        PassError, EngineError, OptionError: as the pass or runtime says; also where the
            passes change nothing, since that engine is the untouched graph's.
    """
    from whet.runtimes.cache import EngineCache
    from whet.runtimes.registry import get
    from whet.runtimes.seal import is_graph_itself

    ground = job.ground
    if ground.program is not None and job.runtime in {"torch", "inductor"}:
        made = BuiltGraph(ground.program, ())
    else:
        ctx = ground.context(job.workdir, job.shelf, tell)
        made = built(job.steps, ground.graph, ctx, Path(job.shelf), job.sizes)
    graph = made.graph
    runtime = get(job.runtime)
    engine = EngineCache(Path(job.cache)).compiled(runtime, graph, job.settings)
    notes = made.notes
    if runtime.bakes and is_graph_itself(engine, graph):
        notes += (Note(runtime.name, _COMPILED_AT_EACH_START),)
    return Made(graph, str(engine), notes, traffic=made.traffic, counts=made.counts)


def sensitivity(job: SensitivityJob) -> Sensitivity:
    """The damage that each group of quantised layers does alone.

    Raises:
        PassError: the graph can't be quantised like this.
    """
    from whet.optimize.build import pass_of
    from whet.optimize.graph.quantize.nncf import NncfOptions
    from whet.optimize.graph.quantize.restore import opener
    from whet.optimize.graph.quantize.sensitivity import group_damage

    folder = Path(job.workdir)
    done = folder / "sensitivity.json"
    if done.exists():  # found by a search with another floor on the same samples
        return msgspec.json.decode(done.read_bytes(), type=Sensitivity)
    folder.mkdir(parents=True, exist_ok=True)
    ctx = job.ground.context(folder, job.shelf)
    graph = built_graph(job.before, job.ground.graph, ctx, Path(job.shelf)).graph
    quantiser = pass_of(job.quantiser)
    if not isinstance(quantiser, NncfOptions):
        raise RequirementError(
            f"The layers of '{job.quantiser.name}' can't be ranked.", "Quantise by NNCF."
        )
    found = group_damage(graph, quantiser, ctx, opener(job.runtime, ctx.threads))
    keep(done, found)
    return found

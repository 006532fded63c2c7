"""One thing that is measured: a graph or engine with its runtime and settings."""

from __future__ import annotations

from pathlib import Path

import msgspec

from whet.core.artifact import Artifact
from whet.core.cascade import Confidence, Gate
from whet.core.settings import Settings
from whet.errors import EngineError
from whet.runtimes.seal import Seal, is_graph_itself, seal_path

__all__ = ["Contender", "Early", "Stages", "disk_bytes"]


class Contender(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A competitor in a race.

    Attributes:
        name: unique in one race.
        runtime: registered name of the runtime.
        graph: what the engine was made from.
        engine: path of the compiled engine or of the graph's own file; ``None`` lets the process
            that measures compile it into a temporary folder first.
        settings: of the runtime.
        stages: those in front of it, where it is the last stage of a cascade.
    """

    name: str
    runtime: str
    graph: Artifact
    engine: str | None
    settings: Settings
    stages: Stages | None = None


class Early(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An early stage: an engine that is there already, and when a row leaves it."""

    contender: Contender
    gate: Gate


class Stages(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The early stages of a cascade in their order, and where their confidence is read."""

    early: tuple[Early, ...]
    confidence: Confidence


def disk_bytes(contender: Contender) -> int:
    """Size of the files that must be shipped: the engine with its side files, or the graph.

    Of a cascade those of all stages.

    Raises:
        EngineError: a file is missing.
    """
    if contender.stages is not None:
        last = msgspec.structs.replace(contender, stages=None)
        return sum(map(disk_bytes, (*(e.contender for e in contender.stages.early), last)))
    try:
        if contender.engine is None or is_graph_itself(Path(contender.engine), contender.graph):
            return contender.graph.size_bytes()
        engine = Path(contender.engine)
        seal = seal_path(engine)
        if not seal.is_file():
            return engine.stat().st_size
        sealed = msgspec.json.decode(seal.read_bytes(), type=Seal)
        return sum(file.size_bytes for file in sealed.files)
    except (OSError, msgspec.DecodeError) as error:
        raise EngineError(
            f"The files of '{contender.name}' can't be read ({error}).", "Compile it again."
        ) from error

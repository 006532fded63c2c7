"""The original's own answers: what every candidate is compared with.

A network that came from torch is run by torch, as its program was captured;
one that came as ONNX by ONNX Runtime with every rewriting off. Answers are
computed once per part of the samples and kept on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from whet.core.artifact import Artifact
from whet.core.settings import GraphLevel, Settings
from whet.core.spec import Arrays
from whet.data.store import SampleStore
from whet.measure.contender import Contender
from whet.search.answers import answers_of, seconds_of
from whet.search.workers.jobs import Exported

__all__ = ["References"]

# Of how long the original takes nothing is known before its first answers.
_FIRST_S = 3600.0


class References:
    """Runs the original, once per part.

    Args:
        exported: the network as files.
        folder: where the answers are kept.
        cores: to run on.
        memory_bytes: limit of the process.
    """

    def __init__(
        self, exported: Exported, folder: Path, cores: tuple[int, ...], memory_bytes: int
    ) -> None:
        self._folder = folder
        self._cores = cores
        self._memory_bytes = memory_bytes
        self.original = _original(exported, len(cores))

    def outputs(
        self,
        part: SampleStore,
        while_waiting: Callable[[], None] | None = None,
        *,
        limit_s: float = _FIRST_S,
    ) -> Arrays:
        """The original's outputs on every row of ``part``, by name, in order.

        Args:
            part: the samples.
            while_waiting: called several times a second; may raise to give up.
            limit_s: for the answers that aren't there yet.

        Raises:
            TrialError: as its process ended.
        """
        return answers_of(
            self.original,
            part,
            self._place(part),
            cores=self._cores,
            memory_bytes=self._memory_bytes,
            limit_s=limit_s,
            while_waiting=while_waiting,
        )

    def ms_per_row(self, part: SampleStore) -> float:
        """What one row took when the answers of ``part`` were computed."""
        self.outputs(part)
        return seconds_of(self._place(part)) * 1e3 / max(1, len(part))

    def _place(self, part: SampleStore) -> Path:
        ref = part.ref()
        name = Path(ref.indices).stem if ref.indices is not None else Path(ref.path).name
        return self._folder / name


def _original(exported: Exported, threads: int) -> Contender:
    if exported.program is not None:
        return _contender("torch", exported.program, Settings(threads=threads))
    settings = Settings(threads=threads, level=GraphLevel.DISABLED)
    return _contender("onnxruntime", exported.graph, settings)


def _contender(runtime: str, artifact: Artifact, settings: Settings) -> Contender:
    return Contender("original", runtime, artifact, None, settings)

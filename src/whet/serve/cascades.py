"""A bundle's cascade on this machine: its stages opened as one session, and its goldens replayed.

A cascade has no recorded answers of its own. It answers with those of its stages, which have, so
each row is compared with what was recorded of the stage where it leaves here. Where that is
another stage than the recorded answers say, its confidence there must have been near the threshold:
another processor rounds otherwise, and what stands at a threshold may then fall to either side.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from whet.bundle.golden import GoldenResult, Goldens, compare, load_goldens, record
from whet.bundle.manifest import Cascade
from whet.bundle.read import Bundle
from whet.core.confidence import confidence_of, stages_of
from whet.core.spec import Arrays
from whet.runtimes.base import Session
from whet.runtimes.cache import EngineCache
from whet.runtimes.cascade import CascadeSession
from whet.serve.runtime import fewer_threads, runtime_of

__all__ = ["exit_words", "open_cascade", "replay_cascade", "stage_goldens"]

_NEAR = 0.1  # of confidence: as far as answers of coarse arithmetic may differ between machines


def open_cascade(
    bundle: Bundle,
    cascade: Cascade,
    cache: EngineCache,
    *,
    trust_code: bool,
    most_threads: int | None = None,
) -> CascadeSession:
    """Open every stage.

    Args:
        bundle: that holds it.
        cascade: which.
        cache: of compiled engines.
        trust_code: allow stages whose files run native code.
        most_threads: of each engine, where it has fewer cores than it was tuned for.

    Raises:
        BundleError: a stage may not be opened.
        HostError: a stage's runtime isn't installed or known here.
    """
    with ExitStack() as opened:
        sessions: list[Session] = []
        for stage in cascade.stages:
            variant = bundle.variant(stage.variant)
            artifact = bundle.artifact(variant.name, trust_code=trust_code)
            settings = fewer_threads(variant.settings, most_threads)
            session, _ = cache.opened(runtime_of(variant), artifact, settings)
            sessions.append(opened.enter_context(session))
        gates = [stage.gate for stage in cascade.stages if stage.gate is not None]
        whole = CascadeSession(sessions, gates, cascade.confidence, bundle.manifest.signature)
        opened.pop_all()
    return whole


def stage_goldens(bundle: Bundle, cascade: Cascade) -> tuple[Goldens, ...] | None:
    """What was recorded of each stage; ``None`` where one has nothing.

    Raises:
        BundleCorruptError: a file differs from what the manifest says.
    """
    found = [load_goldens(bundle, stage.variant) for stage in cascade.stages]
    known = tuple(goldens for goldens in found if goldens is not None)
    return known if len(known) == len(found) else None


def replay_cascade(
    cascade: Cascade, goldens: Sequence[Goldens], session: CascadeSession
) -> tuple[GoldenResult, ...]:
    """Run the golden inputs and compare each row with its stage's recorded answer.

    Args:
        cascade: which.
        goldens: of each stage, from `stage_goldens`.
        session: the opened cascade.

    Returns:
        One result per output and stage that a row left at, and one of where rows leave.
    """
    left: list[NDArray[np.int64]] = []

    def run(inputs: Arrays) -> Arrays:
        outputs, stage = session.answer(inputs)
        left.append(stage)
        return outputs

    got = record(goldens[0].inputs, goldens[0].rows_per_run, run)
    stage = np.concatenate(left)
    results = [_exits(cascade, goldens, stage)]
    for number, recorded in enumerate(goldens):
        rows = np.flatnonzero(stage == number)
        if len(rows):
            want = {name: array[rows] for name, array in recorded.expected.items()}
            have = {name: array[rows] for name, array in got.items()}
            results += compare(want, have, recorded.tolerance)
    return tuple(results)


def _exits(cascade: Cascade, goldens: Sequence[Goldens], stage: NDArray[np.int64]) -> GoldenResult:
    """Whether rows leave where their recorded answers say, but for those near a threshold."""
    gates = [s.gate for s in cascade.stages if s.gate is not None]
    sure = [
        confidence_of(cascade.confidence, recorded.expected, gate.temperature)
        for recorded, gate in zip(goldens, gates, strict=False)
    ]
    expected = stages_of(sure, gates)
    moved = np.flatnonzero(expected != stage)
    parting = np.minimum(expected, stage)[moved]  # where they decide otherwise
    far = [
        abs(float(sure[number][row]) - gates[number].threshold)
        for number, row in zip(parting, moved, strict=True)
    ]
    most = max(far, default=0.0)
    same = len(stage) - len(moved)
    sentence = f"{same} of {len(stage)} rows leave at the stage that was recorded"
    if most > _NEAR:
        sentence += f"; one was {most:.2g} from the threshold, {_NEAR:g} is allowed"
    return GoldenResult("stages", most <= _NEAR, most, _NEAR, None, f"{sentence}.")


def exit_words(cascade: Cascade, left: Sequence[int]) -> str:
    """The share of rows that left at each stage, as ``"71% at 'quick', 29% at 'exact'"``; pure."""
    total = max(1, sum(left))
    return ", ".join(
        f"{count / total:.0%} at '{stage.variant}'"
        for stage, count in zip(cascade.stages, left, strict=True)
    )

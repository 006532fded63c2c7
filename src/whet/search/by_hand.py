"""A recipe carried out by hand: no search, no contract, the same samples and the same graph.

Network and samples are taken in as a search takes them in, and split as it splits them, so the
passes see the repair part and training samples alone, and a recipe that a search found makes that
search's graph again. The passes run in a worker with as many cores as the recipe has threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.bundle.disk import place_of
from whet.core.artifact import Artifact, Format
from whet.core.contract import Contract
from whet.core.lesson import Lesson
from whet.core.note import Note
from whet.core.scratch import scratch_folder
from whet.core.settings import Settings
from whet.core.spec import Arrays
from whet.data.store import SampleStore
from whet.measure.cgroup import allowed_cores, cores_for
from whet.measure.chunks import row_chunks
from whet.measure.contender import Contender
from whet.measure.likeness import check_alike_in_form, difference
from whet.optimize.intake.load import need_files, need_packages
from whet.optimize.recipes.written import WrittenRecipe
from whet.search.answers import answers_of
from whet.search.applied import Applied, Cost, Deviation, check_place, write_applied
from whet.search.intake.given import Given
from whet.search.intake.parts import Parts, parts_of
from whet.search.intake.take_in import Taken, take_in
from whet.search.ledger.workspace import arrivals
from whet.search.reference import References
from whet.search.stop import Stop
from whet.search.words.lessons import Sparsely, lesson_words
from whet.search.workers.ground import Ground
from whet.search.workers.host import worker_memory_bytes
from whet.search.workers.isolate import run_isolated
from whet.search.workers.recipe_jobs import CarriedOut, CarryOutJob

__all__ = ["apply_recipe", "largest_difference"]

_WORKER_S = 6 * 3600.0
_RUNTIMES = {Format.ONNX: "onnxruntime", Format.OPENVINO: "openvino"}


def apply_recipe(
    given: Given, recipe: WrittenRecipe, out: Path, say: Callable[[str], None]
) -> Applied:
    """Carry out a recipe and write what comes of it.

    Args:
        given: network and samples; its seed is the recipe's.
        recipe: what to do.
        out: folder for the graph and the recipe; one that an earlier call wrote is replaced.
        say: told what is being done.

    Raises:
        InputError: the network, the samples or the recipe can't be used.
        PassError: a pass refused the network or broke its promise.
        HostError: an extra is missing.
        StorageError: something can't be written, or something else stands at ``out``.
    """
    need_packages(given.network)
    need_files(given.network, given.weights)
    steps = recipe.pipeline().steps
    place = place_of(out)
    check_place(place)
    cores = cores_for(recipe.threads or allowed_cores())
    whole = msgspec.structs.replace(recipe, steps=steps, seed=given.seed, threads=len(cores))
    contract = Contract(threads=len(cores), ignore_outputs=recipe.ignore_outputs)
    stop = Stop()
    with take_in(given, contract, None, say, stop) as taken, scratch_folder(arrivals()) as scratch:
        parts = parts_of(taken.store, taken.train, given, taken.space)
        say("carrying out the passes" if steps else "taking the network as it is")
        made = _made(whole, taken, parts, scratch, cores, say)
        say("comparing its answers with the original's")
        deviations = _deviations(whole, taken, parts.select, made.graph, scratch, cores)
        say("writing the graph")
        graph = write_applied(place, made.graph, whole)
        exported = taken.exported
        return Applied(
            graph=graph,
            recipe=whole,
            changed=made.changed,
            notes=exported.notes + made.notes + _fewer_threads(recipe, len(cores)),
            before=Cost(exported.parameters, exported.macs, exported.graph.size_bytes()),
            after=Cost(made.parameters, made.macs, made.graph.size_bytes()),
            deviations=deviations,
            rows=len(parts.select),
        )


def _made(
    recipe: WrittenRecipe,
    taken: Taken,
    parts: Parts,
    scratch: Path,
    cores: tuple[int, ...],
    say: Callable[[str], None],
) -> CarriedOut:
    exported = taken.exported
    ground = Ground(
        graph=exported.graph,
        program=exported.program,
        repair=parts.repair.ref(),
        threads=len(cores),
        seed=recipe.seed,
        train=parts.train.ref() if parts.train is not None else None,
    )
    worth = Sparsely().worth

    def heard(lesson: Lesson) -> None:
        if worth(lesson, time.monotonic()):
            say(f"learning, {lesson_words(lesson)}")

    job = CarryOutJob(recipe.steps, ground, str(scratch / "graph"), exported.sizes)
    return run_isolated(
        "whet.search.workers.recipe_jobs:carry_out",
        job,
        CarriedOut,
        timeout_s=_WORKER_S,
        memory_bytes=None,
        cores=cores,
        heard=heard,
        env=dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(len(cores))),
    ).value


def _deviations(
    recipe: WrittenRecipe,
    taken: Taken,
    select: SampleStore,
    graph: Artifact,
    scratch: Path,
    cores: tuple[int, ...],
) -> Mapping[str, Deviation]:
    """How far each output is from the original's, on the samples that nothing was fitted to."""
    memory_bytes = worker_memory_bytes()
    references = References(taken.exported, taken.space.folder / "reference", cores, memory_bytes)
    want = references.outputs(select)
    have = answers_of(
        _contender(recipe, graph, len(cores)),
        select,
        scratch / "answers",
        cores=cores,
        memory_bytes=memory_bytes,
        limit_s=_WORKER_S,
    )
    check_alike_in_form(want, have)
    return {name: _deviation(name, want, have) for name in want}


def _contender(recipe: WrittenRecipe, graph: Artifact, threads: int) -> Contender:
    """The graph on the recipe's runtime, where that is one that runs graphs, else on a usual one."""
    asked = recipe.runtime
    if asked is not None and asked in _RUNTIMES.values():
        return Contender(
            "applied", asked, graph, None, recipe.settings or Settings(threads=threads)
        )
    return Contender("applied", _RUNTIMES[graph.format], graph, None, Settings(threads=threads))


def _deviation(name: str, want: Arrays, have: Arrays) -> Deviation:
    return Deviation(
        largest_difference(want[name], have[name]),
        difference({name: want[name]}, {name: have[name]}),
    )


def largest_difference(want: NDArray[np.generic], have: NDArray[np.generic]) -> float:
    """The largest difference of two numbers; none where both are the same infinity.

    Args:
        want: (rows, ...).
        have: of the same shape.
    """
    worst = 0.0
    for part in row_chunks(want):
        a, b = want[part].astype(np.float64), have[part].astype(np.float64)
        alike = (a == b) | (np.isnan(a) & np.isnan(b))
        apart = np.abs(np.where(alike, 0.0, a) - np.where(alike, 0.0, b))
        worst = max(worst, float(np.where(np.isnan(apart), np.inf, apart).max(initial=0.0)))
    return worst


def _fewer_threads(recipe: WrittenRecipe, threads: int) -> tuple[Note, ...]:
    if recipe.threads in {None, threads}:
        return ()
    reason = (
        f"The recipe was made with {recipe.threads}, and {threads} can be used here: sums are taken"
        " in another order, so the graph may differ in its last bits."
    )
    return (Note("threads", reason),)

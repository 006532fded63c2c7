"""One whole search, from what the user gave to evidence and a draft bundle."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from whet.bundle.draft import BundleDraft
from whet.core.contract import Contract
from whet.core.evidence import Evidence
from whet.core.note import Note
from whet.core.scope import TRANSFORM, scope
from whet.core.scratch import sweep
from whet.data.transform import ImageTransform
from whet.measure.cgroup import allowed_cores
from whet.measure.custom import own_metric
from whet.search.budget.budget import Budget
from whet.search.budget.closing import closing_s
from whet.search.budget.least import least_after_setup_s, too_short_notes, used_up_notes
from whet.search.budget.pace import quick_to_build
from whet.search.budget.spending import over_notes
from whet.search.closing.close import Closed, close
from whet.search.closing.pack import draft_of, variant_names, with_names
from whet.search.events import Event, Started
from whet.search.intake.given import Given
from whet.search.intake.metric_code import metric_digest
from whet.search.intake.prepare import prepare
from whet.search.intake.take_in import Taken, take_in
from whet.search.ladder.climb import Climbed, climb
from whet.search.ladder.trials import Trials
from whet.search.ledger.identity import SearchInputs, machine_digest
from whet.search.ledger.ledger import Ledger
from whet.search.ledger.proofs import noted
from whet.search.ledger.reuse import Kept, same_shapes, still_holding
from whet.search.setup import Setup
from whet.search.stop import Stop
from whet.search.teller import Teller
from whet.search.words.gaps import gap_notes, gap_sentence
from whet.search.words.outcome import next_step, outcome_sentence
from whet.search.workers.memory import MemoryWatch

__all__ = ["Found", "search"]


@dataclass(frozen=True)
class Found:
    """What a search ends with."""

    evidence: Evidence
    draft: BundleDraft


@contextlib.contextmanager
def search(
    given: Given,
    contract: Contract,
    *,
    budget_s: float | None,
    ledger: Path | None,
    emit: Callable[[Event], None],
    stop: Stop,
    command: str,
) -> Iterator[Found]:
    """Prepare, climb, close, pack.

    A context manager: within it, the files that the draft names are kept from other searches.

    Raises:
        InputError, HostError, StorageError: see `prepare`.
        Stopped: the user asked to stop before there was anything to close with.
    """
    began = time.monotonic()
    started = _now()
    sweep()  # what searches that were killed left behind
    tell = Teller(emit, Budget(began, budget_s))
    contract = contract.checked(allowed_cores())
    for note in too_short_notes(budget_s):
        tell.remark(note.where, note.reason)
    with MemoryWatch() as memory, take_in(given, contract, ledger, tell.phase, stop) as taken:
        evidence, draft = _searched(given, contract, taken, tell, stop, command, started)
        seconds = time.monotonic() - began
        over = over_notes(tell.marks, seconds, budget_s)
        evidence = msgspec.structs.replace(
            evidence,
            seconds=seconds,
            peak_bytes=memory.peak_bytes(),
            notes=(*evidence.notes, *over),
        )
        yield Found(evidence, replace(draft, evidence=evidence))


def _searched(
    given: Given,
    contract: Contract,
    taken: Taken,
    tell: Teller,
    stop: Stop,
    command: str,
    started: str,
) -> tuple[Evidence, BundleDraft]:
    """Everything after the intake."""
    budget = tell.budget
    setup = prepare(given, contract, taken, tell.phase, stop, budget.total_s)
    key = _key(setup, taken.samples)
    with Ledger.open(taken.space.ledger, key) as book:
        tell.emit(_started(setup, budget))
        for note in setup.notes:
            tell.show(note)
        for note in _used_up(setup, budget):
            tell.remark(note.where, note.reason)
        trials = Trials(
            setup, book, _reserving(budget, setup), tell, stop, past=_past(setup, key, book)
        )
        climbed = climb(setup, trials)
        trials = trials.closing()
        closed = close(setup, trials, climbed.baseline)
        tell.phase("packing the bundle")
        evidence = _evidence(
            trials.setup,
            climbed,
            closed,
            started,
            budget.elapsed_s(time.monotonic()),
            given.seed,
            command,
            (*tell.remarks, *gap_notes(closed.trials), *noted(book, key, closed.trials)),
        )
        evidence = with_names(evidence, variant_names(closed.finalists))
        draft = draft_of(setup, trials, closed, evidence, _now())
    taken.space.drop_built({t.recipe.build_digest() for t in closed.finalists})
    return evidence, draft


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _key(setup: Setup, samples: str) -> SearchInputs:
    look = setup.look
    return SearchInputs(
        graph=setup.graph.digest(),
        samples=samples,
        machine=machine_digest(setup.machine),
        contract=setup.contract,
        seed=setup.seed,
        metric=metric_digest(
            setup.metric,
            setup.references.outputs(look),
            look.labels,
            own=own_metric(setup.metric, setup.function, setup.metric_s),
            function=setup.function,
        ),
    )


def _past(setup: Setup, key: SearchInputs, book: Ledger) -> Mapping[str, Kept]:
    """What other searches in this ledger timed that holds for this one."""
    pasts = book.reusable(key.graph, key.machine)
    return still_holding(pasts, key, shapes=same_shapes(setup.graph.signature))


def _started(setup: Setup, budget: Budget) -> Started:
    return Started(
        elapsed_s=budget.elapsed_s(time.monotonic()),
        budget_s=budget.total_s,
        contract=setup.contract,
        samples=setup.samples,
        machine=setup.machine,
    )


def _used_up(setup: Setup, budget: Budget) -> tuple[Note, ...]:
    """That set-up left less than the rest takes, where it did."""
    quick = len(quick_to_build(setup.runtimes))
    rest_s = least_after_setup_s(quick, len(setup.certify), setup.original_ms)
    return used_up_notes(budget.elapsed_s(time.monotonic()), rest_s, budget.total_s)


def _reserving(budget: Budget, setup: Setup) -> Budget:
    """Hold back the time that closing will take; with each trial it is known better."""
    rows, ms, values = len(setup.certify), setup.original_ms, setup.values
    needed_s = closing_s(setup.contract, rows, ms, (), budget.total_s, values=values)
    return budget.reserving(needed_s)


def _evidence(
    setup: Setup,
    climbed: Climbed,
    closed: Closed,
    started: str,
    seconds: float,
    seed: int,
    command: str,
    remarks: tuple[Note, ...],
) -> Evidence:
    contract = setup.contract
    chosen, verdict, trials = closed.chosen, closed.verdict, closed.trials
    left_out, unrest = climbed.untried, closed.unrest
    sentence = outcome_sentence(
        chosen, verdict, contract, closed.baseline, trials, untried=left_out
    )
    advice = next_step(
        chosen, verdict, contract, trials, unrest=unrest, untried=left_out, skipped=climbed.skipped
    )
    return Evidence(
        contract=contract,
        machine=setup.machine,
        samples=setup.samples,
        network=setup.network,
        baseline=closed.baseline.id,
        chosen=closed.chosen.id,
        kept=closed.verdict,
        sentence=" ".join(s for s in (sentence, advice, gap_sentence(closed.trials)) if s),
        trials=closed.trials,
        feasibility=climbed.feasibility,
        started=started,
        seconds=seconds,
        seed=seed,
        command=command,
        eager=closed.eager,
        layers=closed.layers,
        notes=(*setup.notes, *remarks, *closed.notes, *_transform_notes(setup)),
        unrest=closed.unrest,
        cascade=closed.cascade,
    )


def _transform_notes(setup: Setup) -> tuple[Note, ...]:
    if setup.transform is None:
        return ()
    kind = "image" if isinstance(setup.transform, ImageTransform) else "text"
    return (Note(TRANSFORM, scope(kind)),)

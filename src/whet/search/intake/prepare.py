"""From graph and samples to a `Setup`: split, ask the original, choose the metric.

The original's answers stay in the workspace, so that a search that was stopped
finds them again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from whet.core.contract import Contract
from whet.core.drop import check_drop
from whet.core.evidence import Quality, SampleSummary
from whet.core.note import Note
from whet.core.spec import Arrays
from whet.data.store import SampleStore
from whet.measure.cgroup import cores_for
from whet.measure.custom import UserFunction, metric_limit_s, own_metric
from whet.measure.machine import fingerprint
from whet.measure.metrics import logits_of, pick, resolve_metric
from whet.measure.quality import judge
from whet.optimize.graph.traffic import Traffic
from whet.search.decisions.untouched import samples_to_look_at
from whet.search.intake.given import Given
from whet.search.intake.guessing import (
    guess_share,
    no_better_than_guessing,
    original_notes,
    unlabelled_notes,
)
from whet.search.intake.outputs import CLASS_METRICS, check_shapes, with_scores
from whet.search.intake.parts import parts_of
from whet.search.intake.provable import provable_notes
from whet.search.intake.take_in import Taken
from whet.search.reference import References
from whet.search.setup import Setup
from whet.search.stop import Stop
from whet.search.workers.host import chosen_runtimes, threads_for, worker_memory_bytes
from whet.search.workers.jobs import Exported

__all__ = ["prepare"]


def prepare(
    given: Given,
    contract: Contract,
    taken: Taken,
    say: Callable[[str], None],
    stop: Stop,
    budget_s: float | None = None,
) -> Setup:
    """Make everything that all trials share.

    Args:
        given: network and samples.
        contract: checked.
        taken: what `take_in` made of them.
        say: told what is being done.
        stop: the user's wish to end.
        budget_s: of the whole search, of which one call of the user's own metric may take a part.

    Raises:
        InputError: the network, samples or contract can't be used.
        HostError: no runtime, or an extra is missing.
        Stopped: the user asked to stop.
    """
    runtimes = chosen_runtimes(given.runtimes)
    threads = threads_for(contract)
    exported, store, space = taken.exported, taken.store, taken.space
    contract, judged = with_scores(contract, exported.graph.signature)
    check_shapes(contract, exported.graph.signature, store, taken.task, exported.dropped)
    parts = parts_of(store, taken.train, given, space)
    memory_bytes, cores = worker_memory_bytes(), cores_for(threads)
    references = References(exported, space.folder / "reference", cores, memory_bytes)
    say("asking the original")
    task = taken.task
    # A few answers tell which metric fits; the others wait until a candidate is judged.
    values = _values(exported)
    few = samples_to_look_at(
        exported.macs, values, parts.select.samples, parts.select.rows_per_sample
    )
    look = parts.select.subset(np.arange(few), space.folder / f"look-{few}.npy")
    judges = _Judges(contract, given.metric, task, metric_limit_s(budget_s))
    metric, scored = _metric(judges, references.outputs(look, stop.check), store, look)
    stop.check()
    original = _original(judges, references, scored, look, parts.select, stop)
    chosen = unlabelled_notes(contract.metric, metric, labelled=store.labels is not None)
    say("measuring what this machine can do")
    machine = fingerprint(ceilings=True, cache=space.engines.parent)
    concrete = msgspec.structs.replace(contract, metric=metric, threads=threads)
    return Setup(
        name=exported.name,
        network=_network_words(given, exported),
        contract=concrete,
        metric=metric,
        task=task,
        graph=exported.graph,
        program=exported.program,
        transform=store.transform,
        repair=parts.repair,
        select=parts.select,
        certify=parts.certify,
        look=look,
        train=parts.train,
        samples=_with_proofs(parts.summary, scored, contract),
        references=references,
        machine=machine,
        original_ms=references.ms_per_row(look),
        values=values,
        cores=cores,
        threads=threads,
        macs=exported.macs,
        parameters=exported.parameters,
        traffic=Traffic(exported.bytes_moved, exported.wide_bytes),
        weight_bytes=exported.weight_bytes,
        sizes=exported.sizes,
        kind=exported.kind,
        workdir=space.folder,
        cache=space.engines,
        memory_bytes=memory_bytes,
        seed=given.seed,
        runtimes=_usable(runtimes, exported),
        notes=exported.notes + judged + chosen + original,
        uncounted=exported.uncounted,
        function=given.metric,
        metric_s=judges.metric_s,
    )


@dataclass(frozen=True)
class _Judges:
    """What a model is judged by: the contract's clauses, a live function, the network's task."""

    contract: Contract
    function: UserFunction | None
    task: str | None
    metric_s: float

    def scored(self, metric: str, original: Arrays, part: SampleStore) -> Quality:
        """The original against itself: its own score on a part of the samples."""
        contract = self.contract
        return judge(
            metric,
            original,
            original,
            part.labels,
            rows_per_sample=part.rows_per_sample,
            max_drop=contract.max_drop,
            confidence=contract.confidence,
            per_class=False,
            output=contract.output,
            ignore=contract.ignore_outputs,
            task=self.task,
            own=own_metric(metric, self.function, self.metric_s),
        )


def _metric(
    judges: _Judges, original: Arrays, store: SampleStore, part: SampleStore
) -> tuple[str, Quality]:
    """The concrete metric, shown to work: the original is judged against itself.

    Raises:
        ContractError: the drop allows anything under the metric that was found.
        SamplesError: labels are missing, out of range or of the wrong kind.
        OptionError: the user's function failed.
    """
    contract = judges.contract
    metric = resolve_metric(
        contract.metric,
        labels=part.labels,
        rows_per_sample=part.rows_per_sample,
        outputs=original,
        task=judges.task,
        output=contract.output,
    )
    check_drop(metric, contract.max_drop)
    scored = judges.scored(metric, original, part)
    if metric in CLASS_METRICS:
        store.check_labels(logits_of(pick(original, contract.output)).shape[-1])
    return metric, scored


def _original(
    judges: _Judges,
    references: References,
    scored: Quality,
    look: SampleStore,
    select: SampleStore,
    stop: Stop,
) -> tuple[Note, ...]:
    """The original's own score, and whether it is any better than guessing.

    A few answers suffice for a good network. Where they don't, all of the select part
    is asked: its answers are needed anyway once a candidate is judged.
    """
    classes = pick(references.outputs(look), judges.contract.output).shape[-1]
    guess = guess_share(scored.metric, select.labels, classes)
    if guess is not None and no_better_than_guessing(scored, guess):
        answers = references.outputs(select, stop.check)
        scored = judges.scored(scored.metric, answers, select)
    return original_notes(scored, guess)


def _with_proofs(summary: SampleSummary, scored: Quality, contract: Contract) -> SampleSummary:
    """The samples with what they can prove under the metric."""
    notes = provable_notes(
        scored.metric,
        scored.reference,
        contract.max_drop.absolute(scored.reference),
        summary.certify,
        summary.total,
        contract.confidence,
    )
    return msgspec.structs.replace(summary, notes=summary.notes + notes)


def _values(exported: Exported) -> int:
    """Numbers that the network answers for one row."""
    return sum(
        math.prod(d if isinstance(d, int) else exported.sizes.get(d, 1) for d in spec.shape[1:])
        for spec in exported.graph.signature.outputs
    )


def _usable(runtimes: tuple[str, ...], exported: Exported) -> tuple[str, ...]:
    """Without Inductor where there is no torch program for it to compile."""
    return tuple(name for name in runtimes if name != "inductor" or exported.program is not None)


def _network_words(given: Given, exported: Exported) -> str:
    source = given.network if isinstance(given.network, str) else "a live module"
    weights = f" with {Path(given.weights).name}" if given.weights else ""
    millions = exported.parameters / 1e6
    least = "at least " if exported.uncounted else ""
    macs = f"{least}{exported.macs / 1e6:.1f} M MACs"
    return f"{source}{weights}: {millions:.2f} M parameters, {macs}"

"""Golden answers of the finalists, recorded before the choice: one that can't give them is out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from whet.bundle.check import MAX_TENSOR_BYTES
from whet.bundle.draft import GoldenDraft
from whet.core.evidence import Trial
from whet.core.note import Note
from whet.core.spec import Arrays
from whet.data.readers import open_samples
from whet.data.store import SampleStore, write_store
from whet.errors import StorageError, WhetError
from whet.search.answers import answers_of
from whet.search.budget.patience import answer_limit_s
from whet.search.decisions.endings import ended
from whet.search.decisions.figures import is_untouched, row_ms
from whet.search.ladder.assay import contender_of
from whet.search.ladder.trials import Trials
from whet.search.setup import Setup

__all__ = ["Recorded", "record"]

_WHERE = "goldens"
_GOLDEN_ROWS = 4
_TOO_LARGE = Note(
    _WHERE,
    "None were recorded: one request's answers are larger than a bundle may hold of them, so"
    " 'verify' can't compare answers here.",
)


@dataclass(frozen=True)
class Recorded:
    """What a bundle is replayed with.

    Attributes:
        common: inputs and the original's answers; ``None`` where there are none.
        own: each finalist's answers, by trial id.
        notes: what couldn't be recorded, and why.
    """

    common: GoldenDraft | None
    own: Mapping[str, Arrays]
    notes: tuple[Note, ...] = ()


def record(setup: Setup, trials: Trials, finalists: Iterable[Trial]) -> Recorded:
    """Ask the original and each finalist afresh, in a process of its own.

    A candidate that crashes or hangs here, at the batch of the contract, would do so in service:
    its trial ends with that. An untouched engine stays, since something must be served, and goes
    without goldens.

    Args:
        setup: of the search.
        trials: where a finalist's end is kept.
        finalists: that may be packed.

    Raises:
        StorageError: the answers can't be written.
    """
    whole = golden_part(setup)
    try:
        golden = _fitting(setup, whole)
        if golden is None:
            return Recorded(None, {}, (_TOO_LARGE,))
        reference = setup.references.outputs(golden)
    except StorageError:
        raise
    except WhetError as error:
        return Recorded(None, {}, (Note(_WHERE, f"None were recorded: {error.message}"),))
    own: dict[str, Arrays] = {}
    notes: list[Note] = []
    for trial in finalists:
        try:
            own[trial.id] = _answers(setup, trials, trial, golden)
        except StorageError:
            raise
        except WhetError as error:
            if is_untouched(trial):
                notes.append(Note(_WHERE, f"None were recorded of {trial.name}: {error.message}"))
            else:
                trials.update(ended(trial, error), remember=False)
    inputs = golden.rows(np.arange(len(golden)))
    return Recorded(GoldenDraft(inputs, setup.contract.batch, reference), own, tuple(notes))


def golden_part(setup: Setup) -> SampleStore:
    """A few rows of the select part: a whole number of requests.

    Rows of unequal length are padded to the longest, once and for all, and kept
    as a store of their own: a replay must see the very arrays that were recorded.
    """
    batch = setup.contract.batch
    where = setup.workdir / f"golden-{batch}"
    if where.is_dir():
        return SampleStore.open(where)
    rows = min(batch * max(1, _GOLDEN_ROWS // batch), len(setup.select) // batch * batch)
    picks = np.arange(max(rows, batch)) % len(setup.select)
    arrays = setup.select.rows(picks)
    reader = open_samples(arrays, expect=setup.graph.signature.inputs, label_key="")
    return write_store(reader, where, limit=len(picks), seed=setup.seed)


def _fitting(setup: Setup, golden: SampleStore) -> SampleStore | None:
    """As many requests as a bundle may hold the answers of; ``None`` where it can't hold one's."""
    batch, rows = setup.contract.batch, len(golden)
    arrays = (*setup.references.outputs(golden).values(), *golden.rows(np.arange(rows)).values())
    fit = int(MAX_TENSOR_BYTES * rows // max(1, *(a.nbytes for a in arrays))) // batch * batch
    if fit >= rows:
        return golden
    # Answers are kept by this name, beside those of whole parts of other batches.
    where = setup.workdir / f"{golden.path.name}-first-{fit}.npy"
    return golden.subset(np.arange(fit), where) if fit else None


def _answers(setup: Setup, trials: Trials, trial: Trial, golden: SampleStore) -> Arrays:
    """A finalist's own golden answers."""
    made = trials.made_for(trial)
    part = f"{golden.path.name}-{len(golden)}"
    return answers_of(
        contender_of(trial, made),
        golden,
        setup.workdir / "answers" / part / f"{trial.id}-{made.graph.digest()[:16]}",
        cores=setup.cores,
        memory_bytes=setup.memory_bytes,
        limit_s=answer_limit_s(
            len(golden),
            original_ms=setup.original_ms,
            own_ms=row_ms(trial),
            left_s=trials.budget.left_s(time.monotonic()),
            must=True,
        ),
        rows=setup.contract.batch,
    )

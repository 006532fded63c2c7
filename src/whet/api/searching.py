"""The search as a verb: the fastest variant that keeps a contract, found, proved and packed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whet.api.telling import to_nobody
from whet.bundle.draft import BundleDraft
from whet.bundle.write import write_bundle
from whet.core.arguments import event_of, function_of, maybe, path_of, seconds_of, text_of
from whet.core.clauses import read_contract
from whet.core.contract import Contract
from whet.data.text import Pairs
from whet.data.transform import Transform
from whet.report import draft_info, render
from whet.search.events import Event, Finished
from whet.search.intake.early import refuse_early
from whet.search.intake.given import given_of
from whet.search.outcome import Outcome
from whet.search.run import search
from whet.search.stop import Stop

if TYPE_CHECKING:
    import torch

__all__ = ["REPORT", "optimize"]

REPORT = "report.html"


def optimize(
    network: str | Path | torch.nn.Module,
    samples: Any,
    contract: Contract | Mapping[str, Any] | None = None,
    *,
    out: str | Path | None = None,
    weights: str | Path | None = None,
    transform: Transform | None = None,
    labels: Any = None,
    train: Any = None,
    budget_s: float | None = 900.0,
    label_key: str | None = None,
    text_keys: Sequence[str] | None = None,
    pairs: Pairs | None = None,
    label_offset: int = 0,
    most: int = 20_000,
    ledger: str | Path | None = None,
    seed: int = 0,
    runtimes: Sequence[str] | None = None,
    on_event: Callable[[Event], None] | None = None,
    cancel: threading.Event | None = None,
    command: str = "whet.optimize(...)",
) -> Outcome:
    """Find the fastest variant that keeps the contract on this machine, and prove it.

    Main arguments:

    Args:
        network: ``"file.py:factory"``, ``.pt2``, ``.onnx``, a Hugging Face
            directory, or a live module.
        samples: a path or arrays; see `whet.data.readers.open_samples`.
        contract: what must be kept, as a `Contract` or its clauses by name; by default "as
            fast as possible, with at most one point of quality lost". Its metric may be a live
            function ``function(outputs, labels, reference_outputs)``.
        out: folder for the bundle; a bundle that is there is replaced. ``None``
            writes none.
        weights: for a factory.
        transform: how pictures or texts become inputs.
        labels: given apart from the samples, in their order: an array, a list, or a file that
            holds nothing else (``.npy``, ``.npz``, one column of ``.csv`` or ``.txt``).
        train: more samples, of the same kind and in any form that ``samples`` may have, which a
            network may learn from when it is changed (its training set, for instance). They need
            no labels; those that they hold are learnt too. Samples that are among ``samples`` are
            left out, for these judge.
        budget_s: time for the whole search in seconds; ``None`` for no limit.
        label_key: column or array that holds the labels.
        text_keys: columns that hold the text.
        pairs: two texts of a sample are read together, one row (``"join"``), or each alone, two
            rows (``"apart"``); by default joined by a classifier, apart by an encoder.
        label_offset: added to class indices (1 where the network counts a
            background class first).
        most: samples read at most.
        ledger: file that remembers trials; by default in the user's cache.
        seed: for splits and searches.
        runtimes: those to search, or the name of one; by default all that can be used here.
        on_event: told what happens, as `whet.search.events` has it.
        cancel: set it to end the search early. What it has found by then is
            certified and packed, and the ledger keeps every finished trial.
        command: how to reproduce the search, for the report.

    Returns:
        The evidence, the bundle and the exit code (2 where the contract isn't
        kept; the nearest miss is in the bundle all the same).

    Raises:
        InputError: the network, samples or contract can't be used, or an argument is of the wrong
            type.
        HostError: a runtime or an extra is missing.
        StorageError: something can't be written; the ledger keeps what was measured.
        Stopped: ``cancel`` was set before anything was measured.
    """
    emit = function_of("on_event", on_event) if on_event is not None else to_nobody
    stop = Stop(event_of("cancel", cancel)) if cancel is not None else Stop()
    clauses, metric = read_contract(contract)
    place = maybe(path_of, "out", out)
    book = maybe(path_of, "ledger", ledger)
    budget_s = maybe(seconds_of, "budget_s", budget_s)
    command = text_of("command", command)
    given = given_of(
        network,
        samples,
        train=train,
        weights=weights,
        transform=transform,
        labels=labels,
        label_key=label_key,
        text_keys=text_keys,
        pairs=pairs,
        label_offset=label_offset,
        most=most,
        seed=seed,
        runtimes=runtimes,
        metric=metric,
    )
    refuse_early(given, clauses, book, place)
    with search(
        given,
        clauses,
        budget_s=budget_s,
        ledger=book,
        emit=emit,
        stop=stop,
        command=command,
    ) as found:
        if place is not None:
            write_bundle(place, _with_report(found.draft, place), replace=True)
    emit(
        Finished(
            elapsed_s=found.evidence.seconds,
            budget_s=budget_s,
            evidence=found.evidence,
            bundle=str(place) if place is not None else None,
        )
    )
    return Outcome(found.evidence, place)


def _with_report(draft: BundleDraft, where: Path) -> BundleDraft:
    if draft.evidence is None:
        return draft
    page = render(draft.evidence, draft_info(draft, str(where)))
    return replace(draft, extra={**draft.extra, REPORT: page.encode()})

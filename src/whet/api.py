"""The public verbs. Each body is a table of contents; the work is in the wings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whet.bundle.draft import BundleDraft
from whet.bundle.read import read_bundle
from whet.bundle.write import write_bundle
from whet.core.arguments import (
    event_of,
    flag_of,
    function_of,
    maybe,
    names_of,
    number_of,
    path_of,
    seconds_of,
    text_of,
    whole_of,
)
from whet.core.clauses import read_contract
from whet.core.contract import Contract
from whet.data.text import Pairs
from whet.data.transform import Transform
from whet.optimize.recipes.of_bundle import recipe_of as _recipe_of
from whet.optimize.recipes.pipeline import Pipeline
from whet.optimize.recipes.written import WrittenRecipe, as_recipe
from whet.optimize.recipes.written import read_recipe as _read_recipe
from whet.optimize.recipes.written import write_recipe as _write_recipe
from whet.report import draft_info, render
from whet.search.applied import Applied
from whet.search.by_hand import apply_recipe
from whet.search.events import Event, Finished
from whet.search.intake.early import refuse_early
from whet.search.intake.given import given_of
from whet.search.outcome import Outcome
from whet.search.run import search
from whet.search.stop import Stop
from whet.serve.bench import Bench
from whet.serve.bench import bench as _bench
from whet.serve.inspect import Inspection, inspection_of
from whet.serve.loaded import Loaded
from whet.serve.loaded import load as _load
from whet.serve.verify import Verification
from whet.serve.verify import verify as _verify

if TYPE_CHECKING:
    import torch

__all__ = [
    "apply",
    "bench",
    "inspect",
    "load",
    "optimize",
    "read_recipe",
    "recipe_of",
    "verify",
    "write_recipe",
]

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
    emit = function_of("on_event", on_event) if on_event is not None else _ignore
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


def apply(
    recipe: Pipeline | WrittenRecipe | str | Path,
    network: str | Path | torch.nn.Module,
    samples: Any,
    *,
    out: str | Path,
    weights: str | Path | None = None,
    transform: Transform | None = None,
    labels: Any = None,
    train: Any = None,
    label_key: str | None = None,
    text_keys: Sequence[str] | None = None,
    pairs: Pairs | None = None,
    label_offset: int = 0,
    most: int = 20_000,
    seed: int | None = None,
    threads: int | None = None,
    ignore_outputs: Sequence[str] | None = None,
    on_phase: Callable[[str], None] | None = None,
) -> Applied:
    """Carry out passes by hand: the same recipe, network, samples and seed make the same graph.

    Nothing is searched or proven. Network and samples are read and split as `optimize` does it:
    passes see the repair part alone, and training samples where there are some.

    Args:
        recipe: a `whet.Pipeline`, what `read_recipe` or `recipe_of` gave, or the path of a file.
        network: as for `optimize`, and so are all arguments up to ``most``.
        samples: a path or arrays.
        out: folder for the graph and ``recipe.yaml``, which makes it again; one that an earlier
            call wrote is replaced.
        weights: for a factory.
        transform: how pictures or texts become inputs.
        labels: given apart from the samples, in their order; the split heeds them.
        train: more samples that networks may learn from; a recipe that was found with some needs
            the same.
        label_key: column or array that holds the labels.
        text_keys: columns that hold the text.
        pairs: how two texts of a sample become rows.
        label_offset: added to class indices.
        most: samples read at most.
        seed: of all that is drawn and of the split; by default the recipe's, 0 for a pipeline.
        threads: compute threads of the passes, on which the last bits of sums depend; by default
            the recipe's, else all cores that may be used.
        ignore_outputs: outputs that nobody compares; by default the recipe's. Such of them as have
            no row for each row of the inputs are left out.
        on_phase: told what is being done.

    Returns:
        The path of the graph, what was skipped and why, parameters, MACs and size before and
        after, and how far the answers are from the original's on samples that no pass saw.

    Raises:
        InputError: the recipe, network or samples can't be used, or an argument is of the wrong
            type.
        PassError: a pass refused the network or broke its promise.
        HostError: an extra is missing.
        StorageError: something can't be written, or something else stands at ``out``.
    """
    say = function_of("on_phase", on_phase) if on_phase is not None else _ignore
    whole = as_recipe(recipe).replaced(
        seed=maybe(whole_of, "seed", seed),
        threads=maybe(whole_of, "threads", threads),
        ignore_outputs=maybe(names_of, "ignore_outputs", ignore_outputs),
    )
    given = given_of(
        network,
        samples,
        weights=weights,
        transform=transform,
        labels=labels,
        train=train,
        label_key=label_key,
        text_keys=text_keys,
        pairs=pairs,
        label_offset=label_offset,
        most=most,
        seed=whole.seed,
    )
    return apply_recipe(given, whole, path_of("out", out), say)


def read_recipe(path: str | Path) -> WrittenRecipe:
    """Read a recipe, and check that its passes take its options.

    Raises:
        OptionError: no file, or no recipe; with the line where there is one.
    """
    return _read_recipe(path_of("path", path))


def write_recipe(recipe: Pipeline | WrittenRecipe, path: str | Path) -> None:
    """Write a recipe as YAML; a file that is there is replaced.

    Raises:
        OptionError: it holds what no recipe may, such as control characters in a name.
        StorageError: it can't be written.
    """
    _write_recipe(as_recipe(recipe), path_of("path", path))


def recipe_of(bundle: str | Path, variant: str | None = None) -> WrittenRecipe:
    """How a variant of a bundle was made; ``.to_yaml()`` gives it as text.

    Args:
        bundle: its folder.
        variant: the default one if left out.

    Raises:
        BundleError: it is refused, or holds no record of its search.
        OptionError: an argument of the wrong type, or a variant that the bundle doesn't have.
    """
    place, name = path_of("bundle", bundle), maybe(text_of, "variant", variant)
    return _recipe_of(read_bundle(place), name)


def load(bundle: str | Path, variant: str | None = None, *, trust_code: bool = False) -> Loaded:
    """Open a bundle in this process; ``.run(...)`` answers. A context manager.

    Args:
        bundle: its folder. A packed ``.whet`` file is unpacked into one first,
            by `whet.bundle.pack.unpack`.
        variant: a variant or a cascade; the default variant if left out.
        trust_code: allow variants whose files run native code.

    Raises:
        BundleError: it is refused, or answers otherwise here than where it was made.
        OptionError: an argument of the wrong type, or a variant that the bundle doesn't have.
    """
    return _load(
        path_of("bundle", bundle),
        maybe(text_of, "variant", variant),
        trust_code=flag_of("trust_code", trust_code),
    )


def verify(bundle: str | Path, *, quick: bool = False, trust_code: bool = False) -> Verification:
    """Check hashes, replay the goldens of every variant, and measure here.

    Args:
        bundle: its folder.
        quick: time nothing.
        trust_code: also check variants whose files run native code.

    Raises:
        BundleError: it is refused.
        OptionError: an argument of the wrong type.
    """
    return _verify(
        path_of("bundle", bundle),
        quick=flag_of("quick", quick),
        trust_code=flag_of("trust_code", trust_code),
    )


def bench(
    bundle: str | Path,
    *,
    variant: str | None = None,
    scenario: str = "single-stream",
    seconds: float = 10.0,
    rate_per_s: float | None = None,
    limit_ms: float | None = None,
    percentile: float | None = None,
    inputs: str | Path | None = None,
    label_key: str | None = None,
    text_keys: Sequence[str] | None = None,
    trust_code: bool = False,
) -> Bench:
    """Load a variant by one of MLPerf's scenarios, on its golden or on raw inputs.

    Args:
        bundle: its folder.
        variant: a variant or a cascade; the default variant if left out.
        scenario: ``single-stream``, ``multi-stream``, ``server`` or ``offline``.
        seconds: to measure, the warm-up apart.
        rate_per_s: of arrivals, for ``server`` only.
        limit_ms: above it a query counts as missed; not for ``offline``.
        percentile: that the limit bounds; the contract's own if left out, not for ``offline``.
        inputs: raw samples as `optimize` takes them (a folder of pictures, with class folders or
            without; texts in ``.jsonl`` or ``.csv``), or plain text with one text a line: latency
            then holds the bundle's transform (decoding, tokenising) too. At most 256 samples are
            asked, spread over the classes. The golden inputs if left out.
        label_key: column that holds the labels of ``inputs``.
        text_keys: columns that hold the text.
        trust_code: allow a variant whose files run native code.

    Raises:
        BundleError: it is refused.
        OptionError: an argument of the wrong type; a scenario that isn't known, lacks its rate or
            doesn't take what was given.
    """
    return _bench(
        path_of("bundle", bundle),
        variant=maybe(text_of, "variant", variant),
        scenario=text_of("scenario", scenario),
        seconds=number_of("seconds", seconds),
        rate_per_s=maybe(number_of, "rate_per_s", rate_per_s),
        limit_ms=maybe(number_of, "limit_ms", limit_ms),
        percentile=maybe(number_of, "percentile", percentile),
        inputs=maybe(path_of, "inputs", inputs),
        label_key=maybe(text_of, "label_key", label_key),
        text_keys=maybe(names_of, "text_keys", text_keys),
        trust_code=flag_of("trust_code", trust_code),
    )


def inspect(bundle: str | Path) -> Inspection:
    """The manifest and the evidence of a bundle, hashes checked.

    Raises:
        BundleError: it is refused.
        OptionError: ``bundle`` is no path.
    """
    return inspection_of(read_bundle(path_of("bundle", bundle)))


def _with_report(draft: BundleDraft, where: Path) -> BundleDraft:
    if draft.evidence is None:
        return draft
    page = render(draft.evidence, draft_info(draft, str(where)))
    return replace(draft, extra={**draft.extra, REPORT: page.encode()})


def _ignore(_: object) -> None:
    """Without a listener nothing is told."""

"""From a closed search to the draft of a bundle."""

from __future__ import annotations

import re
import time
from pathlib import Path

import msgspec
import numpy as np

from whet import __version__
from whet.bundle.check import MAX_TENSOR_BYTES
from whet.bundle.draft import BundleDraft, GoldenDraft, VariantDraft
from whet.bundle.golden import default_tolerance
from whet.bundle.manifest import LatencySummary, QualitySummary
from whet.bundle.names import segment_of
from whet.core.evidence import Evidence, Trial
from whet.core.note import Note
from whet.core.spec import Arrays
from whet.data.readers import open_samples
from whet.data.store import SampleStore, write_store
from whet.data.transform import TextTransform, Transform
from whet.search.answers import answers_of
from whet.search.budget.patience import answer_limit_s
from whet.search.closing.close import Closed
from whet.search.decisions.figures import row_ms
from whet.search.ladder.assay import contender_of
from whet.search.ladder.trials import Trials
from whet.search.setup import Setup
from whet.search.workers.jobs import Made

__all__ = ["draft_of", "variant_names", "with_names"]

_GOLDEN_ROWS = 4
_TOO_LARGE = Note(
    "goldens",
    "None were recorded: one request's answers are larger than a bundle may hold of them, so"
    " 'verify' can't compare answers here.",
)
_CLASSIFIER_METRICS = frozenset({"top1", "top5", "f1", "agreement"})


def variant_names(finalists: tuple[Trial, ...]) -> dict[str, str]:
    """A file-safe name for each finalist, by trial id; pure."""
    names: dict[str, str] = {}
    for trial in finalists:
        stem = re.sub(r"[^A-Za-z0-9._]+", "-", trial.name).strip("-.") or "variant"
        name, number = stem[:60], 2
        while name in names.values():
            name, number = f"{stem[:56]}-{number}", number + 1
        names[trial.id] = name
    return names


def draft_of(
    setup: Setup, trials: Trials, closed: Closed, evidence: Evidence, created: str
) -> BundleDraft:
    """Everything for `whet.bundle.write.write_bundle`, with goldens recorded afresh."""
    golden = _fitting(setup, _golden_part(setup))
    per_run = setup.contract.batch
    names = variant_names(closed.finalists)
    classifier = setup.metric in _CLASSIFIER_METRICS
    variants = tuple(
        _variant(setup, trials, trial, names[trial.id], golden, per_run, classifier=classifier)
        for trial in closed.finalists
    )
    transform, files = _transform(setup.transform)
    goldens, notes = None, closed.notes
    if golden is None:
        notes = (*notes, _TOO_LARGE)
    else:
        inputs = golden.rows(np.arange(len(golden)))
        goldens = GoldenDraft(inputs, per_run, setup.references.outputs(golden))
    return BundleDraft(
        name=segment_of(setup.name, "model"),
        created=created,
        whet=__version__,
        machine=setup.machine,
        signature=setup.graph.signature,
        variants=variants,
        default=names[closed.chosen.id],
        goldens=goldens,
        evidence=evidence,
        transform=transform,
        transform_files=files,
        notes=notes,
    )


def _variant(
    setup: Setup,
    trials: Trials,
    trial: Trial,
    name: str,
    golden: SampleStore | None,
    per_run: int,
    *,
    classifier: bool,
) -> VariantDraft:
    made = trials.made_for(trial)
    outputs = None if golden is None else _recorded(setup, trials, trial, made, golden, per_run)
    quality = trial.certify or trial.select
    return VariantDraft(
        name=name,
        artifact=made.graph,
        runtime=trial.recipe.runtime,
        settings=trial.recipe.settings,
        recipe=trial.recipe,
        trial=trial.id,
        latency=(LatencySummary.of(trial.latency),) if trial.latency is not None else (),
        quality=(
            QualitySummary.of(quality, certified=trial.certify is not None)
            if quality is not None
            else None
        ),
        resident_bytes=trial.footprint.resident_bytes if trial.footprint is not None else None,
        goldens=outputs,
        tolerance=default_tolerance(trial.recipe, classifier=classifier),
    )


def _recorded(
    setup: Setup, trials: Trials, trial: Trial, made: Made, golden: SampleStore, per_run: int
) -> Arrays:
    """A variant's own golden answers."""
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
        rows=per_run,
    )


def _fitting(setup: Setup, golden: SampleStore) -> SampleStore | None:
    """As many requests as a bundle may hold the answers of; ``None`` where it can't hold one's."""
    batch, rows = setup.contract.batch, len(golden)
    arrays = (*setup.references.outputs(golden).values(), *golden.rows(np.arange(rows)).values())
    fit = int(MAX_TENSOR_BYTES * rows // max(1, *(a.nbytes for a in arrays))) // batch * batch
    if fit >= rows:
        return golden
    return golden.subset(np.arange(fit), setup.workdir / f"golden-{fit}.npy") if fit else None


def _golden_part(setup: Setup) -> SampleStore:
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


def _transform(transform: Transform | None) -> tuple[dict[str, object] | None, dict[str, Path]]:
    """The transform as JSON, with the files that it names moved into the bundle."""
    if transform is None:
        return None, {}
    files: dict[str, Path] = {}
    if isinstance(transform, TextTransform):
        files["transform/tokenizer.json"] = Path(transform.tokenizer)
        transform = msgspec.structs.replace(transform, tokenizer="transform/tokenizer.json")
    raw: dict[str, object] = msgspec.to_builtins(transform)
    return raw, files


def with_names(evidence: Evidence, names: dict[str, str]) -> Evidence:
    """The evidence with the name of the variant that each finalist became."""
    trials = tuple(msgspec.structs.replace(t, variant=names.get(t.id)) for t in evidence.trials)
    return msgspec.structs.replace(evidence, trials=trials)

"""From a closed search to the draft of a bundle."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from whet import __version__
from whet.bundle.draft import BundleDraft, VariantDraft
from whet.bundle.golden import default_tolerance
from whet.bundle.manifest import Cascade, CascadeStage, LatencySummary, QualitySummary
from whet.bundle.names import segment_of
from whet.core.evidence import Evidence, Trial
from whet.data.transform import TextTransform, Transform
from whet.search.closing.cascade import NAME
from whet.search.closing.close import Closed
from whet.search.closing.goldens import Recorded
from whet.search.ladder.trials import Trials
from whet.search.setup import Setup

__all__ = ["draft_of", "variant_names", "with_names"]

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
    """Everything for `whet.bundle.write.write_bundle`; it was ``created`` when it was packed."""
    names = variant_names(closed.finalists)
    classifier = setup.metric in _CLASSIFIER_METRICS
    variants = tuple(
        _variant(trials, trial, names[trial.id], closed.goldens, classifier=classifier)
        for trial in closed.finalists
    )
    transform, files = _transform(setup.transform)
    return BundleDraft(
        name=segment_of(setup.name, "model"),
        created=created,
        whet=__version__,
        machine=setup.machine,
        signature=setup.graph.signature,
        variants=variants,
        default=names[closed.chosen.id],
        goldens=closed.goldens.common,
        evidence=evidence,
        transform=transform,
        transform_files=files,
        notes=closed.notes,
        cascades=_cascades(closed, names),
    )


def _variant(
    trials: Trials, trial: Trial, name: str, goldens: Recorded, *, classifier: bool
) -> VariantDraft:
    quality = trial.certify or trial.select
    return VariantDraft(
        name=name,
        artifact=trials.made_for(trial).graph,
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
        goldens=goldens.own.get(trial.id),
        tolerance=default_tolerance(trial.recipe, classifier=classifier),
    )


def cascade_name(names: Iterable[str]) -> str:
    """The cascade's name among those of the variants; pure."""
    taken, name, number = set(names), NAME, 2
    while name in taken:
        name, number = f"{NAME}-{number}", number + 1
    return name


def _cascades(closed: Closed, names: Mapping[str, str]) -> tuple[Cascade, ...]:
    """The cascade in the form of a bundle, if it is packed."""
    found = closed.cascade
    if found is None or found.lost or found.certify is None:
        return ()
    stages = tuple(CascadeStage(names[s.trial], s.exit_share, s.gate) for s in found.stages)
    return (
        Cascade(
            name=cascade_name(names.values()),
            confidence=found.confidence,
            stages=stages,
            means=found.means,
            tail=found.tail,
            quality=QualitySummary.of(found.certify, certified=True),
        ),
    )


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
    """The evidence with the name of the variant that each finalist became, and the cascade."""
    trials = tuple(msgspec.structs.replace(t, variant=names.get(t.id)) for t in evidence.trials)
    cascade = evidence.cascade
    if cascade is not None and not cascade.lost:
        cascade = msgspec.structs.replace(cascade, variant=cascade_name(names.values()))
    return msgspec.structs.replace(evidence, trials=trials, cascade=cascade)

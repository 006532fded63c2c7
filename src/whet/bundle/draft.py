"""What a writer gives, and the plan of files that follows from it; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whet.bundle.golden import npy_bytes
from whet.bundle.manifest import (
    KIND,
    VERSION_OF_CASCADES,
    Cascade,
    FileEntry,
    GoldenSet,
    GoldenTensor,
    LatencySummary,
    Manifest,
    QualitySummary,
    Tolerance,
    Variant,
)
from whet.bundle.strictjson import encode
from whet.core.artifact import Artifact
from whet.core.evidence import Evidence, Machine
from whet.core.note import Note
from whet.core.recipe import Recipe
from whet.core.settings import Settings
from whet.core.spec import Arrays, Signature
from whet.errors import BundleError

__all__ = ["BundleDraft", "GoldenDraft", "Plan", "VariantDraft", "manifest_of", "plan_of"]

EVIDENCE = "evidence.json"


@dataclass(frozen=True)
class VariantDraft:
    """One variant to pack.

    Attributes:
        name: letters, digits, ``.``, ``_``, ``-``; unique.
        artifact: the model files; variants that share them are stored once.
        goldens: its own outputs on the draft's golden inputs, from
            `whet.bundle.golden.record`; ``None`` = it gets none.
        tolerance: for their replay, e.g. `whet.bundle.golden.default_tolerance`.
    """

    name: str
    artifact: Artifact
    runtime: str
    settings: Settings
    recipe: Recipe
    trial: str
    latency: tuple[LatencySummary, ...] = ()
    quality: QualitySummary | None = None
    resident_bytes: int | None = None
    goldens: Arrays | None = None
    tolerance: Tolerance | None = None


@dataclass(frozen=True)
class GoldenDraft:
    """Golden inputs and the original's outputs.

    Attributes:
        inputs: rows in the leading axis; a handful is enough.
        rows_per_run: rows given to the engine at once when outputs were recorded.
        reference: the untouched original's outputs.
    """

    inputs: Arrays
    rows_per_run: int = 1
    reference: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class BundleDraft:
    """Everything that goes into a bundle.

    Attributes:
        name: of the model; same grammar as file names.
        created: when it is packed; ISO 8601, UTC.
        whet: version of whet.
        variants: most accurate to fastest.
        default: name of the variant that keeps the contract best.
        transform: the transform as a plain JSON object; names of files in it
            are relative to the bundle and are keys of ``transform_files``.
        transform_files: name in the bundle -> file to copy.
        extra: further files, name in the bundle -> file to copy or bytes
            (a report); listed and hashed like all others.
        cascades: of the variants.
    """

    name: str
    created: str
    whet: str
    machine: Machine
    signature: Signature
    variants: tuple[VariantDraft, ...]
    default: str
    goldens: GoldenDraft | None = None
    evidence: Evidence | None = None
    transform: dict[str, Any] | None = None
    transform_files: Mapping[str, Path] = field(default_factory=dict)
    extra: Mapping[str, Path | bytes] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    cascades: tuple[Cascade, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Which files the bundle will hold.

    Attributes:
        sources: name in the bundle -> file to copy or bytes to write.
        variants: for each variant its file names and golden tensors.
        goldens: the common goldens.
    """

    sources: dict[str, Path | bytes]
    variants: tuple[tuple[tuple[str, ...], tuple[GoldenTensor, ...]], ...]
    goldens: GoldenSet | None


def plan_of(draft: BundleDraft) -> Plan:
    """Lay out the bundle.

    ``variants/NAME/`` holds model files, ``goldens/`` the tensors. Variants
    with the same files (the same graph under other settings) share the folder
    of the first.

    Raises:
        BundleError: two files want one name, or a golden can't be stored.
    """
    sources: dict[str, Path | bytes] = {}

    def add(name: str, source: Path | bytes) -> str:
        if name in sources:
            raise BundleError(f"Two files want the name '{name}'.", "Rename one of them.")
        sources[name] = source
        return name

    def tensors(folder: str, arrays: Arrays) -> tuple[GoldenTensor, ...]:
        return tuple(
            GoldenTensor(
                name,
                array.dtype.name,
                array.shape,
                add(f"goldens/{folder}/{number}.npy", npy_bytes(array, name)),
            )
            for number, (name, array) in enumerate(arrays.items())
        )

    shared: dict[tuple[Path, ...], tuple[str, ...]] = {}
    variants = []
    for variant in draft.variants:
        files = tuple(file.resolve() for file in variant.artifact.files())
        if files not in shared:
            names = [variant.artifact.file.name, *variant.artifact.sidecars]
            shared[files] = tuple(
                add(f"variants/{variant.name}/{name}", source)
                for name, source in zip(names, files, strict=True)
            )
        own = tensors(
            f"outputs/{variant.name}", _in_order(variant.goldens or {}, variant.artifact.signature)
        )
        variants.append((shared[files], own))
    goldens = None
    if draft.goldens is not None:
        inputs = {spec.name: draft.goldens.inputs.get(spec.name) for spec in draft.signature.inputs}
        present = {name: array for name, array in inputs.items() if array is not None}
        goldens = GoldenSet(
            rows=next((array.shape[0] for array in present.values() if array.ndim), 0),
            rows_per_run=draft.goldens.rows_per_run,
            inputs=tensors("inputs", present),
            reference=tensors("reference", _in_order(draft.goldens.reference, draft.signature)),
        )
    for name, source in (*draft.transform_files.items(), *draft.extra.items()):
        add(name, source)
    if draft.evidence is not None:
        add(EVIDENCE, encode(draft.evidence, EVIDENCE))
    return Plan(sources, tuple(variants), goldens)


def _in_order(outputs: Arrays, signature: Signature) -> Arrays:
    """Outputs in the signature's order; strangers last, so that the check names them."""
    order = {spec.name: number for number, spec in enumerate(signature.outputs)}
    return dict(sorted(outputs.items(), key=lambda item: order.get(item[0], len(order))))


def manifest_of(draft: BundleDraft, plan: Plan, files: dict[str, FileEntry]) -> Manifest:
    """The manifest for a draft whose files have been written."""
    variants = tuple(
        Variant(
            name=variant.name,
            runtime=variant.runtime,
            settings=variant.settings,
            format=variant.artifact.format,
            files=names,
            signature=variant.artifact.signature,
            recipe=variant.recipe,
            trial=variant.trial,
            latency=variant.latency,
            quality=variant.quality,
            resident_bytes=variant.resident_bytes,
            goldens=goldens,
            tolerance=variant.tolerance,
        )
        for variant, (names, goldens) in zip(draft.variants, plan.variants, strict=True)
    )
    return Manifest(
        kind=KIND,
        version=VERSION_OF_CASCADES if draft.cascades else 1,
        name=draft.name,
        whet=draft.whet,
        created=draft.created,
        machine=draft.machine,
        signature=draft.signature,
        variants=variants,
        default=draft.default,
        files=files,
        transform=draft.transform,
        transform_files=tuple(draft.transform_files),
        goldens=plan.goldens,
        evidence=EVIDENCE if draft.evidence is not None else None,
        notes=draft.notes,
        cascades=draft.cascades,
    )

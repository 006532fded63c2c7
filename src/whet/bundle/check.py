"""From hostile bytes to a manifest, and the rules that its types can't say."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from whet.bundle.manifest import (
    KIND,
    MANIFEST_LIMITS,
    VERSION,
    VERSION_OF_CASCADES,
    Cascade,
    GoldenTensor,
    Manifest,
    QualitySummary,
    Variant,
)
from whet.bundle.names import check_names, check_segment
from whet.bundle.strictjson import parse, to_struct
from whet.core.bounds import MOST_PARALLEL
from whet.core.settings import Settings
from whet.core.spec import Signature, TensorSpec
from whet.errors import BundleCorruptError, BundleVersionError

__all__ = [
    "DTYPES",
    "MANIFEST",
    "MAX_TENSOR_BYTES",
    "MAX_TOTAL_BYTES",
    "SEAL",
    "check_manifest",
    "decode_manifest",
]

MANIFEST = "manifest.json"
SEAL = "manifest.sha256"
MAX_TENSOR_BYTES = 64 << 20
MAX_TOTAL_BYTES = 1 << 40

# numpy's names -> bytes of one element. Neither objects nor strings nor records.
DTYPES = {
    "bool": 1,
    "uint8": 1,
    "int8": 1,
    "uint16": 2,
    "int16": 2,
    "uint32": 4,
    "int32": 4,
    "uint64": 8,
    "int64": 8,
    "float16": 2,
    "float32": 4,
    "float64": 8,
}
# Fields of a transform that name files (whet.data.transform).
_FILE_FIELDS = ("tokenizer",)
_MAX_SIZE = 1 << 31
_ROUNDING = 1e-6  # by which shares may miss 1
_MAX_ROUND_UP = 4096  # rounding up allocates: a short text must not become a gigabyte
_REMEDY = "The manifest was changed; get the bundle again from where it was made."


def decode_manifest(data: bytes) -> Manifest:
    """Decode and check a manifest.

    Raises:
        BundleVersionError: written by a newer whet.
        BundlePathError: a file name breaks the grammar.
        BundleCorruptError: anything else that is wrong with it.
    """
    plain = parse(data, MANIFEST, MANIFEST_LIMITS)
    if not isinstance(plain, dict) or plain.get("kind") != KIND:
        raise BundleCorruptError(
            "'manifest.json' is not the manifest of a whet bundle.",
            f'It must be a JSON object with "kind": "{KIND}".',
        )
    version = plain.get("version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise BundleCorruptError(
            f"'manifest.json' has the format version {version!r:.40}.", "It must be 1 or more."
        )
    if version > VERSION:
        raise BundleVersionError(
            f"The bundle has format version {version}; this whet reads up to {VERSION}.",
            "Install a newer whet: pip install --upgrade whet",
        )
    manifest = to_struct(plain, Manifest, MANIFEST)
    check_manifest(manifest)
    return manifest


def check_manifest(manifest: Manifest) -> None:
    """Check everything that can be checked without the files.

    Raises:
        BundlePathError: a file name breaks the grammar.
        BundleCorruptError: a name that isn't there, occurs twice or doesn't fit.
    """
    check_segment(manifest.name)
    check_names([MANIFEST, SEAL, *manifest.files])
    total = sum(entry.size_bytes for entry in manifest.files.values())
    _need(total <= MAX_TOTAL_BYTES, f"The files have {total} bytes together.")
    _check_signature(manifest.signature)
    _unique(manifest.names, "variant")
    _need(
        manifest.variant() is not None,
        f"The default variant {manifest.default[:100]!r} is not one of the variants.",
    )
    _listed(manifest, manifest.transform_files)
    _check_transform(manifest)
    if manifest.evidence is not None:
        _listed(manifest, (manifest.evidence,))
    for variant in manifest.variants:
        _check_variant(manifest, variant)
    _need(
        not manifest.cascades or manifest.version >= VERSION_OF_CASCADES,
        f"A bundle of version {manifest.version} has no cascades.",
    )
    for cascade in manifest.cascades:
        _check_cascade(manifest, cascade)
    _check_goldens(manifest)


def _need(holds: bool, message: str) -> None:
    if not holds:
        raise BundleCorruptError(message, _REMEDY)


def _unique(names: Iterable[str], what: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    _need(not twice, f"The {what} {twice[:1]} occurs twice.")


def _listed(manifest: Manifest, names: Iterable[str]) -> None:
    for name in names:
        _need(name in manifest.files, f"The file {name[:200]!r} is named but not listed.")


def _check_transform(manifest: Manifest) -> None:
    """A transform may name files of the bundle only; its other fields are its own decoder's part."""
    for field in _FILE_FIELDS:
        named = (manifest.transform or {}).get(field)
        _need(
            named is None or named in manifest.transform_files,
            f"The transform's {field} {str(named)[:100]!r} is not one of the bundle's files.",
        )


def _check_signature(signature: Signature) -> None:
    _need(bool(signature.inputs and signature.outputs), "A signature lacks inputs or outputs.")
    for side in (signature.inputs, signature.outputs):
        _unique((spec.name for spec in side), "tensor")
        for spec in side:
            _need(0 < len(spec.name) <= 512, f"The tensor name {spec.name[:40]!r} can't be used.")
            _need(spec.dtype in DTYPES, f"The dtype {spec.dtype[:40]!r} is not known.")
            _need(
                len(spec.shape) <= 16
                and all(isinstance(dim, str) or 0 <= dim <= _MAX_SIZE for dim in spec.shape),
                f"The shape of {spec.name!r} can't be used.",
            )


def _face(specs: tuple[TensorSpec, ...]) -> list[tuple[str, str, int]]:
    return [(spec.name, spec.dtype, len(spec.shape)) for spec in specs]


def _check_variant(manifest: Manifest, variant: Variant) -> None:
    check_segment(variant.name)
    _listed(manifest, variant.files)
    _unique(variant.files, "file")
    folders = {name.rpartition("/")[0] for name in variant.files}
    _need(len(folders) == 1, f"The files of '{variant.name}' lie in several folders.")
    _check_settings(variant.settings)
    _check_settings(variant.recipe.settings)
    _check_signature(variant.signature)
    if variant.quality is not None:
        _check_quality(variant.quality, variant.signature.outputs)
    for mine, common in (
        (variant.signature.inputs, manifest.signature.inputs),
        (variant.signature.outputs, manifest.signature.outputs),
    ):
        _need(
            _face(mine) == _face(common),
            f"The variant '{variant.name}' takes or gives other tensors than the bundle says.",
        )


def _check_cascade(manifest: Manifest, cascade: Cascade) -> None:
    """Its stages are variants: a cascade is no stage, so none can lead to itself."""
    check_segment(cascade.name)
    names, variants = [s.variant for s in cascade.stages], {v.name for v in manifest.variants}
    strangers = [name for name in names if name not in variants]
    _need(not strangers, f"The stage {strangers[:1]!r:.60} is not one of the variants.")
    _unique(names, "stage")
    *early, last = (stage.gate is not None for stage in cascade.stages)
    _need(all(early) and not last, "Each stage but the last must have a gate.")
    shares = sum(stage.exit_share for stage in cascade.stages)
    _need(abs(shares - 1) < _ROUNDING, f"Shares of {shares:.6g} leave the stages together.")
    scores = {s.name for s in manifest.signature.outputs if len(s.shape) > 1}
    read = cascade.confidence.output
    _need(read in scores, f"The output {read[:40]!r} holds no scores to be confident by.")
    symbol = manifest.signature.batch_symbol
    leading = {spec.shape[:1] for spec in manifest.signature.outputs}
    _need(symbol is not None and leading == {(symbol,)}, "The cascade has no rows to send on.")
    if cascade.quality is not None:
        _check_quality(cascade.quality, manifest.signature.outputs)


def _check_quality(quality: QualitySummary, outputs: tuple[TensorSpec, ...]) -> None:
    """Each output was checked or ignored at most once, and is one that the bundle has.

    The judged one may be checked as well (`whet.measure.constant`), but not ignored.
    """
    checked = [check.name for check in quality.outputs]
    own = [quality.output] if quality.output else []
    _unique([*checked, *quality.ignored], "checked output")
    _unique([*own, *quality.ignored], "judged output")
    strangers = {*checked, *quality.ignored, *own} - {spec.name for spec in outputs}
    _need(not strangers, f"Outputs were judged that aren't there: {sorted(strangers)[:1]!r:.60}.")


def _check_settings(settings: Settings) -> None:
    _need(
        0 < settings.threads <= MOST_PARALLEL
        and 0 < settings.streams <= MOST_PARALLEL
        and all(0 < size <= _MAX_SIZE for size in settings.fixed.values())
        and all(0 < size <= _MAX_ROUND_UP for size in settings.round_up.values()),
        "Threads, streams, fixed or rounded-up sizes of a variant can't be used.",
    )


def _check_goldens(manifest: Manifest) -> None:
    goldens = manifest.goldens
    if goldens is None:
        _need(
            not any(variant.goldens for variant in manifest.variants),
            "There are golden outputs without golden inputs.",
        )
        return
    _need(goldens.rows % goldens.rows_per_run == 0, "The golden rows can't be split into runs.")
    _tensors(manifest, goldens.inputs, manifest.signature.inputs)
    for tensor in goldens.inputs:
        _need(
            tensor.shape[:1] == (goldens.rows,),
            f"The golden input {tensor.name!r} doesn't have {goldens.rows} rows.",
        )
    if goldens.reference:
        _tensors(manifest, goldens.reference, manifest.signature.outputs)
    for variant in manifest.variants:
        if variant.goldens:
            _need(
                variant.tolerance is not None,
                f"The goldens of '{variant.name}' have no tolerance.",
            )
            _tensors(manifest, variant.goldens, manifest.signature.outputs)


def _tensors(
    manifest: Manifest, tensors: tuple[GoldenTensor, ...], specs: tuple[TensorSpec, ...]
) -> None:
    have = [(tensor.name, tensor.dtype, len(tensor.shape)) for tensor in tensors]
    _need(have == _face(specs), "The goldens don't fit the signature.")
    _listed(manifest, (tensor.file for tensor in tensors))
    for tensor in tensors:
        size = math.prod(tensor.shape) * DTYPES[tensor.dtype]
        _need(size <= MAX_TENSOR_BYTES, f"The golden {tensor.name!r} has {size} bytes.")

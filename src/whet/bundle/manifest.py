"""The manifest: what a bundle holds, as closed msgspec structs.

Shapes only: nothing here touches the disk. `whet.bundle.check` turns hostile
bytes into a `Manifest` whose every rule holds; `whet.bundle.read` then
compares it with the files.

The transform stays a raw JSON object here, because the data layer, which
knows its type, stands beside this one and not below it. Whoever imports both
converts it with ``msgspec.convert(manifest.transform, Transform)``.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from whet.bundle.strictjson import JsonLimits
from whet.core.artifact import Format
from whet.core.bounds import MOST_ROWS
from whet.core.cascade import MOST_STAGES, Confidence, Gate
from whet.core.evidence import (
    Latency,
    Machine,
    Means,
    OutputCheck,
    Percentile,
    Quality,
    StagedTail,
    Verdict,
)
from whet.core.note import Note
from whet.core.recipe import Recipe
from whet.core.settings import Settings
from whet.core.spec import Signature

__all__ = [
    "CODE_FORMATS",
    "KIND",
    "MANIFEST_LIMITS",
    "MAX_FILES",
    "VERSION",
    "VERSION_OF_CASCADES",
    "Cascade",
    "CascadeStage",
    "FileEntry",
    "GoldenSet",
    "GoldenTensor",
    "LatencySummary",
    "Manifest",
    "QualitySummary",
    "Tolerance",
    "Variant",
]

KIND = "whet-bundle"
VERSION = 2
VERSION_OF_CASCADES = 2  # a bundle without any is written as version 1, which older readers take
MANIFEST_LIMITS = JsonLimits(size_bytes=4 << 20)
MAX_FILES = 4096

# Opening these runs native code or unpickles; a bundle from a stranger must not get that far.
CODE_FORMATS = frozenset({Format.AOTI, Format.TORCH})

_Positive = Annotated[float, msgspec.Meta(ge=0)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class _Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Closed and immutable."""


class FileEntry(_Closed, frozen=True):
    """Size and SHA-256 (64 lower-case hex digits) of one file."""

    size_bytes: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
    sha256: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class GoldenTensor(_Closed, frozen=True):
    """One recorded tensor: its name in the signature, and its raw ``.npy`` file."""

    name: str
    dtype: str
    shape: tuple[Annotated[int, msgspec.Meta(ge=0, le=1 << 31)], ...]
    file: str


class GoldenSet(_Closed, frozen=True):
    """Recorded inputs, and what the untouched original answered to them.

    Attributes:
        rows: length of the leading axis of every input.
        rows_per_run: rows given to the engine at once, both when the outputs
            were recorded and when they are replayed: a network with dynamic
            quantisation answers a batch otherwise than its rows one by one.
        inputs: one tensor per input of the bundle's signature.
        reference: the original's outputs; empty where none were recorded.
    """

    rows: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)]
    rows_per_run: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)]
    inputs: tuple[GoldenTensor, ...]
    reference: tuple[GoldenTensor, ...] = ()


class Tolerance(_Closed, frozen=True):
    """How far a replayed output may be from the recorded one.

    Every element may differ by ``absolute + relative * m``, where ``m`` is the
    largest magnitude in the recorded tensor: reduced precision errs in
    proportion to a tensor's range, not to each element.

    Attributes:
        absolute: in units of the output.
        relative: share of the tensor's largest magnitude.
        top1: smallest share of rows whose largest element stays at its place;
            ``None`` = not checked (embeddings, regression).
    """

    absolute: _Positive
    relative: _Positive
    top1: _Share | None = None


class LatencySummary(_Closed, frozen=True):
    """Expected latency at one batch size and concurrency, on the machine of the manifest."""

    batch: Annotated[int, msgspec.Meta(ge=1)]
    concurrency: Annotated[int, msgspec.Meta(ge=1)]
    mean_ms: _Positive
    percentiles: tuple[Percentile, ...]
    throughput_per_s: _Positive

    @classmethod
    def of(cls, latency: Latency) -> LatencySummary:
        """The short form of a measured latency."""
        return cls(
            batch=latency.batch,
            concurrency=latency.concurrency,
            mean_ms=latency.mean_ms,
            percentiles=latency.percentiles,
            throughput_per_s=latency.throughput_per_s,
        )


class QualitySummary(_Closed, frozen=True, omit_defaults=True):
    """Certified (or, where ``certified`` is false, selected) quality against the original.

    The figures are those of the judged output, the verdict is that of all outputs together.
    What has a default is left out where it says nothing, as bundles did that had no such field.

    Attributes:
        output: the judged one.
        outputs: how each other output fared, and the judged one where it was compared too.
        ignored: outputs that nobody compared, as was asked.
        same: every output of an untouched engine is the original's but for rounding.
    """

    metric: str
    n: int
    reference: float
    candidate: float
    drop: float
    bound: float
    allowed: float
    confidence: float
    verdict: Verdict
    certified: bool
    output: str = ""
    outputs: tuple[OutputCheck, ...] = ()
    ignored: tuple[str, ...] = ()
    same: bool = False

    @classmethod
    def of(cls, quality: Quality, *, certified: bool) -> QualitySummary:
        """The short form of a judged quality."""
        shared = {
            name: getattr(quality, name) for name in cls.__struct_fields__ if name != "certified"
        }
        return cls(**shared, certified=certified)


class Variant(_Closed, frozen=True):
    """One way to run the model.

    Attributes:
        name: unique in the bundle.
        runtime: the registered runtime that opens it.
        settings: how that runtime compiles and runs it.
        format: what kind of file the first of ``files`` is.
        files: the main file, then its sidecars in the same folder.
        signature: inputs and outputs; same names, dtypes and ranks as the bundle's.
        recipe: how it was made.
        trial: id of its trial in the evidence.
        latency: what to expect, per batch size.
        quality: what it keeps of the original.
        resident_bytes: memory of a process that serves it, if measured.
        goldens: its own recorded outputs.
        tolerance: for the replay of its goldens.
    """

    name: str
    runtime: str
    settings: Settings
    format: Format
    files: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=MAX_FILES)]
    signature: Signature
    recipe: Recipe
    trial: str
    latency: tuple[LatencySummary, ...] = ()
    quality: QualitySummary | None = None
    resident_bytes: int | None = None
    goldens: tuple[GoldenTensor, ...] = ()
    tolerance: Tolerance | None = None

    @property
    def runs_code(self) -> bool:
        """Whether opening it runs code that came with the bundle."""
        return self.format in CODE_FORMATS


class CascadeStage(_Closed, frozen=True):
    """One stage of a cascade.

    Attributes:
        variant: whose engine runs.
        exit_share: share of the certify samples that left here.
        gate: when a row leaves; the last stage has none.
    """

    variant: str
    exit_share: _Share
    gate: Gate | None = None


class Cascade(_Closed, frozen=True):
    """Variants that run one after another until an answer is confident, as one more variant.

    Attributes:
        name: unique among variants and cascades.
        confidence: where a stage's confidence is read.
        stages: the quickest first.
        means: latency in the mean, beside single engines.
        tail: latency of a query that goes through every stage.
        quality: certified, of the executed cascade.
    """

    name: str
    confidence: Confidence
    stages: Annotated[tuple[CascadeStage, ...], msgspec.Meta(min_length=2, max_length=MOST_STAGES)]
    means: Means | None = None
    tail: StagedTail | None = None
    quality: QualitySummary | None = None


class Manifest(_Closed, frozen=True, omit_defaults=True):
    """What a bundle holds.

    Attributes:
        kind: always ``"whet-bundle"``.
        version: of the format.
        name: of the model.
        whet: version of whet that wrote it.
        created: when it was packed; ISO 8601, UTC.
        machine: where the variants were tuned and measured.
        signature: what every variant takes and gives.
        variants: most accurate to fastest.
        default: name of the variant that keeps the contract best.
        files: every file but the manifest and its seal.
        transform: from JPEG bytes or text to the inputs, as a raw JSON object.
        transform_files: files that the transform names (a tokenizer).
        goldens: recorded inputs and the original's outputs.
        evidence: file with the whole record of the search.
        cascades: of the variants; since version 2.
    """

    kind: str
    version: int
    name: str
    whet: str
    created: str
    machine: Machine
    signature: Signature
    variants: Annotated[tuple[Variant, ...], msgspec.Meta(min_length=1, max_length=64)]
    default: str
    files: Annotated[dict[str, FileEntry], msgspec.Meta(min_length=1, max_length=MAX_FILES)]
    transform: dict[str, Any] | None = None
    transform_files: tuple[str, ...] = ()
    goldens: GoldenSet | None = None
    evidence: str | None = None
    notes: tuple[Note, ...] = ()
    cascades: Annotated[tuple[Cascade, ...], msgspec.Meta(max_length=16)] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of all variants, then of all cascades: what may be asked for."""
        return (*(v.name for v in self.variants), *(c.name for c in self.cascades))

    def cascade(self, name: str | None) -> Cascade | None:
        """The cascade of that name, or ``None``."""
        return next((cascade for cascade in self.cascades if cascade.name == name), None)

    def variant(self, name: str | None = None) -> Variant | None:
        """The variant of that name (or the default), or ``None``."""
        wanted = self.default if name is None else name
        return next((variant for variant in self.variants if variant.name == wanted), None)

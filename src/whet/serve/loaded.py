"""An open bundle in this process: encoded samples or arrays in, answers out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self, final

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.bundle.golden import GoldenResult, load_goldens, replay
from whet.bundle.manifest import Cascade, Variant
from whet.bundle.read import Bundle, read_bundle
from whet.core.foreign import ArrayLike, array_of
from whet.core.places import engines_home
from whet.core.spec import Arrays
from whet.data.blobs import BLOBS, blob_of
from whet.data.transform import ImageTransform, TextTransform, Transform
from whet.errors import BundleCorruptError, InputError, OptionError
from whet.runtimes.base import Session
from whet.runtimes.cache import EngineCache
from whet.runtimes.cascade import CascadeSession
from whet.serve.cascades import open_cascade, replay_cascade, stage_goldens
from whet.serve.runtime import fewer_threads, runtime_of

__all__ = ["Inputs", "Loaded", "load", "load_from", "transform_of"]

Inputs = (
    Mapping[str, NDArray[np.generic] | ArrayLike]
    | NDArray[np.generic]
    | ArrayLike
    | Sequence[bytes | bytearray | memoryview]
    | Sequence[str]
    | Sequence[tuple[str, str]]
)


def load(
    path: str | Path,
    variant: str | None = None,
    *,
    trust_code: bool = False,
    engines: Path | None = None,
) -> Loaded:
    """Open a bundle: hashes checked, engine compiled or taken from the cache, goldens replayed.

    Args:
        path: of the bundle.
        variant: name of a variant or cascade; the default variant if left out.
        trust_code: allow variants whose files run native code.
        engines: the cache of compiled engines; the user's own if left out.

    Raises:
        BundleError: the bundle is refused, or its goldens don't come out here.
        HostError: its runtime isn't installed or known here.
    """
    return load_from(read_bundle(path), variant, trust_code=trust_code, engines=engines)


def load_from(
    bundle: Bundle,
    variant: str | None = None,
    *,
    trust_code: bool = False,
    engines: Path | None = None,
    most_threads: int | None = None,
) -> Loaded:
    """As `load`, of a bundle that was read: several variants of one are hashed once.

    ``most_threads`` is for an engine that has fewer cores than it was tuned for.
    """
    cache = EngineCache(engines if engines is not None else engines_home())
    chosen, session = _opened(bundle, variant, cache, trust_code, most_threads)
    loaded = Loaded(bundle, chosen, session, transform_of(bundle))
    try:
        loaded.self_test()
    except BaseException:
        loaded.close()
        raise
    return loaded


def _opened(
    bundle: Bundle,
    name: str | None,
    cache: EngineCache,
    trust_code: bool,
    most_threads: int | None,
) -> tuple[Variant | Cascade, Session]:
    cascade = bundle.manifest.cascade(name)
    if cascade is not None:
        whole = open_cascade(
            bundle, cascade, cache, trust_code=trust_code, most_threads=most_threads
        )
        return cascade, whole
    chosen = bundle.variant(name)
    artifact = bundle.artifact(chosen.name, trust_code=trust_code)
    settings = fewer_threads(chosen.settings, most_threads)
    return chosen, cache.opened(runtime_of(chosen), artifact, settings)[0]


def transform_of(bundle: Bundle) -> Transform | None:
    """The bundle's transform, checked.

    Raises:
        BundleCorruptError: the manifest holds something else.
    """
    raw = bundle.manifest.transform
    if raw is None:
        return None
    try:
        transform: Transform = msgspec.convert(raw, Transform)
    except (msgspec.ValidationError, OptionError) as error:
        raise BundleCorruptError(
            f"The bundle's transform can't be used: {error}.", "Get the bundle again."
        ) from error
    return transform


def _array(value: object, name: str) -> NDArray[np.generic]:
    """An array, or what another library holds as one; a list says no datatype."""
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, ArrayLike):
        raise InputError(f"{name} is a {type(value).__name__}.", "Give numpy arrays by name.")
    return array_of(value, name)


def _is_batch(inputs: object) -> bool:
    """Whether it is a list of samples: one text and the bytes of one picture are sequences too."""
    return (
        isinstance(inputs, Sequence) and not isinstance(inputs, (*BLOBS, str)) and len(inputs) > 0
    )


def _check_kinds(inputs: Sequence[object], kind: type | tuple[type, ...]) -> None:
    """Refuse a list in which one is of another kind: left out, it would shift all answers."""
    for index, item in enumerate(inputs):
        if not isinstance(item, kind):
            raise InputError(
                f"Input {index} is a {type(item).__name__}, the first is a"
                f" {type(inputs[0]).__name__}.",
                "Give a list of one kind.",
            )


@final
class Loaded:
    """One variant or cascade of a bundle, ready to answer. A context manager.

    Attributes:
        bundle: what it was read from.
        variant: the variant or cascade that runs.
        transform: from pictures or text to arrays; ``None`` = arrays only.
        session: the engine itself, for arrays.
    """

    def __init__(
        self,
        bundle: Bundle,
        variant: Variant | Cascade,
        session: Session,
        transform: Transform | None,
    ) -> None:
        self.bundle = bundle
        self.variant = variant
        self.transform = transform
        self.session = session
        self._encoder = (
            transform.encoder(bundle.folder) if isinstance(transform, TextTransform) else None
        )

    def run(self, inputs: Inputs) -> Arrays:
        """Answer: arrays by name, one array, pictures as bytes, texts or pairs of texts.

        Returns:
            The outputs by name, with the batch axis first.

        Raises:
            InputError: the inputs don't fit the model or its transform.
        """
        arrays = self.arrays(inputs)
        fixed = self.fixed_rows
        rows = {len(array) for array in arrays.values() if array.ndim}
        if fixed is None or rows in ({fixed}, set()) or len(rows) != 1:
            return self.session.run(arrays)
        return self._in_batches(arrays, rows.pop(), fixed)

    @property
    def fixed_rows(self) -> int | None:
        """Rows that the engine was compiled for; ``None`` where any number will do."""
        if isinstance(self.variant, Cascade):
            return None
        symbol = self.variant.signature.batch_symbol
        return self.variant.settings.fixed.get(symbol) if symbol is not None else None

    @property
    def left(self) -> tuple[int, ...]:
        """Rows that left at each stage of a cascade so far; empty of a variant."""
        return self.session.left if isinstance(self.session, CascadeSession) else ()

    def _in_batches(self, arrays: Arrays, rows: int, fixed: int) -> Arrays:
        """Run any number of rows through an engine of a fixed batch; the last is filled up."""
        if rows == 0:
            raise InputError("There are no rows to answer.", "Give at least one.")
        parts: list[Arrays] = []
        for start in range(0, rows, fixed):
            picks = np.minimum(np.arange(start, start + fixed), rows - 1)
            parts.append(self.session.run({n: array[picks] for n, array in arrays.items()}))
        return {name: np.concatenate([part[name] for part in parts])[:rows] for name in parts[0]}

    def arrays(self, inputs: Inputs) -> Arrays:
        """The arrays that the engine takes.

        Raises:
            InputError: the inputs don't fit.
        """
        if isinstance(inputs, Mapping):
            return {name: _array(array, f"Input '{name}'") for name, array in inputs.items()}
        if isinstance(inputs, (np.ndarray, ArrayLike)):
            return {self._only_input(): _array(inputs, "The input")}
        if not _is_batch(inputs):
            raise InputError(
                "A batch of samples is needed.", "Give a list, even for a single sample."
            )
        first = inputs[0]
        if isinstance(first, BLOBS) and isinstance(self.transform, ImageTransform):
            _check_kinds(inputs, BLOBS)
            blobs = [blob_of(item) for item in inputs]
            pictures = [self.transform.decode(blob) for blob in blobs if blob is not None]
            return {self.transform.input: np.stack(pictures)}
        if isinstance(first, (str, tuple)) and self._encoder is not None:
            _check_kinds(inputs, (str, tuple))
            texts = [item for item in inputs if isinstance(item, (str, tuple))]
            return self._encoder.encode(texts)
        raise InputError(
            f"This bundle can't take a list of {type(first).__name__}.",
            "Give arrays by name, pictures as bytes (image bundles) or texts (text bundles).",
        )

    def self_test(self) -> tuple[GoldenResult, ...]:
        """Replay the goldens on this machine.

        Raises:
            BundleCorruptError: an answer differs by more than its tolerance.
        """
        results = self._replayed()
        wrong = [result.sentence for result in results if not result.ok]
        if wrong:
            raise BundleCorruptError(
                f"The variant '{self.variant.name}' answers otherwise here than where it was made:"
                f" {' '.join(wrong)}",
                "Choose another variant, or run 'whet optimize' on this machine.",
            )
        return results

    def _replayed(self) -> tuple[GoldenResult, ...]:
        if isinstance(self.variant, Cascade) and isinstance(self.session, CascadeSession):
            recorded = stage_goldens(self.bundle, self.variant)
            return replay_cascade(self.variant, recorded, self.session) if recorded else ()
        goldens = load_goldens(self.bundle, self.variant.name)
        return tuple(replay(goldens, self.session.run)) if goldens is not None else ()

    def close(self) -> None:
        """Free the engine; closing twice is allowed."""
        self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _only_input(self) -> str:
        specs = self.session.signature.inputs
        if len(specs) != 1:
            raise InputError(
                f"The model takes {len(specs)} inputs: {', '.join(s.name for s in specs)}.",
                "Give arrays by name.",
            )
        return specs[0].name

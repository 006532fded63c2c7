"""Raw samples for a bench from end to end: pictures as they lie on disk, or texts."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path

import numpy as np

from whet.core.evidence import Percentile
from whet.data.image import MAX_BLOB_BYTES
from whet.data.readers.raw import open_raw, spread
from whet.data.text import Pairs, TextTransform
from whet.data.transform import ImageTransform, Transform
from whet.errors import OptionError, SamplesError
from whet.measure.statistics import percentiles
from whet.serve.loaded import Loaded
from whet.serve.queries import Asking

__all__ = ["raw_queries", "read_raw"]

_MOST = 256
_LOOKED = 20_000  # samples among which they are chosen, as many as a search reads
_MOST_BYTES = 256 << 20
_SHOWN = (50.0, 90.0, 99.0)

Raw = list[bytes] | list[str] | list[tuple[str, str]]


def read_raw(
    where: Path,
    transform: Transform | None,
    *,
    label_key: str | None = None,
    text_keys: tuple[str, ...] | None = None,
) -> Raw:
    """Some samples of a file or folder, spread over its classes where it has any.

    Args:
        where: a folder of pictures (class folders and `labels.csv` as for a search), one picture,
            texts in `.jsonl` or `.csv`, or a text file with one text a line.
        transform: of the bundle, which says whether pictures or texts are read.
        label_key: as `whet.data.readers.open_samples` takes it.
        text_keys: as `whet.data.readers.open_samples` takes them.

    Returns:
        At most 256 samples, the classes in turn. Pairs of texts are tuples, or two texts where
        they are encoded apart.

    Raises:
        OptionError: the bundle takes arrays only, or columns were named where there are none.
        SamplesError: nothing there, or it can't be read.
    """
    if transform is None:
        raise OptionError(
            "The bundle has no transform: it takes arrays, and there is nothing before its network.",
            "Leave --inputs out.",
        )
    source = open_raw(where, transform, label_key=label_key, text_keys=text_keys)
    order = spread([item.label for item in islice(source.items(None), _LOOKED)], _MOST)
    if not order:
        raise SamplesError(
            f"There is nothing to ask with at '{where}'.",
            "Give a folder of pictures (image bundles) or a file of texts (text bundles).",
        )
    ascending = sorted(order)
    found = dict(zip(ascending, source.items(np.array(ascending)), strict=False))
    if len(found) < len(order):
        raise SamplesError(
            f"'{where}' became shorter while it was read.", "Try again when nothing writes to it."
        )
    payloads = [found[index].payload for index in order]
    if isinstance(transform, ImageTransform):
        return _pictures([file for file in payloads if isinstance(file, Path)])
    texts = [texts for texts in payloads if isinstance(texts, tuple)]
    if source.texts == 1 or _pairs(transform, where) == "apart":
        return [text for pair in texts for text in pair]
    return [(first, second) for first, second in texts]


def _pairs(transform: Transform, where: Path) -> Pairs:
    if isinstance(transform, TextTransform) and transform.pairs is not None:
        return transform.pairs
    raise SamplesError(
        f"{where} holds pairs of texts, and the bundle was made with single texts.",
        "Give single texts, or name the one column to ask with by --text-keys.",
    )


def _pictures(files: list[Path]) -> list[bytes]:
    found: list[bytes] = []
    left = _MOST_BYTES
    for file in files:
        try:
            size = file.stat().st_size
            if size > MAX_BLOB_BYTES:
                raise SamplesError(
                    f"{file} takes {size:,} bytes; at most {MAX_BLOB_BYTES:,} are decoded.",
                    "Scale it down first.",
                )
            if size > left:
                break
            left -= size
            found.append(file.read_bytes())
        except OSError as error:
            raise SamplesError(
                f"{file} can't be read ({error.strerror}).", "Check its permissions."
            ) from error
    return found


class Stopwatch:
    """Answers raw queries, and keeps how long the transform and the network took for each."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._spent: list[tuple[float, float]] = []

    def run(self, query: Raw) -> None:
        """Transform and run."""
        begin = time.perf_counter()
        arrays = self._loaded.arrays(query)
        middle = time.perf_counter()
        self._loaded.run(arrays)
        self._spent.append((middle - begin, time.perf_counter() - middle))

    def parts(self, last: int) -> dict[str, tuple[Percentile, ...]]:
        """Percentiles of both parts over the last queries, in ms; the warm-up came before."""
        spent = np.asarray(self._spent[-last:] if last else [], np.float64).reshape(-1, 2) * 1e3
        names = ("transform", "network")
        return {n: percentiles([[spent[:, k]]], _SHOWN) for k, n in enumerate(names) if len(spent)}


def raw_queries(loaded: Loaded, samples: Raw, rows: int | None) -> Asking[Raw]:
    """Queries of raw samples, repeated where there are too few; see `golden_queries`."""
    asked = rows if rows is not None else loaded.fixed_rows or 1
    many = samples * -(-asked // len(samples))
    queries: list[Raw] = [many[k : k + asked] for k in range(0, len(many) - asked + 1, asked)]
    watch = Stopwatch(loaded)
    runs = -(-asked // (loaded.fixed_rows or asked))
    return Asking(watch.run, queries, asked, runs, watch.parts)

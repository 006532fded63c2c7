"""Raw samples for a bench from end to end: pictures as they lie on disk, or texts."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from whet.core.evidence import Percentile
from whet.data.image import MAX_BLOB_BYTES
from whet.data.readers.images import SUFFIXES
from whet.data.transform import ImageTransform, Transform
from whet.errors import OptionError, SamplesError
from whet.measure.statistics import percentiles
from whet.serve.loaded import Loaded
from whet.serve.queries import Asking

__all__ = ["raw_queries", "read_raw"]

_MOST = 256
_MOST_BYTES = 256 << 20
_SHOWN = (50.0, 90.0, 99.0)

Raw = list[bytes] | list[str]


def read_raw(where: Path, transform: Transform | None) -> Raw:
    """The first pictures of a folder (or one file), or the lines of a text file.

    Args:
        where: a folder of pictures, one picture, or a text file with one text a line.
        transform: of the bundle, which says which of them.

    Raises:
        OptionError: the bundle takes arrays only.
        SamplesError: nothing there, or it can't be read.
    """
    if transform is None:
        raise OptionError(
            "The bundle has no transform: it takes arrays, and there is nothing before its network.",
            "Leave --inputs out.",
        )
    try:
        if not isinstance(transform, ImageTransform):
            lines = where.read_text(encoding="utf-8").splitlines()
            found: Raw = [line for line in lines if line.strip()][:_MOST]
        else:
            found = _pictures(where)
    except (OSError, ValueError) as error:
        raise SamplesError(f"'{where}' can't be read ({error}).", "Check the path.") from error
    if not found:
        raise SamplesError(
            f"There is nothing to ask with at '{where}'.",
            "Give a folder of pictures (image bundles) or a file with one text a line (text bundles).",
        )
    return found


def _pictures(where: Path) -> list[bytes]:
    files = (
        sorted(p for p in where.iterdir() if p.suffix.lower() in SUFFIXES)
        if where.is_dir()
        else [where]
    )
    found: list[bytes] = []
    left = _MOST_BYTES
    for file in files[:_MOST]:
        size = file.stat().st_size
        if size > min(left, MAX_BLOB_BYTES):
            break
        left -= size
        found.append(file.read_bytes())
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

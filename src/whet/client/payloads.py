"""What a load test asks: samples of the user's, or random ones that the model takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whet.client.calls import Inputs
from whet.errors import SamplesError
from whet.serve.wire.datatypes import BYTES, NUMPY

__all__ = ["made_up", "samples_in"]

_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
_AXIS = 16  # size of an axis that may have any, but for the first
_DIFFERENT = 16  # questions that are made up
_MOST = 512  # samples that are read


def made_up(metadata: Mapping[str, Any], rows: int, seed: int) -> list[Inputs]:
    """Random questions: numbers from the normal distribution, or whole ones from 0 on.

    Args:
        metadata: of the model, as a server tells it.
        rows: of each question.
        seed: of the numbers.

    Raises:
        SamplesError: the model takes only what can't be made up.
    """
    rng = np.random.default_rng(seed)
    return [
        {spec["name"]: _random(spec, rows, rng) for spec in metadata["inputs"]}
        for _ in range(_DIFFERENT)
    ]


def _random(spec: Mapping[str, Any], rows: int, rng: np.random.Generator) -> NDArray[np.generic]:
    if spec["datatype"] == BYTES:
        raise SamplesError(
            f"Values of input '{spec['name']}' can't be made up.", "Give --inputs with samples."
        )
    free = [_AXIS if size < 0 else size for size in spec["shape"]]
    shape = [rows, *free[1:]] if spec["shape"] and spec["shape"][0] < 0 else free
    dtype = NUMPY[spec["datatype"]]
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    most = {"b": 2, "i": 2}.get(dtype.kind, 256)  # 0 and 1 are in any table that ids point into
    return rng.integers(0, most, shape).astype(dtype)


def samples_in(where: Path, metadata: Mapping[str, Any], rows: int) -> list[Inputs]:
    """Questions from files.

    Args:
        where: an ``.npz`` file with the model's inputs, a folder of pictures, or a file with one
            text a line.
        metadata: of the model; which input takes pictures or texts is among it.
        rows: of each question.

    Raises:
        SamplesError: there are none, or the model doesn't take such.
    """
    if where.suffix == ".npz":
        arrays = _arrays(where)
        wanted = sorted(spec["name"] for spec in metadata["inputs"])
        if sorted(arrays) != wanted:
            raise SamplesError(
                f"{where} holds {', '.join(sorted(arrays))}; the model takes {', '.join(wanted)}.",
                "Give the model's inputs, each by its name, and nothing else.",
            )
        return _rows_of(arrays, rows)
    if where.suffix in {".jsonl", ".csv"}:
        raise SamplesError(f"{where} isn't read here.", "Give one text a line, or an .npz file.")
    raw = (metadata.get("properties") or {}).get("raw_input")
    if raw is None:
        raise SamplesError("The model takes arrays only.", "Give an .npz file with its inputs.")
    samples = _pictures(where) if where.is_dir() else _lines(where)
    if not samples:
        raise SamplesError(f"There is nothing to ask with in {where}.", "Give pictures or texts.")
    every = [samples[k % len(samples)] for k in range(max(len(samples), rows))]
    return [{raw: every[k : k + rows]} for k in range(0, len(every) - rows + 1, rows)]


def _arrays(where: Path) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(where, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise SamplesError(f"{where} can't be read: {error}.", "Give an .npz file.") from error


def _rows_of(arrays: Mapping[str, NDArray[np.generic]], rows: int) -> list[Inputs]:
    counts = {len(array) if array.ndim else 0 for array in arrays.values()}
    if len(counts) != 1 or not counts - {0}:
        raise SamplesError("The arrays have different numbers of rows.", "Give as many of each.")
    (count,) = counts
    picks = np.resize(np.arange(count), max(rows, min(count, _MOST) // rows * rows))
    return [
        {name: array[picks[k : k + rows]] for name, array in arrays.items()}
        for k in range(0, len(picks), rows)
    ]


def _pictures(where: Path) -> Sequence[bytes]:
    files = sorted(p for p in where.rglob("*") if p.suffix.lower() in _PICTURES)
    return [file.read_bytes() for file in files[:_MOST]]


def _lines(where: Path) -> Sequence[bytes]:
    try:
        lines = where.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SamplesError(f"{where} can't be read: {error}.", "Give one text a line.") from error
    return [line.encode() for line in lines if line.strip()][:_MOST]

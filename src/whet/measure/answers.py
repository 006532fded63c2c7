"""Answers of a model to every row of a store, as files: one ``.npy`` per output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from whet.core.context import Feed
from whet.core.spec import Arrays
from whet.errors import EngineError, MeasurementError

__all__ = ["load_outputs", "write_outputs"]

_INDEX = "outputs.json"


class _Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names of the outputs; number i lies in ``i.npy``."""

    names: tuple[str, ...]
    rows: int


def write_outputs(
    run: Callable[[Arrays], Arrays], feed: Feed, where: Path, batch: int, *, fixed: bool
) -> tuple[str, ...]:
    """Answer every row and write one array per output into ``where``.

    Where the size of other axes varies between batches (sequences), answers are padded
    with zeros to the largest.

    Args:
        run: answers one batch.
        feed: the rows.
        where: a folder; made if it is missing.
        batch: rows at once.
        fixed: the engine takes exactly ``batch`` rows, so the last batch is filled up
            and the surplus answers are dropped.

    Returns:
        The outputs' names in the engine's order.

    Raises:
        EngineError: an output has no batch axis.
    """
    where.mkdir(parents=True, exist_ok=True)
    rows, files = len(feed), _Files(where, len(feed))
    start = 0
    for inputs in feed.batches(batch):
        size = len(next(iter(inputs.values())))
        given = batch if fixed else size
        answers = run(_filled(inputs, batch) if size < given else inputs)
        for name, array in answers.items():
            if array.ndim == 0 or len(array) != given:
                raise EngineError(
                    f"Output '{name}' has shape {array.shape} for {given} rows: no batch axis.",
                    f"Leave it out with --ignore-output {name} when the network is optimised.",
                )
            files.put(name, start, array[:size])
        start += size
    names = files.close()
    (where / _INDEX).write_bytes(msgspec.json.encode(_Index(names, rows)))
    return names


def _filled(inputs: Arrays, batch: int) -> Arrays:
    return {
        name: np.concatenate([array, np.repeat(array[-1:], batch - len(array), axis=0)])
        for name, array in inputs.items()
    }


class _Files:
    """Arrays on disk that grow where a batch needs longer axes."""

    def __init__(self, where: Path, rows: int) -> None:
        self._where, self._rows = where, rows
        self._maps: dict[str, np.memmap[tuple[int, ...], np.dtype[np.generic]]] = {}

    def put(self, name: str, start: int, part: NDArray[np.generic]) -> None:
        have = self._maps.get(name)
        want = part.shape[1:] if have is None else tuple(map(max, have.shape[1:], part.shape[1:]))
        if have is None or have.shape[1:] != want:
            have = self._grown(name, have, want, part.dtype, start)
        inner = tuple(slice(size) for size in part.shape[1:])
        have[(slice(start, start + len(part)), *inner)] = part

    def _grown(
        self,
        name: str,
        old: np.memmap[tuple[int, ...], np.dtype[np.generic]] | None,
        shape: tuple[int, ...],
        dtype: np.dtype[np.generic],
        filled: int,
    ) -> np.memmap[tuple[int, ...], np.dtype[np.generic]]:
        number = len(self._maps) if old is None else list(self._maps).index(name)
        target = self._where / f"{number}.npy"
        growing = target.with_suffix(".growing")
        new = open_memmap(growing, mode="w+", dtype=dtype, shape=(self._rows, *shape))
        if old is not None:
            inner = tuple(slice(size) for size in old.shape[1:])
            new[(slice(filled), *inner)] = old[:filled]
        growing.replace(target)
        self._maps[name] = new
        return new

    def close(self) -> tuple[str, ...]:
        for array in self._maps.values():
            array.flush()
        names = tuple(self._maps)
        self._maps.clear()
        return names


def load_outputs(where: Path) -> Arrays:
    """The arrays that `write_outputs` wrote, memory-mapped, in the engine's order.

    Raises:
        MeasurementError: the folder is missing or damaged.
    """
    try:
        index = msgspec.json.decode((where / _INDEX).read_bytes(), type=_Index)
        arrays: Arrays = dict(_mapped(where, index))
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise MeasurementError(
            f"The answers in {where} can't be read ({error}).", "Run the model again."
        ) from error
    return arrays


def _mapped(where: Path, index: _Index) -> Iterator[tuple[str, NDArray[np.generic]]]:
    for number, name in enumerate(index.names):
        array = np.load(where / f"{number}.npy", mmap_mode="r", allow_pickle=False)
        if len(array) != index.rows:
            raise ValueError(f"'{name}' has {len(array)} rows, not {index.rows}")
        yield name, array

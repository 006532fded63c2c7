"""The contract suite of readers; a reader joins with one line.

    class TestMine(ReaderContract):
        case = ReaderCase(write, open_mine, mark)

The suite holds a reader to what `whet.data.sample.Reader` promises: it counts
right, gives the same samples in the same order each time, under names that stay,
each with its own label; picks by index exactly what reading to the end would
give there; holds a bounded part of its source; leaves no file open and no thread
behind, wherever reading stops; and says with a typed error and a remedy what it
can't do.

Samples are told apart by what they hold: ``write`` puts a mark into each,
``mark`` reads it back.
"""

from __future__ import annotations

import gc
import math
import shutil
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from whet.data.sample import Label, Reader, Sample
from whet.data.store import write_store
from whet.errors import SamplesError
from whet.testing.reader_checks import fits, nothing_left_behind, same

__all__ = ["ReaderCase", "ReaderContract"]

_COUNT = 23
# What Python's objects around a sample may take: names, dicts, array headers.
_OBJECT_BYTES = 1024


@dataclass(frozen=True)
class ReaderCase:
    """What the suite needs to know of a reader.

    Attributes:
        write: puts a source of so many samples into an empty folder.
        open: opens the source in a folder.
        mark: which number, below ``marks``, a sample holds.
        marks: sample ``i`` holds the mark ``i % marks``.
        label: of sample ``i``; ``None`` for a source without labels.
        spoil: damages the source in a folder, where that is possible.
        rereads: whether it can be read more than once; one that can't must say so.
        many: samples that are more than it reads ahead, for the test of its memory.
    """

    write: Callable[[Path, int], None]
    open: Callable[[Path], Reader]
    mark: Callable[[Sample], int]
    marks: int = 1 << 30
    label: Callable[[int], Label] | None = None
    spoil: Callable[[Path], None] | None = None
    rereads: bool = True
    many: int = 600


class ReaderContract:
    """Inherit and set ``case``."""

    case: ClassVar[ReaderCase]

    def _folder(self, tmp_path: Path, count: int = _COUNT) -> Path:
        folder = tmp_path / f"source-{count}"
        folder.mkdir()
        self.case.write(folder, count)
        return folder

    def _reader(self, tmp_path: Path, count: int = _COUNT) -> Reader:
        return self.case.open(self._folder(tmp_path, count))

    def _marks(self, samples: list[Sample]) -> list[int]:
        return [self.case.mark(sample) for sample in samples]

    def test_describes_itself(self, tmp_path: Path) -> None:
        reader = self._reader(tmp_path)
        assert reader.source
        assert reader.inputs
        assert len({spec.name for spec in reader.inputs}) == len(reader.inputs)
        assert all(isinstance(spec.shape[0], str) for spec in reader.inputs)
        assert reader.rows_per_sample in (1, 2)
        assert reader.labelled == (self.case.label is not None)
        assert all(note.where and note.reason for note in reader.notes)

    @pytest.mark.parametrize("count", [1, _COUNT, 150])
    def test_gives_every_sample_once_in_order(self, tmp_path: Path, count: int) -> None:
        reader = self._reader(tmp_path, count)
        assert reader.count in (None, count)
        assert self._marks(list(reader.read())) == [i % self.case.marks for i in range(count)]

    def test_rows_are_what_it_says(self, tmp_path: Path) -> None:
        reader = self._reader(tmp_path)
        for sample in reader.read():
            assert len(sample.rows) == reader.rows_per_sample
            assert fits(sample, reader.inputs)

    def test_each_sample_has_its_own_label(self, tmp_path: Path) -> None:
        samples = list(self._reader(tmp_path).read())
        label = self.case.label
        want = [None if label is None else label(i) for i in range(len(samples))]
        assert [s.label for s in samples] == want
        assert all(type(s.label) in (int, float, type(None)) for s in samples)

    def test_names_tell_samples_apart_and_stay(self, tmp_path: Path) -> None:
        folder = self._folder(tmp_path)
        names = [sample.name for sample in self.case.open(folder).read()]
        assert all(names)
        assert len(set(names)) == len(names)
        assert [sample.name for sample in self.case.open(folder).read()] == names

    def test_opened_again_it_gives_the_same(self, tmp_path: Path) -> None:
        folder = self._folder(tmp_path)
        first, second = self.case.open(folder), self.case.open(folder)
        assert (first.inputs, first.count, first.notes) == (
            second.inputs,
            second.count,
            second.notes,
        )
        pairs = list(zip(first.read(), second.read(), strict=True))
        assert len(pairs) == _COUNT
        assert all(same(a, b) for a, b in pairs)

    def test_read_again_it_gives_the_same_or_says_that_it_cannot(self, tmp_path: Path) -> None:
        reader = self._reader(tmp_path)
        first = list(reader.read())
        if not self.case.rereads:
            with pytest.raises(SamplesError) as refusal:
                list(reader.read())
            assert refusal.value.remedy
            return
        assert all(same(a, b) for a, b in zip(first, reader.read(), strict=True))

    def test_two_readings_at_once_do_not_mix(self, tmp_path: Path) -> None:
        if not self.case.rereads:
            pytest.skip("it can be read only once")
        reader = self._reader(tmp_path)
        slow, fast = reader.read(), reader.read()
        first = next(slow)
        assert all(same(a, b) for a, b in zip(list(fast), [first, *slow], strict=True))

    def test_a_reading_that_stopped_early_does_not_shorten_the_next(self, tmp_path: Path) -> None:
        if not self.case.rereads:
            pytest.skip("it can be read only once")
        reader = self._reader(tmp_path)
        with closing(reader.read()) as stream:
            next(stream)
        assert len(list(reader.read())) == _COUNT

    @pytest.mark.parametrize(
        "chosen", [[0], [22], [0, 22], [3, 4, 5], [1, 2, 9, 10, 21], list(range(23)), []]
    )
    def test_chosen_samples_are_those_at_their_places(
        self, tmp_path: Path, chosen: list[int]
    ) -> None:
        reader = self._reader(tmp_path)
        indices = np.array(chosen, np.int64)
        if reader.count is None:
            if chosen:
                with pytest.raises(SamplesError) as refusal:
                    list(reader.read(indices))
                assert refusal.value.remedy
            return
        every, some = list(reader.read()), list(reader.read(indices))
        assert all(same(a, every[i]) for a, i in zip(some, chosen, strict=True))

    @pytest.mark.parametrize("chosen", [[23], [-1], [-1, 0], [4, 3], [5, 5]])
    def test_refuses_places_that_it_does_not_have(self, tmp_path: Path, chosen: list[int]) -> None:
        reader = self._reader(tmp_path)
        with pytest.raises(SamplesError) as refusal:
            list(reader.read(np.array(chosen, np.int64)))
        assert refusal.value.remedy

    @pytest.mark.parametrize("taken", [0, 1, 7, _COUNT])
    def test_leaves_nothing_behind(self, tmp_path: Path, taken: int) -> None:
        folder = self._folder(tmp_path)
        with nothing_left_behind(folder):
            reader = self.case.open(folder)
            with closing(reader.read()) as stream:
                for _ in range(taken):
                    next(stream)
            del stream, reader

    def test_memory_does_not_grow_with_the_source(self, tmp_path: Path) -> None:
        """Of three times as many samples it holds fewer than ``many`` at any time."""
        many = self.case.many
        reader = self._reader(tmp_path, 3 * many)
        peak, row_bytes = self._peak(reader)
        assert peak < many * (row_bytes + _OBJECT_BYTES), (peak, row_bytes)

    def _peak(self, reader: Reader) -> tuple[int, int]:
        """Bytes allocated at most while samples go by and none is kept, and bytes a sample."""
        seen = total = 0
        gc.collect()
        tracemalloc.start()
        try:
            for sample in reader.read():
                seen += 1
                total += sum(array.nbytes for row in sample.rows for array in row.values())
                del sample
            return tracemalloc.get_traced_memory()[1], total // max(seen, 1)
        finally:
            tracemalloc.stop()

    def test_says_what_is_damaged(self, tmp_path: Path) -> None:
        if self.case.spoil is None:
            pytest.skip("nothing of it can be damaged")
        folder = self._folder(tmp_path)
        self.case.spoil(folder)
        with nothing_left_behind(folder):
            with pytest.raises(SamplesError) as refusal:
                list(self.case.open(folder).read())
            assert refusal.value.message
            assert refusal.value.remedy
            # Its frames hold what the reader held; they must not count as left behind.
            refusal.value.with_traceback(None)
            del refusal

    def test_a_source_that_goes_away_is_an_error_of_ours(self, tmp_path: Path) -> None:
        """It may hold what it needs already; then nothing is missing."""
        folder = self._folder(tmp_path)
        reader = self.case.open(folder)
        shutil.rmtree(folder)
        remedy, samples = "", []
        try:
            samples = list(reader.read())
        except SamplesError as error:
            remedy = error.remedy
        assert remedy or self._marks(samples) == [i % self.case.marks for i in range(_COUNT)]

    @pytest.mark.parametrize("count", [5, 40])
    def test_a_source_that_changes_its_size_is_not_taken_for_the_old_one(
        self, tmp_path: Path, count: int
    ) -> None:
        """Labels given apart would belong to other samples. It may hold the old one still."""
        folder = self._folder(tmp_path)
        reader = self.case.open(folder)
        if reader.count is None:
            pytest.skip("it promises no number")
        shutil.rmtree(folder)
        folder.mkdir()
        self.case.write(folder, count)
        remedy, samples = "", []
        try:
            samples = list(reader.read())
        except SamplesError as error:
            remedy = error.remedy
        assert remedy or len(samples) == reader.count

    def test_a_store_takes_it_as_it_is(self, tmp_path: Path) -> None:
        reader = self._reader(tmp_path)
        store = write_store(reader, tmp_path / "store", limit=1000, seed=0)
        assert (store.samples, store.rows_per_sample) == (_COUNT, reader.rows_per_sample)
        assert store.inputs == reader.inputs or any(
            isinstance(size, str) for spec in reader.inputs for size in spec.shape[1:]
        )
        if self.case.label is None:
            assert store.labels is None
            return
        assert store.labels is not None
        want = [self.case.label(i) for i in range(_COUNT)]
        assert all(math.isclose(a, b) for a, b in zip(store.labels, want, strict=True))

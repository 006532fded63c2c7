"""Samples as they lie on disk, neither decoded nor tokenised, and which of them to ask with.

What is read is what `whet.data.readers.open_samples` reads for the same transform, with the same
columns: a folder of pictures with or without class folders or a `labels.csv`, texts in `.jsonl`
or `.csv`. One picture and plain text with one text a line are taken too. Labels say only which
samples are alike, so that they may be anything: words, and of a network that names no classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar, final

import numpy as np
from numpy.typing import NDArray

from whet.core.reach import readable
from whet.data.image import ImageTransform
from whet.data.readers.images import SUFFIXES, list_pictures
from whet.data.readers.labels import ReadLabel, label_reader
from whet.data.readers.stream import Item
from whet.data.readers.table import text_lines
from whet.data.readers.text import TextFile, picked
from whet.data.sample import Label
from whet.data.transform import Transform
from whet.errors import OptionError, SamplesError

__all__ = ["RawSource", "open_raw", "spread"]

T = TypeVar("T")

_RECORDS = (".jsonl", ".csv")
_OTHER_KINDS = (".json", ".ndjson", ".tsv", ".parquet", ".npz", ".npy", ".py")


@final
@dataclass(frozen=True)
class RawSource:
    """Where raw samples come from.

    Attributes:
        items: of all samples or of those at ascending indices. The payload is the path of a
            picture, or a tuple of one or two texts.
        texts: in a sample; 0 for pictures.
    """

    items: Callable[[NDArray[np.int64] | None], Iterator[Item]]
    texts: int = 0


def open_raw(
    where: Path,
    transform: Transform,
    *,
    label_key: str | None = None,
    text_keys: tuple[str, ...] | None = None,
) -> RawSource:
    """The samples of a file or folder that a transform takes.

    Args:
        where: pictures for an image transform, texts for a text transform.
        transform: of the bundle.
        label_key: as `whet.data.readers.open_samples` takes it.
        text_keys: as `whet.data.readers.open_samples` takes them.

    Raises:
        SamplesError: missing, unreadable, or of another kind than the transform takes.
        OptionError: columns were named where there are none.
    """
    if not readable(where, SamplesError).there:
        raise SamplesError(f"There is no file or folder {where}.", "Check the path.")
    suffix = where.suffix.lower()
    if not isinstance(transform, ImageTransform) and suffix in _RECORDS and where.is_file():
        texts = TextFile.open(where, label_key=label_key, text_keys=text_keys, read_label=_alike())
        return RawSource(texts.items, len(texts.keys))
    if text_keys is not None:
        raise OptionError(f"{where} has no columns of text.", "Leave the text keys out.")
    if isinstance(transform, ImageTransform):
        return _pictures(where, label_key)
    if where.is_dir() or suffix in _OTHER_KINDS:
        raise SamplesError(
            f"{where} holds no texts that can be read.",
            "Give a .jsonl or .csv file, or plain text with one text a line.",
        )
    if label_key is not None:
        raise OptionError(f"{where} has no column of labels.", "Leave the label key out.")
    return RawSource(lambda chosen: picked(_lines(where), chosen), 1)


def _alike() -> ReadLabel:
    """Numbers for labels: their own if they are numbers, else one for each different label."""
    read = label_reader(None)
    others: dict[str, int] = {}

    def number(value: object, key: str, name: str) -> Label:
        try:
            return read(value, key, name)
        except SamplesError:  # no label for a search, which reads what it means
            return others.setdefault(repr(value), -2 - len(others))

    return number


def spread(labels: Sequence[Label | None], most: int) -> list[int]:
    """Which samples to ask with, and in which order: classes take turns; pure.

    A network may be faster on one kind of input than on another, and folders and files are
    often sorted by class. Without classes the samples are evenly spaced.

    Args:
        labels: one a sample; classes are whole numbers.
        most: samples to take at most.
    """
    classes: dict[int, list[int]] = {}
    for index, label in enumerate(labels):
        classes.setdefault(label if isinstance(label, int) else -1, []).append(index)
    if len(classes) < 2:
        return _evenly(list(range(len(labels))), most)
    groups = _evenly([classes[label] for label in sorted(classes)], most)
    turns = zip_longest(*groups)
    return [index for turn in turns for index in turn if index is not None][:most]


def _evenly(things: Sequence[T], most: int) -> list[T]:
    count = min(most, len(things))
    return [things[k * len(things) // count] for k in range(count)]


def _pictures(where: Path, label_key: str | None) -> RawSource:
    if where.is_dir():
        files, labels, _ = list_pictures(where, label_key, _alike())
    elif where.suffix.lower() in SUFFIXES:
        where, files, labels = where.parent, [where.name], None
    else:
        raise SamplesError(
            f"{where} is no picture.", f"Pictures end in {', '.join(sorted(SUFFIXES))}."
        )

    def items(chosen: NDArray[np.int64] | None) -> Iterator[Item]:
        for i in range(len(files)) if chosen is None else map(int, chosen):
            yield Item(files[i], where / files[i], None if labels is None else labels[i])

    return RawSource(items)


def _lines(path: Path) -> Iterator[Item]:
    for number, line in text_lines(path, "Write one text a line."):
        name = f"line {number} of {path.name}"
        try:
            text = line.decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise SamplesError(
                f"Line {number} of {path} isn't UTF-8 text ({error.reason}).",
                "Save it as UTF-8 text.",
            ) from error
        yield Item(name, (text,))

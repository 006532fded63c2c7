"""Files that hold nothing but labels: `.npy`, `.npz`, or one column of a `.csv` or `.txt`."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from whet.core.reach import Kind, readable
from whet.data.readers.label_names import LABEL_KEYS, SCORES, number_in
from whet.data.readers.npz import Member, list_members
from whet.errors import SamplesError

__all__ = ["check_label_file", "read_label_file"]

KINDS = (
    "Give a .npy file, an .npz file with one array, or a .csv or .txt file with one label a line."
)
_ONE_A_LINE = (
    "Write one class index (0, 1, ...) or score a line; the first line may name the column."
)


def check_label_file(path: Path) -> None:
    """Refuse, before anything is read, what isn't there or is of no kind that is known.

    Raises:
        SamplesError: with the remedy.
    """
    kind = readable(path, SamplesError)
    if kind is Kind.FOLDER:
        raise SamplesError(f"The labels in {path} can't be read: it is a folder.", KINDS)
    if not kind.there:
        raise SamplesError(f"There is no file {path} to take labels from.", "Check the path.")
    if kind is not Kind.FILE:  # a FIFO may never give anything
        raise SamplesError(f"The labels in {path} can't be read: it is no regular file.", KINDS)
    if path.suffix.lower() not in _READERS:
        raise SamplesError(f"{path} is of no kind from which labels are read.", KINDS)


def read_label_file(path: Path) -> NDArray[np.generic]:
    """The array of labels in a file, as it stands there; nothing is ever unpickled.

    Raises:
        SamplesError: see `check_label_file`; damaged, or several arrays or columns.
    """
    check_label_file(path)
    try:
        return _READERS[path.suffix.lower()](path)
    except OSError as error:
        raise SamplesError(
            f"The labels in {path} can't be read ({error.strerror or error}).",
            "Check that it is a file that may be read.",
        ) from error


def _npy(path: Path) -> NDArray[np.generic]:
    try:
        # Mapped first: a header that states more than the file holds reserves nothing.
        return np.array(np.lib.format.open_memmap(path, mode="r"))
    except (ValueError, EOFError) as error:
        raise SamplesError(
            f"{path} is no .npy file of plain numbers.", "Write the labels with numpy.save."
        ) from error


def _npz(path: Path) -> NDArray[np.generic]:
    members = list_members(path)
    usual = [name for name in members if name in LABEL_KEYS]
    names = usual if len(members) > 1 else list(members)
    if len(names) != 1:
        raise SamplesError(
            f"{path} holds {', '.join(sorted(members)) or 'no array'}, and nothing says which are"
            " the labels.",
            "Save them alone with numpy.save, or call them 'labels' and nothing else so.",
        )
    with Member(path, names[0]) as member:
        # A scalar has no rows; what is no vector is refused by its shape.
        if not member.shape:
            return np.zeros((), member.dtype)
        return member.rows(0, member.shape[0])


def _column(path: Path) -> NDArray[np.generic]:
    """One number a line. A first line that is none names the column."""
    scores, values = False, list[int | float]()
    for number, text, quoted in _fields(path):
        whole = number_in(text, int)
        value = number_in(text, float) if whole is None else whole
        if value is not None:
            values.append(value)
        elif values or number > 1 or not (quoted or _is_name(text)):
            raise SamplesError(f"Line {number} of {path} is {text!r:.60}, no number.", _ONE_A_LINE)
        else:
            scores = text in SCORES
    if not values:
        raise SamplesError(f"{path} holds no labels.", _ONE_A_LINE)
    return np.array(values, np.float64) if scores else np.array(values)


def _is_name(text: str) -> bool:
    """Whether it may be meant as the name of a column: ``0x1`` and ``1,5`` are wrong numbers."""
    return text[0].isalpha() or text[0] == "_"


def _fields(path: Path) -> Iterator[tuple[int, str, bool]]:
    """The lines that aren't blank, with their numbers (from 1), and whether they are quoted."""
    last = deque[str](maxlen=1)  # as it stands there, which a CSV reader doesn't tell

    def lines(stream: TextIO) -> Iterator[str]:
        for line in stream:
            last.append(line)
            yield line

    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(lines(stream), strict=True)
            for row in reader:
                if len(row) > 1:
                    raise SamplesError(
                        f"Line {reader.line_num} of {path} has {len(row)} columns.", _ONE_A_LINE
                    )
                if row and row[0].strip():
                    yield reader.line_num, row[0].strip(), last[0].lstrip().startswith('"')
    except (UnicodeDecodeError, csv.Error) as error:
        raise SamplesError(f"{path} is no text of one label a line.", _ONE_A_LINE) from error


_READERS: Mapping[str, Callable[[Path], NDArray[np.generic]]] = MappingProxyType(
    {".npy": _npy, ".npz": _npz, ".csv": _column, ".txt": _column}
)

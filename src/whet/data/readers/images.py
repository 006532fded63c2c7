"""A folder of pictures: class folders, or a flat folder with or without a `labels.csv`.

Class folders named by plain numbers are class indices. Others are the network's
classes of these names, where it says names (`whet.data.readers.classes`), else they
are numbered in the order of their sorted names. A `labels.csv` in the
folder wins over both; it has a column for the file (``file``, ``filename``,
``path`` or ``image``) and may have one for the label.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whet.core.note import Note
from whet.data.image import ImageTransform
from whet.data.readers.classes import ClassNames, numbered
from whet.data.readers.decode import decode_pictures
from whet.data.readers.label_names import find_label_key, unread_notes
from whet.data.readers.labels import ReadLabel, label_reader
from whet.data.readers.stream import Item, StreamReader, pool_size
from whet.data.readers.table import csv_rows
from whet.data.sample import Label, Reader
from whet.data.transform import Transform
from whet.errors import SamplesError

__all__ = ["SUFFIXES", "list_pictures", "open_images"]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".ppm", ".pgm"})
_TABLE = "labels.csv"
_TOLD = 3  # names that show the order
_UNSEEN = ("val", "valid", "validation", "test")  # parts of a data set not trained on
_FILE_COLUMNS = ("file", "filename", "path", "image")
Listing = tuple[list[str], list[Label] | None, tuple[Note, ...]]


def open_images(
    folder: Path,
    *,
    transform: Transform | None,
    label_key: str | None,
    classes: ClassNames | None = None,
    untransformed: str = "",
    apart: bool = False,
) -> Reader:
    """Pictures of a folder, decoded ahead by a pool of threads.

    Args:
        folder: the folder.
        transform: how pictures are decoded.
        label_key: column of its `labels.csv` that holds the labels.
        classes: the network's, where it names them; for class folders.
        untransformed: why the network comes without a transform, where that is known.
        apart: labels are given apart, so that it matters which picture is the first.

    Raises:
        SamplesError: no transform, no picture, a wrong `labels.csv`.
    """
    files, labels, notes = list_pictures(folder, label_key, label_reader(classes), classes)
    if not isinstance(transform, ImageTransform):
        raise SamplesError(
            f"{folder} holds pictures, and nothing says how to decode them. {untransformed}".rstrip(),
            "Give an image transform (--image-size, --mean, --std).",
        )
    if apart:
        notes += (_order(folder, files),)

    def items(chosen: NDArray[np.int64] | None) -> Iterator[Item]:
        for i in range(len(files)) if chosen is None else map(int, chosen):
            yield Item(files[i], folder / files[i], None if labels is None else labels[i])

    return StreamReader(
        source=str(folder),
        inputs=(transform.raw_spec(),),
        transform=transform,
        labelled=labels is not None,
        count=len(files),
        items=items,
        decode=lambda chunk: decode_pictures(chunk, transform),
        notes=notes,
        chunk=4,
        workers=pool_size(),
    )


def _order(folder: Path, files: list[str]) -> Note:
    """Which picture each label given apart belongs to."""
    by = "the table labels.csv" if (folder / _TABLE).is_file() else "the names, sorted as text"
    more = ", ..." if len(files) > _TOLD else ""
    return Note(
        str(folder),
        f"Labels given apart are taken in the order of {by}: {', '.join(files[:_TOLD])}{more}.",
    )


def list_pictures(
    folder: Path, label_key: str | None, read_label: ReadLabel, classes: ClassNames | None = None
) -> Listing:
    """The names of a folder's pictures, their labels if there are any, and what to know of both.

    Args:
        folder: the folder.
        label_key: column of its `labels.csv` that holds the labels.
        read_label: from what stands in that column to a label.
        classes: the network's, where it names them; for class folders.

    Raises:
        SamplesError: no picture, a wrong `labels.csv`, or the folder can't be listed.
    """
    try:
        found = _list(folder, label_key, read_label, classes)
        parts = [] if found[0] else _parts(folder)
    except OSError as error:
        raise SamplesError(
            f"{folder} can't be listed ({error.strerror}).", "Check its permissions."
        ) from error
    if parts:
        raise SamplesError(
            f"There is no picture in {folder}, but in the folders of {', '.join(parts[:_TOLD])}.",
            "Give one of those, best one that the network wasn't trained on:"
            f" {folder / next((p for p in parts if p.lower() in _UNSEEN), parts[0])}.",
        )
    if not found[0]:
        raise SamplesError(
            f"There is no picture in {folder}.", f"Pictures end in {', '.join(sorted(SUFFIXES))}."
        )
    return found


def _list(
    folder: Path, label_key: str | None, read_label: ReadLabel, known: ClassNames | None
) -> Listing:
    table = folder / _TABLE
    if table.is_file():
        return _from_table(folder, table, label_key, read_label)
    names = _folders(folder)
    classes = {name: _pictures(folder, name) for name in names}
    classes = {name: files for name, files in classes.items() if files}
    flat = _pictures(folder, "")
    if not classes:
        return flat, None, ()
    if flat:
        raise SamplesError(
            f"{folder} holds both pictures and class folders.",
            "Move the pictures into a class folder, or write a labels.csv.",
        )
    indices, notes = numbered(list(classes), known, str(folder))
    empty = [name for name in names if name not in classes]
    if empty:
        notes += (Note(str(folder), f"Folders without a picture: {', '.join(empty[:5])}."),)
    files = [file for name in classes for file in classes[name]]
    labels: list[Label] = [indices[name] for name in classes for _ in classes[name]]
    return files, labels, notes


def _parts(folder: Path) -> list[str]:
    """The folders in it that hold class folders themselves, as ``train`` and ``val`` do."""
    found: list[str] = []
    for part in _folders(folder):
        names = _folders(folder / part)
        if any(_pictures(folder, f"{part}/{name}") for name in names):
            found.append(part)
    return found


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))


def _pictures(folder: Path, name: str) -> list[str]:
    with os.scandir(folder / name) as entries:
        found = [e.name for e in entries if Path(e.name).suffix.lower() in SUFFIXES and e.is_file()]
    return [f"{name}/{file}" if name else file for file in sorted(found)]


def _from_table(folder: Path, table: Path, label_key: str | None, read_label: ReadLabel) -> Listing:
    files: list[str] = []
    labels: list[Label] = []
    missing: list[str] = []
    key: str | None = None
    column = ""
    notes: tuple[Note, ...] = ()
    for number, row in csv_rows(table):
        if not column:
            column = next((name for name in _FILE_COLUMNS if name in row), "")
            if not column:
                raise SamplesError(
                    f"{table} has the columns {', '.join(row)}.",
                    "It needs 'file', and 'class_index' or 'label' for the labels.",
                )
            key = find_label_key(row, label_key)
            notes = unread_notes(row, _FILE_COLUMNS, label_key) if key is None else ()
        name = row[column]
        if not _inside(name):
            raise SamplesError(
                f"Line {number} of {table} names '{name}', outside the folder.", "Use names in it."
            )
        if not (folder / name).is_file():
            missing.append(name)
        files.append(name)
        if key is not None:
            labels.append(read_label(row[key], key, f"'{name}'"))
    if not files:
        raise SamplesError(f"{table} lists no picture.", "Give a line for each, or remove it.")
    if key is not None:
        _need_one_each(files, labels, table)
    if missing:
        raise SamplesError(
            f"{table} names {len(missing)} file(s) that aren't there, the first is '{missing[0]}'.",
            "Add them or drop their lines.",
        )
    extra = len(set(_pictures(folder, "")) - set(files))
    if extra:
        notes += (Note(str(table), f"{extra} picture(s) aren't listed and were left out."),)
    return files, labels if key is not None else None, notes


def _need_one_each(files: list[str], labels: list[Label], table: Path) -> None:
    seen: dict[str, Label] = {}
    for name, label in zip(files, labels, strict=True):
        if seen.setdefault(name, label) != label:
            raise SamplesError(
                f"{table} gives '{name}' the labels {seen[name]} and {label}.", "Give it one."
            )


def _inside(name: str) -> bool:
    path = Path(name)
    return bool(name) and "\0" not in name and not path.is_absolute() and ".." not in path.parts

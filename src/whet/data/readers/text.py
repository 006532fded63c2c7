"""Texts in `.jsonl` or `.csv`: one text a record, or two.

Two texts are encoded *apart* (two rows a sample, for sentence encoders whose
embeddings are compared) or *joined* (one row, for classifiers of pairs); see
`whet.data.readers.pairing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar, final

import numpy as np
from numpy.typing import NDArray

from whet.core.note import Note
from whet.data.readers.classes import ClassNames
from whet.data.readers.label_names import LABEL_KEYS, find_label_key, unread_notes
from whet.data.readers.labels import ReadLabel, label_reader
from whet.data.readers.pairing import settled
from whet.data.readers.stream import Damaged, Item, StreamReader
from whet.data.readers.table import Record, count_records, records
from whet.data.sample import Label, Reader, Sample
from whet.data.text import TextEncoder, TextTransform
from whet.data.transform import Transform
from whet.errors import SamplesError

__all__ = ["TextFile", "encode_texts", "open_text", "picked"]

T = TypeVar("T")

_TEXT_KEYS = (("text",), ("sentence1", "sentence2"), ("sentence",), ("text1", "text2"))


@final
@dataclass(frozen=True)
class TextFile:
    """Which columns of a file hold texts and labels; the texts as they stand there.

    Attributes:
        path: of the `.jsonl` or `.csv` file.
        keys: the one or two columns that hold the text.
        label_key: the column that holds the labels, if any.
        read_label: from what stands in that column to a label.
        notes: on columns that may hold labels, where no column does.
        bare: columns that would hold labels, of which the first record has none.
    """

    path: Path
    keys: tuple[str, ...]
    label_key: str | None
    read_label: ReadLabel
    notes: tuple[Note, ...] = ()
    bare: frozenset[str] = frozenset()

    @staticmethod
    def open(
        path: Path,
        *,
        label_key: str | None,
        text_keys: tuple[str, ...] | None,
        read_label: ReadLabel,
    ) -> TextFile:
        """Find the columns by the first record.

        Raises:
            SamplesError: no record, wrong columns, a broken line (with its number).
        """
        _, first = next(records(path), (0, {}))
        if not first:
            raise SamplesError(f"{path} holds no samples.", "Give at least one record.")
        texts = _find_text_keys(first, text_keys, path)
        key = find_label_key((name for name in first if name not in texts), label_key)
        if key is not None:
            read_label(first[key], key, "the first record")  # refused now, before anything is made
        notes = unread_notes(first, texts, label_key) if key is None else ()
        watched = LABEL_KEYS if key is None and label_key is None else ()
        return TextFile(path, texts, key, read_label, notes, frozenset(watched) - set(texts))

    def labels(self) -> Iterator[Label]:
        """The label of each record; none without a column of labels.

        Raises:
            SamplesError: a broken line; names it.
        """
        key = self.label_key
        if key is None:
            return
        for number, record in records(self.path):
            name = self._name(number)
            yield self.read_label(_field(record, key, name), key, name)

    def _name(self, number: int) -> str:
        return f"line {number} of {self.path.name}"

    def items(self, chosen: NDArray[np.int64] | None = None) -> Iterator[Item]:
        """The texts of each record as a tuple, with its label; those at ascending indices.

        Raises:
            SamplesError: a broken line; names it.
        """
        key = self.label_key
        for number, record in picked(records(self.path), chosen):
            name = self._name(number)
            for late in self.bare.intersection(record):
                raise SamplesError(
                    f"{name[0].upper()}{name[1:]} has '{late}', which the first record lacks.",
                    "Give every record a label, or say that there are none (--label-key '').",
                )
            label = None if key is None else self.read_label(_field(record, key, name), key, name)
            yield Item(name, tuple(_text(record, text, name) for text in self.keys), label)


def open_text(
    path: Path,
    *,
    transform: Transform | None,
    label_key: str | None,
    text_keys: tuple[str, ...] | None,
    classes: ClassNames | None = None,
    untransformed: str = "",
) -> Reader:
    """Texts of a file, tokenised ahead.

    Raises:
        SamplesError: no text transform, wrong columns, a broken line (with its number), pairs
            and nothing that says how they are encoded.
    """
    if not isinstance(transform, TextTransform):
        raise SamplesError(
            f"{path} holds text, and nothing says how to encode it. {untransformed}".rstrip(),
            "Give the network's own tokenizer.json: --tokenizer FILE, or, of a Hugging Face directory,"
            " the file of that name that is missing in it.",
        )
    texts = TextFile.open(
        path, label_key=label_key, text_keys=text_keys, read_label=label_reader(classes)
    )
    transform, notes = settled(transform, len(texts.keys), texts.labels(), str(path))
    apart = len(texts.keys) == 2 and transform.pairs == "apart"
    encoder = transform.encoder()
    return StreamReader(
        source=str(path),
        inputs=transform.specs(),
        transform=transform,
        labelled=texts.label_key is not None,
        count=count_records(path),
        items=texts.items,
        decode=lambda chunk: encode_texts(chunk, encoder, apart=apart),
        rows_per_sample=2 if apart else 1,
        notes=(*texts.notes, *notes),
        chunk=128,
        workers=1,  # the tokeniser has threads of its own
    )


def encode_texts(
    items: Sequence[Item], encoder: TextEncoder, *, apart: bool
) -> list[Sample | Damaged]:
    """Encode items whose payload is a tuple of one or two texts; what can't be encoded is named."""
    try:
        return _encode_all([(item, _texts(item)) for item in items], encoder, apart=apart)
    except SamplesError as error:
        if len(items) == 1:
            return [Damaged(items[0].name, error.message)]
        return [found for item in items for found in encode_texts([item], encoder, apart=apart)]


def _texts(item: Item) -> tuple[str, ...]:
    texts = item.payload
    if isinstance(texts, tuple) and all(isinstance(text, str) for text in texts):
        return texts
    raise SamplesError(f"A {type(texts).__name__} came where a text was expected.")


def _encode_all(
    items: Sequence[tuple[Item, tuple[str, ...]]], encoder: TextEncoder, *, apart: bool
) -> list[Sample | Damaged]:
    if any(len(texts) != len(items[0][1]) for _, texts in items) or (
        apart and len(items[0][1]) != 2
    ):
        raise SamplesError("Single texts and pairs are mixed.", "Give one kind.")
    if apart:
        rows = encoder.rows([text for _, texts in items for text in texts])
        return [
            Sample(item.name, (dict(rows[2 * i]), dict(rows[2 * i + 1])), item.label)
            for i, (item, _) in enumerate(items)
        ]
    whole = encoder.rows(
        [texts[0] if len(texts) == 1 else (texts[0], texts[1]) for _, texts in items]
    )
    return [
        Sample(item.name, (dict(row),), item.label)
        for (item, _), row in zip(items, whole, strict=True)
    ]


def _find_text_keys(first: Record, asked: tuple[str, ...] | None, path: Path) -> tuple[str, ...]:
    if asked is not None and len(asked) not in (1, 2):
        raise SamplesError(f"{len(asked)} text columns were named.", "Name one, or two for pairs.")
    for keys in (asked,) if asked else _TEXT_KEYS:
        if all(key in first for key in keys):
            return keys
    raise SamplesError(
        f"{path} has the columns {', '.join(first)}"
        + (f", not {', '.join(asked)}." if asked else ", none of which is called text."),
        "Name the one or two columns that hold the text.",
    )


def picked(rows: Iterator[T], chosen: NDArray[np.int64] | None) -> Iterator[T]:
    """Those at ascending indices, all for ``None``."""
    if chosen is None:
        yield from rows
        return
    position = 0
    for index in map(int, chosen):
        yield from islice(rows, index - position, index - position + 1)
        position = index + 1


def _field(record: Record, key: str, name: str) -> object:
    if key not in record:
        raise SamplesError(
            f"{name[0].upper()}{name[1:]} has no '{key}'.", "Give every record the same keys."
        )
    return record[key]


def _text(record: Record, key: str, name: str) -> str:
    value = _field(record, key, name)
    if not isinstance(value, str):
        raise SamplesError(
            f"'{key}' in {name} is a {type(value).__name__}, not a text.", "Write it as a string."
        )
    return value

"""Labels: what is a label, labels given apart from the inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whet.core.foreign import array_of
from whet.core.note import Note
from whet.core.spec import TensorSpec
from whet.data.readers.classes import ClassNames
from whet.data.readers.label_files import read_label_file
from whet.data.readers.label_names import SCORES, UNREAD, number_in
from whet.data.readers.label_shapes import is_one_number, not_one_number
from whet.data.sample import Label, Reader, Sample
from whet.data.transform import Transform
from whet.errors import SamplesError

__all__ = [
    "ReadLabel",
    "Relabelled",
    "as_label",
    "check_label",
    "label_reader",
    "label_vector",
    "load_labels",
    "parse_label",
]

# From a label as it stands in a file, its column and the sample's name.
ReadLabel = Callable[[object, str, str], Label]


def as_label(value: object, name: str) -> Label:
    """One label as a Python number.

    Raises:
        SamplesError: not one number; names the sample.
    """
    array = array_of(value, f"The label of {name}", SamplesError)
    if array.size > 1 and array.dtype.kind in "buif":
        raise not_one_number(array[None], (1, *array.shape), name, single=True)
    if array.size != 1 or array.dtype.kind not in "buif":
        raise SamplesError(
            f"The label of {name} is {_short(value)}, not one number.",
            "Labels are class indices (0, 1, ...) or scores, one a sample.",
        )
    number = array.reshape(())[()]
    return float(number) if array.dtype.kind == "f" else int(number)


def parse_label(text: str, key: str, name: str, classes: ClassNames | None = None) -> Label:
    """A label from a text column; a column called ``score`` always holds floats.

    Args:
        text: a number, or the name of a class.
        key: the column.
        name: of the sample.
        classes: the network's, where it names them.

    Raises:
        SamplesError: neither a number nor a class of the network; names the sample.
    """
    number = number_in(text, float if key in SCORES else int)
    if number is not None:
        return number
    index = None if classes is None else classes.find(text)
    if index is not None:
        return index
    number = number_in(text, float)
    if number is not None:
        return number
    message = f"The label of {name} is {_short(text)}, not a number"
    if classes is None:
        raise SamplesError(
            f"{message}.",
            "Write class indices (0, 1, ...) or scores; names of classes need a network that says"
            " them (id2label in the config.json of a Hugging Face directory).",
        )
    raise SamplesError(
        f"{message} and no class of the network.",
        f"Write class indices (0, 1, ...) or the network's names: {classes.listed()}.",
    )


def label_reader(classes: ClassNames | None) -> ReadLabel:
    """How labels of records and tables are read: numbers, or names of the network's classes.

    Args:
        classes: the network's, where it names them.
    """

    def read(value: object, key: str, name: str) -> Label:
        if isinstance(value, str):
            return parse_label(value, key, name, classes)
        label = as_label(value, name)
        return float(label) if key in SCORES else label

    return read


def label_vector(
    values: object, count: int | None, source: str, key: str | None = None
) -> NDArray[np.generic]:
    """Labels that lie in one array.

    Args:
        values: the labels.
        count: of samples, where it is known.
        source: for errors.
        key: name of the array, where it has one.

    Raises:
        SamplesError: not a vector of numbers, or not one a sample.
    """
    vector = array_of(values, f"What holds the labels of {source}", SamplesError)
    if not is_one_number(vector.shape) or vector.dtype.kind not in "buif":
        raise not_one_number(vector, vector.shape, source, key)
    vector = vector.reshape(-1)
    if count is not None and vector.shape[0] != count:
        raise SamplesError(
            f"{source} has {count} samples but {vector.shape[0]} labels.",
            "Give one label a sample; of a one-hot label, label.argmax().",
        )
    return vector


def load_labels(labels: str | Path | Sequence[Label] | NDArray[np.generic]) -> NDArray[np.generic]:
    """Labels given apart: an array, a list, or a file that holds nothing else.

    Raises:
        SamplesError: the file can't be read, or it isn't a vector of numbers.
    """
    if isinstance(labels, str | Path):
        return label_vector(read_label_file(Path(labels)), None, str(labels))
    return label_vector(labels, None, "an array given apart")


@dataclass(frozen=True)
class Relabelled:
    """A reader with labels from elsewhere, or with an offset added to its class indices.

    Raises:
        SamplesError: the number of labels differs from the number of samples.
    """

    reader: Reader
    given: NDArray[np.generic] | None
    offset: int = 0

    def __post_init__(self) -> None:
        if self.given is None:
            return
        if self.reader.count is None:
            raise SamplesError(
                "Labels can't be given apart for a source of unknown length.",
                "Let the source yield (inputs, label).",
            )
        label_vector(self.given, self.reader.count, self.source)

    @property
    def source(self) -> str:
        return self.reader.source

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self.reader.inputs

    @property
    def transform(self) -> Transform | None:
        return self.reader.transform

    @property
    def labelled(self) -> bool:
        return self.given is not None or self.reader.labelled

    @property
    def count(self) -> int | None:
        return self.reader.count

    @property
    def rows_per_sample(self) -> int:
        return self.reader.rows_per_sample

    @property
    def notes(self) -> tuple[Note, ...]:
        notes = self.reader.notes
        return notes if self.given is None else tuple(n for n in notes if n.where != UNREAD)

    def read(self, chosen: NDArray[np.int64] | None = None) -> Generator[Sample, None, None]:
        """See `whet.data.sample.Reader.read`."""
        for position, sample in enumerate(self.reader.read(chosen)):
            index = position if chosen is None else int(chosen[position])
            label = sample.label if self.given is None else as_label(self.given[index], sample.name)
            if self.offset and label is not None:
                label = _moved(label, self.offset, sample.name)
            yield Sample(sample.name, sample.rows, label)


def _moved(label: Label, offset: int, name: str) -> Label:
    if not float(label).is_integer():
        raise SamplesError(
            f"The label of {name} is {label}, which is no class index to add {offset} to.",
            "Leave the label offset out: it is for class indices, these are scores.",
        )
    return label + offset


def check_label(label: Label, name: str) -> None:
    """Refuse a label that is no class index and no finite score.

    Raises:
        SamplesError: names the sample.
    """
    if isinstance(label, int) and label < 0:
        raise SamplesError(
            f"The label of {name} is {label}.",
            "Class indices start at 0; leave the labels out if these samples have none.",
        )
    if not math.isfinite(label):
        raise SamplesError(f"The label of {name} is {label}.", "Scores must be finite.")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

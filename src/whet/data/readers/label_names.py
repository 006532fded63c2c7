"""How labels are called in a file or among arrays, and how they are written as text; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from whet.core.note import Note
from whet.core.spec import TensorSpec
from whet.errors import SamplesError

__all__ = [
    "LABEL_KEYS",
    "SCORES",
    "UNREAD",
    "find_label_key",
    "input_names",
    "number_in",
    "unread_notes",
]

N = TypeVar("N", int, float)

SCORES = ("scores", "score")  # what is called so always holds floats
LABEL_KEYS = ("labels", "label", "y", "class_index", *SCORES)
UNREAD = "labels"
"""Where the note stands that names columns which may be labels and were not read."""
_LONGEST_NAME = 60  # in characters, of a class
_SHOWN = 5
_MOST_CHARACTERS = 1000  # no number is longer


def find_label_key(names: Iterable[str], label_key: str | None) -> str | None:
    """The name that holds the labels: the one asked for, else the first usual one.

    ``""`` asks for none: everything is input.

    Raises:
        SamplesError: the one asked for isn't there.
    """
    have = list(names)
    if label_key == "":
        return None
    if label_key is not None and label_key not in have:
        raise SamplesError(
            f"There is no '{label_key}' to take labels from, only {', '.join(sorted(have)) or 'nothing'}.",
            "Name one of these as the label key.",
        )
    return label_key or next((key for key in LABEL_KEYS if key in have), None)


def unread_notes(
    first: Mapping[str, object], taken: Iterable[str], label_key: str | None
) -> tuple[Note, ...]:
    """The columns that may hold labels, where none of a usual name does.

    Args:
        first: the first record of a table, by column.
        taken: columns that hold something else.
        label_key: as the user gave it; ``""`` asks for none.
    """
    if label_key is not None:
        return ()
    used = set(taken)
    names = [name for name, value in first.items() if name not in used and _may_be_label(value)]
    if not names:
        return ()
    shown = ", ".join(f"'{name}'" for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    columns = "The column" if len(names) == 1 else "The columns"
    were = "was" if len(names) == 1 else "were"
    hold = "it holds" if len(names) == 1 else "one of them holds"
    reason = (
        f"{columns} {shown}{more} {were} not read. If {hold} the labels, name it: --label-key NAME."
    )
    return (Note(UNREAD, reason),)


def _may_be_label(value: object) -> bool:
    """Whether it is a number, or as short as the name of a class."""
    if isinstance(value, str):
        return 0 < len(value.strip()) <= _LONGEST_NAME
    return isinstance(value, int | float)


def input_names(expect: tuple[TensorSpec, ...] | None) -> set[str]:
    """Names that belong to the network's inputs, and so never to labels."""
    return {spec.name for spec in expect or ()}


def number_in(text: str, kind: Callable[[str], N]) -> N | None:
    """The number that a text is; ``None`` where it is none.

    Args:
        text: without space around it. What only Python takes for a number (``1_0``) is none.
        kind: ``int`` or ``float``.
    """
    if "_" in text or len(text) > _MOST_CHARACTERS:
        return None
    try:
        return kind(text)
    except ValueError:
        return None

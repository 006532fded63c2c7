"""How labels are called in a file or among arrays; pure."""

from __future__ import annotations

from collections.abc import Iterable

from whet.core.spec import TensorSpec
from whet.errors import SamplesError

__all__ = ["LABEL_KEYS", "SCORES", "find_label_key", "input_names"]

SCORES = ("scores", "score")  # what is called so always holds floats
LABEL_KEYS = ("labels", "label", "y", "class_index", *SCORES)


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


def input_names(expect: tuple[TensorSpec, ...] | None) -> set[str]:
    """Names that belong to the network's inputs, and so never to labels."""
    return {spec.name for spec in expect or ()}

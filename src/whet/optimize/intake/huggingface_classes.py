"""How a Hugging Face directory calls its classes: ``id2label`` and ``label2id``; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from whet.core.note import Note

__all__ = ["class_names"]

_WHERE = "classes"
_GENERIC = re.compile(r"LABEL_\d+")


def class_names(config: Mapping[str, object]) -> tuple[tuple[str, ...], tuple[Note, ...]]:
    """Names by class index, and what is odd about them; none where nothing useful is said.

    ``id2label`` decides, as in the library's own pipelines; ``label2id`` stands in where it
    is missing. ``LABEL_0``, ``LABEL_1`` and so on is what the library writes by itself.

    Args:
        config: of ``config.json``.
    """
    stated = _by_index(config.get("id2label"))
    inverse = _inverse(config.get("label2id"))
    names = stated or inverse
    if not names or all(_GENERIC.fullmatch(name) for name in names.values()):
        return (), ()
    if sorted(names) != list(range(len(names))):
        said = "The classes in config.json aren't numbered 0, 1, ..., so their names are not used."
        return (), (Note(_WHERE, said),)
    ordered = tuple(names[index] for index in range(len(names)))
    return ordered, _disagreement(ordered, inverse) if stated else ()


def _by_index(value: object) -> dict[int, str]:
    if not isinstance(value, Mapping):
        return {}
    found: dict[int, str] = {}
    for key, name in value.items():
        index = _index(key)
        if index is None or not isinstance(name, str | int):
            return {}
        found[index] = str(name)
    return found


def _inverse(value: object) -> dict[int, str]:
    if not isinstance(value, Mapping):
        return {}
    return _by_index({index: name for name, index in value.items() if _index(index) is not None})


def _index(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value)
    return int(text) if re.fullmatch(r"\d{1,6}", text, re.ASCII) else None


def _disagreement(names: tuple[str, ...], inverse: Mapping[int, str]) -> tuple[Note, ...]:
    """A name that stands for one class in ``label2id`` and for another in ``id2label``."""
    for index, name in sorted(inverse.items()):
        own = [i for i, other in enumerate(names) if other == name]
        if own and index not in own:
            said = (
                f"config.json disagrees with itself: '{name}' is class {own[0]} by id2label, which is"
                f" followed, and {index} by label2id."
            )
            return (Note(_WHERE, said),)
    return ()

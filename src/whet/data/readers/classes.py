"""From names of classes to the network's own class indices; pure.

Where the network says how its classes are called, a name means the class that
is called so, wherever it stands in the alphabet. Names are compared from the
strictest to the loosest way, and the first way in which any fits decides:

1. the whole name, letter by letter;
2. the whole name, with underscores as spaces;
3. the same in any case;
4. and 5. one of several names of a class (``tench, Tinca tinca``), likewise.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from whet.core.note import Note
from whet.errors import SamplesError

__all__ = ["ClassNames", "numbered"]

_SHOWN = 20
_FEW = 5


def _spaced(name: str) -> str:
    return " ".join(name.replace("_", " ").split())


def _folded(name: str) -> str:
    return _spaced(name).casefold()


_SPELLINGS: tuple[Callable[[str], str], ...] = (str, _spaced, _folded, _spaced, _folded)
_WHOLE = 3  # of them compare whole names, the others each of several


@final
@dataclass(frozen=True)
class ClassNames:
    """How a network calls its classes.

    Attributes:
        names: by class index.
        offset: that the user wants added to class indices; with names it has no sense.
        levels: classes by name, one mapping for each way of comparing.
    """

    names: tuple[str, ...]
    offset: int
    levels: tuple[dict[str, tuple[int, ...]], ...]

    @staticmethod
    def of(names: Sequence[str], offset: int = 0) -> ClassNames:
        """Prepare the comparison once for many names.

        Args:
            names: by class index.
            offset: the user's label offset.
        """
        levels = tuple(
            _level(names, spell, whole=number < _WHOLE) for number, spell in enumerate(_SPELLINGS)
        )
        return ClassNames(tuple(names), offset, levels)

    def find(self, name: str) -> int | None:
        """Index of the class that is called so; ``None`` where none is.

        Raises:
            SamplesError: several are, or the user wants an offset added.
        """
        for spell, level in zip(_SPELLINGS, self.levels, strict=True):
            found = level.get(spell(name), ())
            if len(found) > 1:
                both = ", ".join(f"{index} ('{self.names[index]}')" for index in found[:_FEW])
                raise SamplesError(
                    f"The name '{name}' fits several classes of the network: {both}.",
                    "Write the class index, or the whole name of the one that is meant.",
                )
            if found and self.offset:
                raise SamplesError(
                    f"'{name}' is class {found[0]} of the network by its name, to which a label"
                    f" offset of {self.offset} can't be added.",
                    "Leave the label offset out: it is for class indices that start elsewhere.",
                )
            if found:
                return found[0]
        return None

    def listed(self) -> str:
        """The first names, for a message."""
        shown = ", ".join(f"'{name}'" for name in self.names[:_FEW])
        return shown + (f" and {len(self.names) - _FEW} more" if len(self.names) > _FEW else "")

    def nearest(self, name: str) -> str | None:
        """The name that looks most like a mistyped one."""
        by_fold = {_folded(one): one for one in self.names}
        return next(
            (by_fold[one] for one in difflib.get_close_matches(_folded(name), by_fold, 1)), None
        )


def _level(
    names: Sequence[str], spell: Callable[[str], str], *, whole: bool
) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for index, name in enumerate(names):
        for part in {spell(one) for one in ([name] if whole else name.split(","))} - {""}:
            found[part] = (*found.get(part, ()), index)
    return found


def numbered(
    folders: Sequence[str], classes: ClassNames | None, source: str
) -> tuple[dict[str, int], tuple[Note, ...]]:
    """Class indices of class folders, and what to say about them.

    Plain numbers are indices themselves. Other names are those of the network's classes; where
    it calls none so, or says no names, they are numbered in their order.

    Args:
        folders: sorted.
        classes: the network's, where it names them.
        source: of the samples, for notes and errors.

    Raises:
        SamplesError: some are classes of the network and some aren't.
    """
    if all(name.isdecimal() for name in folders):
        return {name: int(name) for name in folders}, _called_otherwise(folders, classes, source)
    alphabetical = {name: index for index, name in enumerate(folders)}
    found = {name: None if classes is None else classes.find(name) for name in folders}
    known = {name: index for name, index in found.items() if index is not None}
    unknown = [name for name in folders if name not in known]
    if classes is None:
        return alphabetical, (Note(source, f"Classes by folder: {_listed(alphabetical)}."),)
    if not known:
        said = (
            f"Classes by folder: {_listed(alphabetical)}, in the order of the folders' names, since"
            f" the network has no classes of these names (its own are {classes.listed()})."
        )
        return alphabetical, (Note(source, said),)
    if unknown:
        raise _strange(unknown, len(folders), classes, source)
    return known, (Note(source, f"Classes by the network's own names: {_listed(known)}."),)


def _called_otherwise(
    folders: Sequence[str], classes: ClassNames | None, source: str
) -> tuple[Note, ...]:
    """Say so where folders are numbers, and the network calls other classes by these numbers."""
    if classes is None:
        return ()
    plain = ClassNames(classes.names, 0, classes.levels)
    for name in folders:
        index = plain.find(name)
        if index is not None and index != int(name):
            said = (
                f"The folders' names were taken as class indices, though the network calls its class"
                f" {index} '{name}'."
            )
            return (Note(source, said),)
    return ()


def _strange(unknown: Sequence[str], count: int, classes: ClassNames, source: str) -> SamplesError:
    listed = ", ".join(f"'{name}'" for name in unknown[:_FEW])
    more = f" and {len(unknown) - _FEW} more" if len(unknown) > _FEW else ""
    near = classes.nearest(unknown[0])
    like = f"'{near}'" if near is not None else classes.listed()
    return SamplesError(
        f"Of the {count} class folders in {source}, {len(unknown)} can't be matched to a class of"
        f" the network: {listed}{more}.",
        f"Name all as the network does ({like}) or by class index, leave these out, or write a"
        " labels.csv.",
    )


def _listed(indices: dict[str, int]) -> str:
    shown = ", ".join(f"{index} = {name}" for name, index in list(indices.items())[:_SHOWN])
    return shown + (f" and {len(indices) - _SHOWN} more" if len(indices) > _SHOWN else "")

"""What comes of a recipe that was carried out: the record of it, and its folder.

The folder holds the graph (``model.onnx``, or ``model.xml`` with ``model.bin``) and ``recipe.yaml``,
the whole recipe with its seed and threads, which makes the same graph again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from whet.bundle.disk import copy_file, staged, write_file
from whet.core.artifact import Artifact, Format
from whet.core.note import Note
from whet.errors import StorageError
from whet.optimize.recipes.written import WrittenRecipe

__all__ = ["RECIPE", "Applied", "Cost", "Deviation", "check_place", "write_applied"]

RECIPE = "recipe.yaml"
_OURS = re.compile(r"recipe\.yaml|[\w.-]+\.(?:onnx|xml|bin|data)", re.ASCII)


@dataclass(frozen=True)
class Cost:
    """A graph on paper.

    Attributes:
        parameters: numbers in its weights.
        macs: multiply-accumulates of one row.
        size_bytes: of its files.
    """

    parameters: int
    macs: int
    size_bytes: int


@dataclass(frozen=True)
class Deviation:
    """How far one output is from the original's.

    Attributes:
        largest: difference of two numbers, in units of the output.
        share: the same as a share of the values around; of whole numbers, the share that differs.
    """

    largest: float
    share: float


@dataclass(frozen=True)
class Applied:
    """What came of a recipe.

    Attributes:
        graph: the file that was written; its weights may lie beside it.
        recipe: as it was carried out, with its seed and threads.
        changed: whether any pass changed anything.
        notes: what was skipped and why.
        before: of the network as it was exported.
        after: of the graph that was written.
        deviations: by output, on the select part of the samples, which no pass saw.
        rows: that were compared.
    """

    graph: Path
    recipe: WrittenRecipe
    changed: bool
    notes: tuple[Note, ...]
    before: Cost
    after: Cost
    deviations: Mapping[str, Deviation]
    rows: int

    @property
    def max_deviation(self) -> float:
        """The largest difference of any two numbers of any output."""
        return max((each.largest for each in self.deviations.values()), default=0.0)


def check_place(place: Path) -> None:
    """Refuse, before any work is done, a place where something of others stands.

    Raises:
        StorageError: it isn't free, nor a folder that `write_applied` wrote.
    """
    try:
        names = [entry.name for entry in place.iterdir()]
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(
            f"'{place}' can't be replaced: {error.strerror}.", "Choose another place."
        ) from error
    strangers = [name for name in names if _OURS.fullmatch(name) is None]
    if strangers or (names and RECIPE not in names):
        raise StorageError(
            f"'{place}' holds '{(strangers or names)[0]}', which no recipe wrote; it is left alone.",
            "Choose another place, or remove it yourself.",
        )


def write_applied(place: Path, graph: Artifact, recipe: WrittenRecipe) -> Path:
    """Write the folder whole or not at all; returns the path of the graph.

    Args:
        place: its path, checked by `check_place`.
        graph: the files to copy.
        recipe: that made it.

    Raises:
        StorageError: it can't be written.
    """
    # Other files are named by the graph itself, or by OpenVINO after the main one.
    main = "model.onnx" if graph.format is Format.ONNX else graph.file.name
    with staged(place, replace=True) as folder:
        check_place(place)
        copy_file(graph.file, folder / main)
        for name in graph.sidecars:
            copy_file(graph.file.parent / name, folder / name)
        write_file(recipe.to_yaml().encode(), folder / RECIPE)
    return place / main

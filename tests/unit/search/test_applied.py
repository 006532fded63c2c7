"""The folder that a recipe writes, and how far answers are off."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from whet.core.artifact import Artifact, Format
from whet.core.spec import Signature
from whet.errors import StorageError
from whet.optimize.recipes.written import WrittenRecipe, read_recipe
from whet.search.applied import Applied, Cost, Deviation, check_place, write_applied
from whet.search.by_hand import _fewer_threads, largest_difference

RECIPE = WrittenRecipe((), seed=4, threads=2)


def artifact(folder: Path, main: str, *others: str) -> Artifact:
    folder.mkdir()
    for name in (main, *others):
        (folder / name).write_text(name)
    kind = Format.OPENVINO if main.endswith("xml") else Format.ONNX
    return Artifact(str(folder / main), kind, Signature((), ()), others)


def test_the_folder_holds_the_graph_and_its_recipe(tmp_path: Path) -> None:
    graph = artifact(tmp_path / "a", "network.onnx", "network.onnx.data")
    found = write_applied(tmp_path / "out", graph, RECIPE)
    assert found == tmp_path / "out" / "model.onnx"
    names = {f.name: f.read_text() for f in found.parent.iterdir()}
    assert set(names) == {"model.onnx", "network.onnx.data", "recipe.yaml"}
    assert names["model.onnx"] == "network.onnx"
    assert read_recipe(tmp_path / "out" / "recipe.yaml") == RECIPE


def test_an_ir_keeps_its_names_and_takes_the_place_of_an_earlier_graph(tmp_path: Path) -> None:
    write_applied(tmp_path / "out", artifact(tmp_path / "a", "cast.onnx"), RECIPE)
    graph = artifact(tmp_path / "b", "model.xml", "model.bin")
    found = write_applied(tmp_path / "out", graph, RECIPE)
    assert {f.name for f in found.parent.iterdir()} == {"model.xml", "model.bin", "recipe.yaml"}


def test_what_others_wrote_is_left_alone(tmp_path: Path) -> None:
    check_place(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    check_place(tmp_path / "empty")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.onnx").write_text("mine")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "recipe.yaml").write_text("ours")
    (tmp_path / "notes" / "diary.txt").write_text("mine")
    for name in ("file", "models", "notes"):
        with pytest.raises(StorageError):
            check_place(tmp_path / name)
        with pytest.raises(StorageError):
            write_applied(tmp_path / name, artifact(tmp_path / f"g{name}", "m.onnx"), RECIPE)
    assert (tmp_path / "notes" / "diary.txt").read_text() == "mine"
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("want", "have", "apart"),
    [
        ([1.0, 2.0], [1.5, 2.0], 0.5),
        ([-math.inf, 2.0], [-math.inf, 2.25], 0.25),
        ([math.nan, 2.0], [math.nan, 2.0], 0.0),
        ([math.nan, 2.0], [0.0, 2.0], math.inf),
        ([1.0, 2.0], [math.inf, 2.0], math.inf),
        ([1, 2], [4, 2], 3.0),
        ([True, False], [True, True], 1.0),
    ],
)
def test_the_largest_difference(want: list[float], have: list[float], apart: float) -> None:
    assert largest_difference(np.array(want)[:, None], np.array(have)[:, None]) == apart
    assert largest_difference(np.zeros((0, 3)), np.zeros((0, 3))) == 0


def test_the_record_names_the_worst_output() -> None:
    cost = Cost(1, 1, 1)
    deviations = {"a": Deviation(0.5, 0.1), "b": Deviation(2.0, 0.01)}
    found = Applied(Path("m"), RECIPE, True, (), cost, cost, deviations, 3)
    assert found.max_deviation == 2.0


def test_another_number_of_threads_is_said() -> None:
    assert _fewer_threads(RECIPE, 2) == ()
    assert _fewer_threads(WrittenRecipe(()), 1) == ()
    (note,) = _fewer_threads(RECIPE, 1)
    assert note.reason.startswith("The recipe was made with 2, and 1 can be used here")

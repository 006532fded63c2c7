"""Recipes survive their own YAML, and people can read and write them."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import whet
from whet.core.bounds import MOST_SEED
from whet.core.recipe import Step
from whet.core.registry import names
from whet.core.settings import GraphLevel, Precision, Settings
from whet.errors import OptionError, StorageError
from whet.optimize.recipes.written import (
    WrittenRecipe,
    as_recipe,
    decode,
    read_recipe,
    write_recipe,
)
from whet.optimize.recipes.yaml_text import parse, written

# What no text of a recipe may hold, as the module says it.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
TEXTS = st.text(max_size=12).filter(lambda t: CONTROL.search(t) is None)
# Words that one reader of YAML or another takes for something else than text.
ODD = st.sampled_from(
    [
        "no", "Yes", "on", "null", "~", "true", "1e-3", "1e999", "0x1F", "0o17", "017",
        "1_000", "1:30", "2001-01-01", ".inf", "-.5", "a:", "#", "*a", "&a", "!a", "<<",
        "=", "%a", "'", "[", "{", "---", "...", "|", "", " a ", "- a", "a: b", "a #b",
        "\"", "9999999999999999999999999999999999999999", "a\nb\n", "\t", "> b", "\ufeff",
    ]
)  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | ODD,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS | ODD, inner, max_size=4),
    max_leaves=12,
)
SETTINGS = st.builds(
    Settings,
    threads=st.integers(1, 64),
    precision=st.sampled_from(Precision),
    level=st.sampled_from(GraphLevel),
    fixed=st.dictionaries(TEXTS | ODD, st.integers(1, 512), max_size=2),
    spin=st.booleans(),
)
STEPS = st.builds(
    Step, st.sampled_from(names("pass")), st.dictionaries(TEXTS | ODD, VALUES, max_size=3)
)


@st.composite
def recipes(draw: st.DrawFn) -> WrittenRecipe:
    runtime = draw(st.none() | st.sampled_from(names("runtime")))
    return WrittenRecipe(
        steps=tuple(draw(st.lists(STEPS, max_size=4))),
        seed=draw(st.integers(0, MOST_SEED)),
        threads=draw(st.none() | st.integers(1, 4096)),
        runtime=runtime,
        settings=draw(st.none() | SETTINGS) if runtime is not None else None,
        ignore_outputs=tuple(draw(st.lists(TEXTS | ODD, max_size=3))),
    )


@given(recipes())
def test_a_recipe_survives_its_yaml(recipe: WrittenRecipe) -> None:
    assert decode(recipe.to_yaml().encode(), "r.yaml") == recipe


@given(st.dictionaries(TEXTS | ODD, VALUES, max_size=4))
def test_values_survive_with_their_types(value: dict[str, object]) -> None:
    found = parse(written(value).encode(), "r.yaml").value
    assert repr(found) == repr(value)


@given(st.dictionaries(TEXTS | ODD, VALUES.filter(lambda v: not isinstance(v, float)), max_size=4))
def test_other_readers_of_yaml_see_the_same(value: dict[str, object]) -> None:
    assert yaml.safe_load(written(value)) == value


def test_it_reads_as_one_would_write_it() -> None:
    recipe = WrittenRecipe(
        (Step("narrow", {"share": 0.3}), Step("repair"), Step("to-graph")),
        seed=7,
        threads=2,
        runtime="openvino",
        settings=Settings(threads=2, precision=Precision.BF16),
    )
    assert recipe.to_yaml() == (
        "kind: whet-recipe\nversion: 1\nseed: 7\nthreads: 2\n"
        "steps:\n- narrow:\n    share: 0.3\n- repair\n- to-graph\n"
        "runtime: openvino\nsettings:\n  threads: 2\n  precision: bf16\n"
    )


def test_what_a_search_holds_as_tuples_and_enums_is_written_as_lists_and_texts() -> None:
    options = {"blocks": ("one", "two"), "bits": [Precision.BF16], "deep": {"a": ((1,),)}}
    read = decode(WrittenRecipe((Step("drop", options),)).to_yaml().encode(), "r.yaml")
    assert read.steps[0].options == {
        "blocks": ["one", "two"], "bits": ["bf16"], "deep": {"a": [[1]]},
    }  # fmt: skip


def test_people_may_write_less(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(
        "# mine\nkind: whet-recipe\nversion: 1\nsteps:\n  - narrow: {share: 3e-1}\n"
        "  - repair:\n  - quantize-ort: {percentile: 99, calibration: 'percentile'}\n"
    )
    recipe = read_recipe(file)
    assert recipe.seed == 0
    assert recipe.steps[0] == Step("narrow", {"share": 0.3})
    assert [s.name for s in recipe.pipeline().steps] == [
        "narrow", "repair", "to-graph", "quantize-ort",
    ]  # fmt: skip


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    recipe = WrittenRecipe((Step("cast", {"weights": "bf16"}),), seed=3)
    write_recipe(recipe, file)
    assert read_recipe(file) == recipe
    with pytest.raises(StorageError):
        write_recipe(recipe, tmp_path / "none" / "r.yaml")


def test_surgery_survives_its_yaml(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    passes = (
        whet.Separate(layers={"one.b": 2, "two.b": 1}),
        whet.Sparsify(0.5, layers=("two.c",)),
        whet.Sparsify(pattern="2:4"),  # type: ignore[arg-type]
    )
    write_recipe(as_recipe(whet.Pipeline(passes)), file)
    assert "pattern: '2:4'" in file.read_text() or 'pattern: "2:4"' in file.read_text()
    again = read_recipe(file).pipeline().passes
    assert again[:3] == whet.Pipeline(passes).passes[:3]


@pytest.mark.parametrize("option", [math.inf, math.nan, "\x1b[2J", 2**64])
def test_what_its_reader_refuses_is_not_written(option: object) -> None:
    with pytest.raises(OptionError):
        WrittenRecipe((Step("cast", {"weights": option}),)).to_yaml()


def test_another_seed_is_checked() -> None:
    recipe = WrittenRecipe(())
    assert recipe.replaced(seed=5, threads=2) == WrittenRecipe((), seed=5, threads=2)
    assert recipe.replaced() == recipe
    with pytest.raises(OptionError, match="-1"):
        recipe.replaced(seed=-1)
    with pytest.raises(OptionError, match="threads=0"):
        recipe.replaced(threads=0)

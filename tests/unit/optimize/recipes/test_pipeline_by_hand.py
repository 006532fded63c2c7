"""Pipelines put together by hand: the export is put in, and what makes no sense is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import pytest

import whet
from whet.core.context import Context
from whet.core.passes import Pass, PassResult, Stage
from whet.core.recipe import Step
from whet.core.registry import names, resolve
from whet.errors import OptionError
from whet.optimize.build import pass_of, step_of
from whet.optimize.recipes.pipeline import Pipeline
from whet.optimize.recipes.written import WrittenRecipe, as_recipe

pytest.importorskip("torch")

NEEDED = {
    "narrow": {"share": 0.5},
    "resize": {"size": 24},
    "slim": {"share": 0.5},
    "factor": {"share": 0.5},
    "separate": {"multiplier": 2},
    "sparsify": {"share": 0.5},
    "drop": {"blocks": ["one"]},
    "exit-after": {"block": "one"},
    "merge-tokens": {"share": 0.5},
    "substitute": {"family": "resnet", "width": 0.25},
    "fold-transform": {"input": "x", "height": 8, "width": 8, "mean": [0.5], "std": [0.5]},
}


def stages(*passes: Pass[Any, Any]) -> list[str]:
    return [each.name for each in Pipeline(passes).passes]


def test_the_export_is_put_in_where_passes_over_the_network_end() -> None:
    assert stages(whet.Narrow(0.3), whet.Repair()) == ["narrow", "repair", "to-graph"]
    assert stages(whet.Narrow(0.3), whet.Cast()) == ["narrow", "to-graph", "cast"]
    assert stages(whet.Narrow(0.3), whet.ToGraph(), whet.Cast()) == ["narrow", "to-graph", "cast"]
    assert stages(whet.Tidy(), whet.ConvertIr(), whet.QuantizeNncfIr()) == [
        "tidy", "convert-ir", "quantize-nncf-ir",
    ]  # fmt: skip
    assert stages() == []


@pytest.mark.parametrize("name", names("pass"))
def test_every_pass_can_stand_alone_or_says_what_it_needs(name: str) -> None:
    made = pass_of(Step(name, NEEDED.get(name, {})))
    if made.takes is Stage.IR:
        with pytest.raises(OptionError, match="'convert-ir' before it"):
            Pipeline([made])
    else:
        assert Pipeline([made]).passes[0] == made
    assert pass_of(step_of(made)) == made


def test_a_pass_over_the_network_comes_before_the_graph() -> None:
    with pytest.raises(OptionError, match="'narrow' takes a network") as caught:
        Pipeline([whet.Cast(), whet.Tidy(), whet.Narrow(0.3)])
    assert caught.value.remedy == "Put 'narrow' before 'cast'."
    with pytest.raises(OptionError, match="'convert-ir' before it gives an OpenVINO IR"):
        Pipeline([whet.ConvertIr(), whet.Cast()])


def test_texts_become_what_they_mean_and_are_checked_at_once() -> None:
    (ranges,) = Pipeline([whet.QuantizeNncf(ranges="minmax")]).passes  # type: ignore[arg-type]
    assert isinstance(ranges, whet.QuantizeNncf)
    assert ranges.ranges.name == "MINMAX"
    with pytest.raises(OptionError, match="quantize-nncf"):
        Pipeline([whet.QuantizeNncf(ranges="maximal")])  # type: ignore[arg-type]


@final
@dataclass(frozen=True)
class Own(Pass[Any, Any]):
    name: ClassVar[str] = "tidy"
    takes: ClassVar[Stage] = Stage.GRAPH
    gives: ClassVar[Stage] = Stage.GRAPH

    def requires(self, model: Any, ctx: Context) -> None: ...
    def apply(self, model: Any, ctx: Context) -> PassResult[Any]:
        return PassResult(model, False)

    def ensures(self, model: Any, ctx: Context) -> None: ...


@pytest.mark.parametrize(
    ("passes", "said"),
    [
        ([whet.Tidy], "Tidy is a class"),
        (["tidy"], "A str is no pass"),
        (whet.Tidy(), "A pipeline of a Tidy"),
        (3, "A pipeline of a int"),
        ([Own()], "none of whet's own passes"),
    ],
    ids=["class", "name", "bare", "number", "own"],
)
def test_what_is_no_pipeline_is_refused(passes: Any, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        Pipeline(passes)


def test_a_pipeline_is_a_recipe_with_defaults_left_out() -> None:
    recipe = as_recipe(Pipeline([whet.Narrow(0.3), whet.Repair(rows=64)]))
    assert recipe == WrittenRecipe(
        (Step("narrow", {"share": 0.3}), Step("repair", {"rows": 64}), Step("to-graph"))
    )
    assert recipe.pipeline() == Pipeline([whet.Narrow(0.3), whet.Repair(rows=64)])
    with pytest.raises(OptionError, match="recipe is a int"):
        as_recipe(3)  # type: ignore[arg-type]


def test_names_of_the_registry_are_those_of_the_classes() -> None:
    assert {resolve("pass", name).name for name in names("pass")} == set(names("pass"))  # type: ignore[attr-defined]

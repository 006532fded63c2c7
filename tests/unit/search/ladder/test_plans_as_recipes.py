"""The order of passes in the recipe of a plan."""

from __future__ import annotations

import pytest
from trial_factory import trial

from whet.core.recipe import Step
from whet.search.ladder.surgery import recipe_of
from whet.search.solver.proposals import Proposal

NARROW, FEWER = Step("narrow", {"units": {"a": 8}}), Step("merge-tokens", {"share": 0.5})
REPAIR, LEARN, EXPORT = Step("repair"), Step("distill", {"steps": 96}), Step("to-graph")


@pytest.mark.parametrize(
    ("steps", "after", "wanted"),
    [
        ((NARROW,), (), (NARROW, REPAIR, EXPORT)),
        ((NARROW, FEWER), (), (NARROW, REPAIR, FEWER, EXPORT)),
        ((NARROW, FEWER), (LEARN,), (NARROW, REPAIR, FEWER, LEARN, EXPORT)),
        ((FEWER,), (), (FEWER, EXPORT)),  # there is nothing to repair
    ],
)
def test_tokens_are_merged_behind_the_repair(
    steps: tuple[Step, ...], after: tuple[Step, ...], wanted: tuple[Step, ...]
) -> None:
    base = trial("openvino int8", 2.0)
    found = recipe_of(Proposal(steps, 1.0, 0.1, 1), base, *after)
    assert found.steps == (*wanted, *base.recipe.steps)
    assert (found.runtime, found.settings) == (base.recipe.runtime, base.recipe.settings)

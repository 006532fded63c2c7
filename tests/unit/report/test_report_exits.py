"""What ends early is marked as that in the table of candidates."""

from __future__ import annotations

import evidence_factory as factory
import msgspec

from whet.core.recipe import Recipe, Step
from whet.report import render


def test_the_table_marks_what_ends_early() -> None:
    plain = factory.evidence()
    first, *others = plain.trials
    steps = (Step("exit-after", {"block": "one"}), Step("to-graph"))
    recipe = Recipe(steps, first.recipe.runtime, first.recipe.settings)
    short = msgspec.structs.replace(first, recipe=recipe)
    page = render(msgspec.structs.replace(plain, trials=(short, *others)))
    assert ">ends early<" in page
    assert ">ends early<" not in render(plain)

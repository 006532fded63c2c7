"""A substitution is told as one wherever the chosen variant is."""

from __future__ import annotations

import evidence_factory as factory
import msgspec

from whet.core.evidence import Evidence, Trial
from whet.core.recipe import Recipe, Step
from whet.report import render
from whet.search.words.substitution import SUBSTITUTION


def replaced(evidence: Evidence) -> Evidence:
    """The same record with another network chosen."""

    def with_student(trial: Trial) -> Trial:
        if trial.id != evidence.chosen:
            return trial
        steps = (Step("substitute", {"family": "resnet"}), Step("to-graph"))
        recipe = Recipe(steps, trial.recipe.runtime, trial.recipe.settings)
        return msgspec.structs.replace(trial, recipe=recipe)

    return msgspec.structs.replace(evidence, trials=tuple(map(with_student, evidence.trials)))


def words(page: str) -> str:
    return " ".join(page.replace("\u00a0", " ").split())


def test_headline_and_table_say_that_it_is_another_network() -> None:
    plain, page = (words(render(e)) for e in (factory.evidence(), replaced(factory.evidence())))
    assert SUBSTITUTION not in plain
    assert ">another network<" not in plain
    assert SUBSTITUTION in page
    assert ">another network<" in page

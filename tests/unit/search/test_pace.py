from __future__ import annotations

import msgspec

from whet.core.evidence import Status, Trial
from whet.core.recipe import Recipe, Step
from whet.core.settings import Settings
from whet.search.pace import usual_s

STEPS = (Step("quantize-nncf-ir"),)


def took(runtime: str, seconds: float, *, steps: bool, status: Status = Status.OK) -> Trial:
    recipe = Recipe(STEPS if steps else (), runtime, Settings())
    return Trial(recipe.digest(), runtime, recipe, 1, status, seconds)


def usual(runtime: str, *trials: Trial, steps: bool = True) -> float:
    return usual_s(Recipe(STEPS if steps else (), runtime, Settings()), trials)


def test_the_longest_of_its_kind_so_far() -> None:
    own = took("openvino", 3.0, steps=True)
    longer = msgspec.structs.replace(own, seconds=5.0)
    assert usual("openvino", own, longer, took("openvino", 50.0, steps=False)) == 5.0
    assert usual("openvino", took("openvino", 50.0, steps=True, status=Status.TIMED_OUT)) == 10.0


def test_the_first_on_a_runtime_takes_no_less_than_the_passes_took_elsewhere() -> None:
    assert usual("onnxruntime", took("openvino", 40.0, steps=True)) == 40.0
    assert usual("onnxruntime", took("openvino", 2.0, steps=True)) == 10.0
    assert usual("onnxruntime", took("openvino", 40.0, steps=False), steps=False) == 10.0


def test_a_compiler_of_c_is_slow_and_says_nothing_of_others() -> None:
    assert usual("inductor") == 60.0
    assert usual("onnxruntime", took("inductor", 90.0, steps=True)) == 10.0

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest
from trial_factory import quality, trial

from whet.core.contract import Contract, Drop
from whet.core.evidence import Trial
from whet.core.recipe import Recipe, Step
from whet.core.settings import Precision, Settings
from whet.search.ladder.polish import _best, slow_precisions

SETUP = SimpleNamespace(
    contract=Contract(max_drop=Drop(0.01)), certify=SimpleNamespace(samples=1000)
)


@pytest.mark.parametrize(("its_speed", "taken"), [(2.95, "rounded"), (2.5, "plain")])
def test_of_two_as_fast_the_one_that_is_sure_is_tuned_further(its_speed: float, taken: str) -> None:
    plain = trial("plain", 3.0, select=quality(0.009))
    rounded = trial("rounded", its_speed, select=quality(0.0))
    found = _best(SETUP, [plain, rounded])  # type: ignore[arg-type]  # the fields it looks at
    assert found.name == taken


def in_precision(speed: float, precision: Precision, *, bits: int = 8) -> Trial:
    recipe = Recipe((Step("quantize", {"bits": bits}),), "openvino", Settings(precision=precision))
    made = trial(f"{bits} {precision}", speed)
    return msgspec.structs.replace(made, recipe=recipe, id=recipe.digest())


def test_a_precision_without_kernels_is_tried_once_and_a_slower_one_again() -> None:
    seen = [
        in_precision(2.0, Precision.FP32),
        in_precision(1.9, Precision.BF16),
        in_precision(0.002, Precision.FP16),
        in_precision(3.0, Precision.FP32, bits=4),
    ]
    assert slow_precisions(seen, "openvino") == {Precision.FP16}
    assert slow_precisions(seen, "onnxruntime") == frozenset()
    fast_there = in_precision(2.9, Precision.FP16, bits=4)
    assert slow_precisions([*seen, fast_there], "openvino") == frozenset()


def test_floats_that_are_slow_beside_bf16_are_no_reason_against_int8_in_float() -> None:
    plain = in_precision(1.0, Precision.FP32)
    halved = in_precision(4.7, Precision.BF16)
    int8 = in_precision(7.0, Precision.FP32, bits=4)
    assert slow_precisions([plain, halved], "openvino") == {Precision.FP32}
    assert slow_precisions([plain, halved, int8], "openvino") == frozenset()

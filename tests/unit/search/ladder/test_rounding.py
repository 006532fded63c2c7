"""Which candidate's weights are rounded in advance."""

from __future__ import annotations

import msgspec
import pytest
from trial_factory import quality, trial

from whet.core.evidence import Trial
from whet.core.recipe import Recipe, Step
from whet.core.settings import Settings
from whet.search.ladder import variations
from whet.search.ladder.rounding import worth_rounding

IR = Step("convert-ir")


def int8(name: str, speedup: float, *before: Step, **options: object) -> Trial:
    recipe = Recipe((*before, IR, Step("quantize-nncf-ir", options)), "openvino", Settings())
    return msgspec.structs.replace(
        trial(name, speedup, select=quality(0.001, width=0.02)), recipe=recipe
    )


def test_the_fastest_is_rounded_where_nothing_as_fast_is_sure() -> None:
    fast, slow = int8("fast", 3.0), int8("slow", 2.0)
    found = worth_rounding([slow, fast], lambda _: False)
    assert [r.steps[0].name for r in found] == ["round-weights"] * 2
    assert found == worth_rounding([slow, fast], lambda t: t is slow)
    assert worth_rounding([slow, fast], lambda t: t is fast) == ()


def test_what_is_hardly_faster_than_what_is_sure_is_left_as_it_is() -> None:
    safe = trial("bf16", 2.95)
    assert worth_rounding([int8("int8", 3.0), safe], lambda t: t is safe) == ()


def test_one_that_cannot_be_rounded_gives_way_to_the_next() -> None:
    smooth, plain = int8("smooth", 3.0, smooth_quant_alpha=0.5), int8("plain", 2.5)
    assert worth_rounding([smooth, plain], lambda _: False) == tuple(variations.rounded(plain))


@pytest.mark.parametrize(
    "options", [{"per_channel": False}, {"smooth_quant_alpha": 0.5}], ids=["whole", "smoothed"]
)
def test_another_grid_than_the_quantisers_is_no_use(options: dict[str, object]) -> None:
    assert not tuple(variations.rounded(int8("int8", 2.0, **options)))


def test_rounding_comes_first_and_biases_stay() -> None:
    made = tuple(variations.rounded(int8("int8", 2.0, half_range="none", bias="full")))
    assert [[s.name for s in r.steps] for r in made] == [
        ["round-weights", "convert-ir", "quantize-nncf-ir"]
    ] * 2
    assert [r.steps[-1].options for r in made] == [
        {"half_range": "none", "bias": "none", "preset": preset}
        for preset in ("mixed", "performance")
    ]
    again = msgspec.structs.replace(int8("int8", 2.0), recipe=made[0])
    assert not tuple(variations.rounded(again))
    assert not tuple(variations.rounded(trial("fp32", 1.0, untouched=True)))


def test_a_changed_network_gives_way_to_the_original_in_int8() -> None:
    narrow = (Step("narrow", {"share": 0.5}), Step("repair"), Step("to-graph"))
    changed, plain = int8("narrower", 3.0, *narrow), int8("plain", 2.5)
    assert worth_rounding([changed, plain], lambda _: False) == tuple(variations.rounded(plain))

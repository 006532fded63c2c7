from __future__ import annotations

import msgspec
import pytest
from trial_factory import trial

from whet.core.evidence import Trial
from whet.core.recipe import Recipe, Step
from whet.core.settings import Precision, Settings
from whet.optimize.graph.quantize.space import ROUND
from whet.runtimes.axes import Axes
from whet.search.ladder import int8_rungs, variations

FLAGS = frozenset({"avx512_vnni", "avx512_bf16"})
AXES = Axes(cores=2, fixed={"batch": 1}, flags=FLAGS, concurrency=1)
PLAIN = Settings(threads=2, fixed={"batch": 1})


def ran(runtime: str, speedup: float, recipe: Recipe | None = None) -> Trial:
    recipe = recipe if recipe is not None else Recipe((), runtime, PLAIN)
    return msgspec.structs.replace(trial(runtime, speedup), id=recipe.digest(), recipe=recipe)


def test_retuning_keeps_the_passes_and_stays_beside_the_settings() -> None:
    recipe = int8_rungs.int8_first("cnn", ("openvino",), {"openvino": PLAIN}, FLAGS)[0]
    found = list(variations.retuned(ran("openvino", 3.0, recipe), AXES, most=4))
    assert all(r.steps == recipe.steps for r in found)
    assert [r.settings for r in found[:3]] == [
        msgspec.structs.replace(PLAIN, precision=Precision.BF16),
        msgspec.structs.replace(PLAIN, threads=1),
        msgspec.structs.replace(PLAIN, pin=True),
    ]
    every = list(variations.retuned(ran("openvino", 3.0, recipe), AXES, most=99))
    assert every[: len(found)] == found
    assert len(every) > len(found)


def test_an_original_that_is_retuned_stays_one() -> None:
    found = list(variations.retuned(ran("openvino", 1.0), AXES, most=99))
    assert found
    assert all(r.untouched for r in found)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("kind", ["cnn", "transformer"])
def test_what_is_good_is_reworked_one_change_at_a_time(kind: str, runtime: str) -> None:
    recipe = int8_rungs.int8_first(kind, (runtime,), {runtime: PLAIN}, FLAGS)[0]
    found = [r.steps for r in variations.reworked(kind, ran(runtime, 3.0, recipe))]
    whole = [steps for steps in found if steps[-1].options.get("per_channel") is False]
    assert [steps[:-1] for steps in whole] == [recipe.steps[:-1]]
    fused = [steps for steps in found if steps[0].name == "fuse"]
    assert [steps[1:] for steps in fused] == (
        [recipe.steps] if (kind, runtime) == ("transformer", "onnxruntime") else []
    )
    assert len(found) == len(whole) + len(fused)
    again = [ran(runtime, 3.0, Recipe(s, runtime, PLAIN)) for s in whole]
    assert all(s.steps[0].name == "fuse" for t in again for s in variations.reworked(kind, t))


def test_nothing_is_reworked_in_a_graph_that_is_not_quantised() -> None:
    assert list(variations.reworked("transformer", ran("onnxruntime", 3.0))) == []


@pytest.mark.parametrize("small", [False, True])
def test_layers_left_in_float_are_stored_small_where_size_is_limited(small: bool) -> None:
    recipe = int8_rungs.int8_first("cnn", ("openvino",), {"openvino": PLAIN}, FLAGS)[0]
    base = ran("openvino", 3.0, recipe)
    found = variations.restored_in(base, ["conv1", "fc"], Precision.BF16, small=small)
    names = [step.name for step in recipe.steps]
    assert [s.name for s in found.steps] == (["store-int8", *names] if small else names)
    assert found.steps[-1].options["ignored"] == ["conv1", "fc"]
    assert found.settings == msgspec.structs.replace(PLAIN, precision=Precision.BF16)
    (rounded, *_) = variations.rounded(base)
    again = variations.restored_in(
        ran("openvino", 3.0, rounded), ["fc"], PLAIN.precision, small=small
    )
    # Where size isn't limited, layers in float have their own weights.
    expected = ["round-weights", "store-int8" if small else "restore-weights", *names]
    assert [s.name for s in again.steps] == expected


def test_rounding_comes_before_a_quantiser_that_keeps_its_grid() -> None:
    plain = (Step("convert-ir"), Step("quantize-nncf-ir", {"bias": "full", "ranges": "minmax"}))
    found = variations.rounding_first(plain)
    assert found == (ROUND, plain[0], Step(plain[1].name, {"bias": "none", "ranges": "minmax"}))
    assert variations.rounding_first(found) is None
    for options in ({"per_channel": False}, {"smooth_quant_alpha": 0.5}):
        assert variations.rounding_first((Step("quantize-nncf", options),)) is None
    assert variations.rounding_first((Step("quantize-ort"),)) is None


def test_rounded_weights_are_not_put_on_one_scale() -> None:
    recipe = int8_rungs.int8_first("cnn", ("openvino",), {"openvino": PLAIN}, FLAGS)[0]
    (found, *_) = variations.rounded(ran("openvino", 3.0, recipe))
    assert list(variations.reworked("cnn", ran("openvino", 3.0, found))) == []


def test_storing_is_for_openvino() -> None:
    recipe = int8_rungs.int8_first("cnn", ("onnxruntime",), {"onnxruntime": PLAIN}, FLAGS)[0]
    base = ran("onnxruntime", 3.0, recipe)
    found = variations.restored_in(base, ["fc"], PLAIN.precision, small=True)
    assert [s.name for s in found.steps] == [s.name for s in recipe.steps]


def test_a_graph_is_tidied_once_before_its_own_passes() -> None:
    recipe = int8_rungs.int8_first("cnn", ("openvino",), {"openvino": PLAIN}, FLAGS)[0]
    (found,) = variations.tidied(ran("openvino", 3.0, recipe))
    assert [s.name for s in found.steps] == ["tidy", "fuse", *(s.name for s in recipe.steps)]
    assert list(variations.tidied(ran("openvino", 3.0, found))) == []
    assert list(variations.tidied(ran("inductor", 3.0))) == []


def test_padding_changes_nothing_but_the_sizes() -> None:
    base = ran("openvino", 2.0)
    found = list(variations.padded(base, ({"sequence": 8}, {"sequence": 16})))
    assert [r.settings.round_up for r in found] == [{"sequence": 8}, {"sequence": 16}]
    for recipe in found:
        plain = msgspec.structs.replace(recipe.settings, round_up={})
        assert msgspec.structs.replace(recipe, settings=plain) == base.recipe
        assert not recipe.untouched


def test_what_is_padded_stays_padded_when_it_is_tuned() -> None:
    settings = msgspec.structs.replace(PLAIN, round_up={"sequence": 8})
    base = ran("openvino", 2.0, Recipe((), "openvino", settings))
    found = list(variations.retuned(base, AXES, most=4))
    assert found
    assert all(r.settings.round_up == {"sequence": 8} for r in found)


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
    assert variations.slow_precisions(seen, "openvino") == {Precision.FP16}
    assert variations.slow_precisions(seen, "onnxruntime") == frozenset()
    fast_there = in_precision(2.9, Precision.FP16, bits=4)
    assert variations.slow_precisions([*seen, fast_there], "openvino") == frozenset()


def test_floats_that_are_slow_beside_bf16_are_no_reason_against_int8_in_float() -> None:
    plain = in_precision(1.0, Precision.FP32)
    halved = in_precision(4.7, Precision.BF16)
    int8 = in_precision(7.0, Precision.FP32, bits=4)
    assert variations.slow_precisions([plain, halved], "openvino") == {Precision.FP32}
    assert variations.slow_precisions([plain, halved, int8], "openvino") == frozenset()


def test_retuning_leaves_out_slow_precisions_but_never_its_own() -> None:
    base = in_precision(3.0, Precision.FP32)
    found = list(variations.retuned(base, AXES, most=99, slow={Precision.BF16, Precision.FP32}))
    assert found
    assert {r.settings.precision for r in found} == {Precision.FP32}


OPERATED = (Step("narrow", {"units": {"a": 8}}), Step("repair"), variations.TO_GRAPH)


def test_passes_over_graphs_come_after_what_changes_the_network() -> None:
    quantiser = Step("quantize-nncf")
    changed = ran("onnxruntime", 2.0, Recipe((*OPERATED, quantiser), "onnxruntime", PLAIN))
    for recipe in (*variations.tidied(changed), *variations.reworked("transformer", changed)):
        assert recipe.steps[:3] == OPERATED
        assert variations.TO_GRAPH not in recipe.steps[3:]
    (first, *_) = variations.rounded(changed)
    assert first.steps[:4] == (*OPERATED, ROUND)
    assert variations.on_the_graph((ROUND,), (quantiser,)) == (ROUND, quantiser)


def test_a_changed_network_is_not_given_weights_of_the_untouched_graph() -> None:
    steps = (*OPERATED, ROUND, Step("quantize-nncf"))
    changed = ran("openvino", 2.0, Recipe(steps, "openvino", PLAIN))
    found = variations.restored_in(changed, ["layer"], Precision.FP32, small=False)
    assert "restore-weights" not in [step.name for step in found.steps]
    plain = ran("openvino", 2.0, Recipe(steps[3:], "openvino", PLAIN))
    found = variations.restored_in(plain, ["layer"], Precision.FP32, small=False)
    assert "restore-weights" in [step.name for step in found.steps]

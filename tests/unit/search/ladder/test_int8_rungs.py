from __future__ import annotations

import msgspec
import pytest
from trial_factory import trial

from whet.core.evidence import Trial
from whet.core.recipe import Recipe
from whet.core.settings import Precision, Settings
from whet.runtimes.axes import Axes
from whet.search.ladder import int8_rungs, rungs

FLAGS = frozenset({"avx512_vnni", "avx512_bf16"})
AXES = Axes(cores=2, fixed={"batch": 1}, flags=FLAGS, concurrency=1)
PLAIN = Settings(threads=2, fixed={"batch": 1})


def ran(runtime: str, speedup: float, recipe: Recipe | None = None) -> Trial:
    recipe = recipe if recipe is not None else Recipe((), runtime, PLAIN)
    return msgspec.structs.replace(trial(runtime, speedup), id=recipe.digest(), recipe=recipe)


def test_the_probe_is_the_first_recipe_with_a_handful_of_samples() -> None:
    (probe,) = int8_rungs.int8_probe("cnn", [ran("openvino", 1.0)], FLAGS)
    (first,) = int8_rungs.int8_first("cnn", ("openvino",), {"openvino": PLAIN}, FLAGS)
    assert [s.name for s in probe.steps] == [s.name for s in first.steps]
    assert probe.steps[-1].options["subset_size"] == 8


def test_without_ranges_to_find_the_probe_is_the_whole_recipe() -> None:
    first = [ran("onnxruntime", 1.0)]
    probe = int8_rungs.int8_probe("recurrent", first, FLAGS)
    assert probe == int8_rungs.int8_soonest("recurrent", first, FLAGS)
    assert [s.name for s in probe[0].steps] == ["quantize-dynamic"]


@pytest.mark.parametrize(
    ("speeds", "asked"),
    [
        ({"openvino": 1.0, "onnxruntime": 1.4}, "onnxruntime"),
        ({"openvino": 1.0, "onnxruntime": 0.7}, "openvino"),
        ({"openvino": 1.0, "onnxruntime": 1.02}, "openvino"),
        ({"inductor": 9.0, "openvino": 1.0}, "openvino"),
    ],
)
def test_the_probe_asks_the_runtime_that_is_fastest_of_those_with_int8(
    speeds: dict[str, float], asked: str
) -> None:
    first = [ran(runtime, speed) for runtime, speed in speeds.items()]
    (probe,) = int8_rungs.int8_probe("cnn", first, FLAGS)
    assert probe.runtime == asked
    assert probe.steps


def test_there_is_no_probe_without_a_runtime_that_has_int8() -> None:
    assert int8_rungs.int8_probe("cnn", [], FLAGS) == ()
    assert int8_rungs.int8_probe("cnn", [ran("inductor", 1.0)], FLAGS) == ()


def test_other_algorithms_only_on_runtimes_that_are_near() -> None:
    best = {"openvino": PLAIN, "onnxruntime": PLAIN}
    tried = [
        ran(r.runtime, 3.0 if r.runtime == "openvino" else 1.5, r)
        for r in int8_rungs.int8_first("cnn", ("openvino", "onnxruntime"), best, AXES.flags)
    ]
    rest = list(int8_rungs.int8_rest("cnn", tried, best, AXES.flags))
    assert {r.runtime for r in rest} == {"openvino"}
    assert rest[-1].steps[-1].name == "quantize-weights-ir"
    assert not {r.digest() for r in rest} & {t.id for t in tried}


@pytest.mark.parametrize(
    ("share", "halved", "bits"),
    [(1.0, True, {8, 4}), (0.3, False, {8, 4}), (0.2, False, {4}), (0.1, False, {4})],
)
def test_no_more_bits_than_the_limit_allows_are_tried_or_else_the_fewest(
    share: float, halved: bool, bits: set[int]
) -> None:
    best = {"openvino": PLAIN, "onnxruntime": PLAIN}
    found = list(int8_rungs.weights_only(best, frozenset(), kind="cnn", share=share))
    assert bool(list(rungs.lighter(best, share=share))) is halved
    assert {r.steps[-1].options.get("bits", 8) for r in found} == bits
    assert {r.runtime for r in found} == set(best)
    wide = [r.steps[-1].options.get("bits", 8) for r in found]
    assert wide == sorted(wide, reverse=True)
    # Those rounded in advance move the answers least, and so come first.
    assert [r.steps[0].name == "round-weights" for r in found[:2]] == [8 in bits] * len(found[:2])


def test_what_comes_nearest_has_8_bits_and_begins_with_the_cheapest() -> None:
    best = {"openvino": PLAIN, "onnxruntime": PLAIN}
    found = list(int8_rungs.weights_nearest(best, frozenset()))
    # The same as where there is room for them, so that none is tried twice.
    roomy = [*int8_rungs.weights_only(best, frozenset(), kind="cnn", share=0.3)]
    wide = [r for r in roomy if r.steps[-1].options.get("bits", 8) == 8]
    assert {r.digest() for r in found} == {r.digest() for r in wide}
    assert [r.steps[0].name == "round-weights" for r in found] == [False, False, True, True]


def test_stored_weights_compute_in_bf16_first_where_the_cpu_can() -> None:
    best = {"openvino": PLAIN, "onnxruntime": PLAIN}
    plain, half = (
        [(r.runtime, r.settings.precision) for r in found if r.steps[-1].name == "store-int8"]
        for found in (
            int8_rungs.weights_only(best, frozenset(flags), kind="cnn", share=0.3)
            for flags in ((), ("avx512_bf16",))
        )
    )
    assert plain == [("onnxruntime", Precision.FP32), ("openvino", Precision.FP32)]
    assert half == [plain[0], ("openvino", Precision.BF16), plain[1]]


def test_a_recurrent_network_is_quantised_where_that_reaches_its_layers() -> None:
    settings = {"openvino": PLAIN, "onnxruntime": PLAIN}
    found = int8_rungs.int8_first("recurrent", ("openvino", "onnxruntime"), settings, FLAGS)
    assert [r.runtime for r in found] == ["onnxruntime", "openvino"]
    assert [step.name for step in found[0].steps] == ["quantize-dynamic"]
    # Though the other runtime is faster without.
    first = [ran("openvino", 2.0), ran("onnxruntime", 1.0)]
    assert int8_rungs.int8_soonest("recurrent", first, FLAGS)[0] == found[0]


def test_where_there_is_time_for_one_it_is_the_whole_recipe_on_the_fastest_runtime() -> None:
    first = [ran("openvino", 0.5), ran("onnxruntime", 1.0)]
    (soonest,) = int8_rungs.int8_soonest("cnn", first, FLAGS)
    assert soonest.runtime == "onnxruntime"
    # The same recipe that its rung tries first, so it isn't tried twice.
    settings = {t.recipe.runtime: t.recipe.settings for t in first}
    assert soonest in int8_rungs.int8_first("cnn", ("openvino", "onnxruntime"), settings, FLAGS)
    assert int8_rungs.int8_soonest("cnn", [ran("inductor", 1.0)], FLAGS) == ()


@pytest.mark.parametrize("share", [1.0, 0.1])
def test_recurrent_weights_are_rounded_to_8_bits_and_no_fewer(share: float) -> None:
    best = {"openvino": PLAIN, "onnxruntime": PLAIN}
    found = list(int8_rungs.weights_only(best, frozenset(), kind="recurrent", share=share))
    assert {r.runtime for r in found} == set(best)
    assert {r.steps[0].name for r in found} == {"round-weights"}

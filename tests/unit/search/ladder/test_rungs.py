from __future__ import annotations

import msgspec
import pytest
from trial_factory import trial

from whet.core.evidence import Trial
from whet.core.recipe import Recipe
from whet.core.settings import Precision, Settings
from whet.runtimes.axes import Axes
from whet.search.ladder import rungs

FLAGS = frozenset({"avx512_vnni", "avx512_bf16"})
AXES = Axes(cores=2, fixed={"batch": 1}, flags=FLAGS, concurrency=1)
PLAIN = Settings(threads=2, fixed={"batch": 1})


def ran(runtime: str, speedup: float, recipe: Recipe | None = None) -> Trial:
    recipe = recipe if recipe is not None else Recipe((), runtime, PLAIN)
    return msgspec.structs.replace(trial(runtime, speedup), id=recipe.digest(), recipe=recipe)


def test_each_runtime_runs_once_untouched_and_lossless() -> None:
    found = rungs.untouched_first(("openvino", "onnxruntime"), AXES)
    assert [r.runtime for r in found] == ["openvino", "onnxruntime"]
    assert all(not r.steps and r.settings.precision is Precision.FP32 for r in found)


def test_requests_at_once_are_tried_side_by_side_and_one_after_the_other() -> None:
    axes = Axes(cores=2, fixed={"batch": 1}, flags=FLAGS, concurrency=2)
    (first,) = rungs.untouched_first(("openvino",), axes)
    assert (first.settings.threads, first.settings.streams) == (1, 2)
    rest = rungs.untouched_rest([ran("openvino", 1.0, first)], axes)
    assert (2, 1) in {(r.settings.threads, r.settings.streams) for r in rest}


def test_a_hopeless_runtime_is_not_tuned_further() -> None:
    first = [ran("openvino", 1.0), ran("onnxruntime", 0.5)]
    assert {r.runtime for r in rungs.untouched_rest(first, AXES)} == {"openvino"}


def test_a_near_runtime_is_tuned_too_and_the_faster_one_first() -> None:
    first = [ran("openvino", 0.9), ran("onnxruntime", 1.0)]
    found = list(rungs.untouched_rest(first, AXES))
    assert found[0].runtime == "onnxruntime"
    assert {r.runtime for r in found} == {"openvino", "onnxruntime"}
    assert len({r.digest() for r in found}) == len(found)


def test_reduced_precision_only_where_the_cpu_has_it() -> None:
    assert all(
        r.settings.precision is not Precision.FP32
        for r in rungs.reduced_precision(("openvino", "onnxruntime"), AXES)
    )
    without = Axes(cores=2, fixed={}, flags=frozenset(), concurrency=1)
    assert list(rungs.reduced_precision(("openvino",), without)) == []


def test_the_probe_is_the_first_recipe_with_a_handful_of_samples() -> None:
    (probe,) = rungs.int8_probe("cnn", [ran("openvino", 1.0)], FLAGS)
    (first,) = rungs.int8_first("cnn", ("openvino",), {"openvino": PLAIN}, FLAGS)
    assert [s.name for s in probe.steps] == [s.name for s in first.steps]
    assert probe.steps[-1].options["subset_size"] == 8


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
    (probe,) = rungs.int8_probe("cnn", first, FLAGS)
    assert probe.runtime == asked
    assert probe.steps


def test_there_is_no_probe_without_a_runtime_that_has_int8() -> None:
    assert rungs.int8_probe("cnn", [], FLAGS) == ()
    assert rungs.int8_probe("cnn", [ran("inductor", 1.0)], FLAGS) == ()


def test_other_algorithms_only_on_runtimes_that_are_near() -> None:
    best = {"openvino": PLAIN, "onnxruntime": PLAIN}
    tried = [
        ran(r.runtime, 3.0 if r.runtime == "openvino" else 1.5, r)
        for r in rungs.int8_first("cnn", ("openvino", "onnxruntime"), best, AXES.flags)
    ]
    rest = list(rungs.int8_rest("cnn", tried, best, AXES.flags))
    assert {r.runtime for r in rest} == {"openvino"}
    assert rest[-1].steps[-1].name == "quantize-weights-ir"
    assert not {r.digest() for r in rest} & {t.id for t in tried}


def test_fused_operators_are_for_transformers_on_onnx_runtime() -> None:
    best = {"openvino": PLAIN, "onnxruntime": PLAIN}
    (found,) = rungs.fused("transformer", best)
    assert (found.runtime, found.steps[0].options) == ("onnxruntime", {"target": "onnxruntime"})
    assert list(rungs.fused("cnn", best)) == []
    assert list(rungs.fused("transformer", {"openvino": PLAIN})) == []


def test_retuning_keeps_the_passes_and_stays_beside_the_settings() -> None:
    recipe = rungs.int8_first("cnn", ("openvino",), {"openvino": PLAIN}, FLAGS)[0]
    found = list(rungs.retuned(ran("openvino", 3.0, recipe), AXES, most=4))
    assert all(r.steps == recipe.steps for r in found)
    assert [r.settings for r in found[:3]] == [
        msgspec.structs.replace(PLAIN, precision=Precision.BF16),
        msgspec.structs.replace(PLAIN, threads=1),
        msgspec.structs.replace(PLAIN, pin=True),
    ]
    every = list(rungs.retuned(ran("openvino", 3.0, recipe), AXES, most=99))
    assert every[: len(found)] == found
    assert len(every) > len(found)


def test_an_original_that_is_retuned_stays_one() -> None:
    found = list(rungs.retuned(ran("openvino", 1.0), AXES, most=99))
    assert found
    assert all(r.untouched for r in found)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("kind", ["cnn", "transformer"])
def test_what_is_good_is_reworked_one_change_at_a_time(kind: str, runtime: str) -> None:
    recipe = rungs.int8_first(kind, (runtime,), {runtime: PLAIN}, FLAGS)[0]
    found = [r.steps for r in rungs.reworked(kind, ran(runtime, 3.0, recipe))]
    whole = [steps for steps in found if steps[-1].options.get("per_channel") is False]
    assert [steps[:-1] for steps in whole] == [recipe.steps[:-1]]
    fused = [steps for steps in found if steps[0].name == "fuse"]
    assert [steps[1:] for steps in fused] == (
        [recipe.steps] if (kind, runtime) == ("transformer", "onnxruntime") else []
    )
    assert len(found) == len(whole) + len(fused)
    again = [ran(runtime, 3.0, Recipe(s, runtime, PLAIN)) for s in whole]
    assert all(s.steps[0].name == "fuse" for t in again for s in rungs.reworked(kind, t))


def test_nothing_is_reworked_in_a_graph_that_is_not_quantised() -> None:
    assert list(rungs.reworked("transformer", ran("onnxruntime", 3.0))) == []


def test_a_graph_is_tidied_once_before_its_own_passes() -> None:
    recipe = rungs.int8_first("cnn", ("openvino",), {"openvino": PLAIN}, FLAGS)[0]
    (found,) = rungs.tidied(ran("openvino", 3.0, recipe))
    assert [s.name for s in found.steps] == ["tidy", "fuse", *(s.name for s in recipe.steps)]
    assert list(rungs.tidied(ran("openvino", 3.0, found))) == []
    assert list(rungs.tidied(ran("inductor", 3.0))) == []


def test_graphs_in_half_precision_where_onnx_runtime_has_kernels_for_them() -> None:
    arm = Axes(cores=2, fixed={}, flags=frozenset({"asimdhp"}), concurrency=1)
    (found,) = rungs.reduced_precision(("onnxruntime",), arm)
    assert found.steps[0].options == {"weights": "fp16", "compute": True}
    assert list(rungs.reduced_precision(("onnxruntime",), AXES)) == []


def test_half_of_the_size_on_every_runtime_that_runs_graphs() -> None:
    best = {"openvino": PLAIN, "inductor": PLAIN, "onnxruntime": PLAIN}
    found = list(rungs.lighter(best, share=0.6))
    assert [r.runtime for r in found] == ["onnxruntime", "openvino"]
    assert all(step.name == "cast" for r in found for step in r.steps)


@pytest.mark.parametrize(
    ("share", "halved", "bits"),
    [(1.0, True, {8, 4}), (0.3, False, {8, 4}), (0.2, False, {4}), (0.1, False, set())],
)
def test_no_fewer_bits_than_the_limit_asks_for_are_tried(
    share: float, halved: bool, bits: set[int]
) -> None:
    best = {"openvino": PLAIN, "onnxruntime": PLAIN}
    found = list(rungs.weights_only(best, share=share))
    assert bool(list(rungs.lighter(best, share=share))) is halved
    assert {r.steps[-1].options.get("bits", 8) for r in found} == bits
    assert {r.runtime for r in found} == (set(best) if bits else set())
    wide = [r.steps[-1].options.get("bits", 8) for r in found]
    assert wide == sorted(wide, reverse=True)


def test_padding_changes_nothing_but_the_sizes() -> None:
    base = ran("openvino", 2.0)
    found = list(rungs.padded(base, ({"sequence": 8}, {"sequence": 16})))
    assert [r.settings.round_up for r in found] == [{"sequence": 8}, {"sequence": 16}]
    for recipe in found:
        plain = msgspec.structs.replace(recipe.settings, round_up={})
        assert msgspec.structs.replace(recipe, settings=plain) == base.recipe
        assert not recipe.untouched


def test_what_is_padded_stays_padded_when_it_is_tuned() -> None:
    settings = msgspec.structs.replace(PLAIN, round_up={"sequence": 8})
    base = ran("openvino", 2.0, Recipe((), "openvino", settings))
    found = list(rungs.retuned(base, AXES, most=4))
    assert found
    assert all(r.settings.round_up == {"sequence": 8} for r in found)


def test_where_there_is_time_for_one_it_is_the_whole_recipe_on_the_fastest_runtime() -> None:
    first = [ran("openvino", 0.5), ran("onnxruntime", 1.0)]
    (soonest,) = rungs.int8_soonest("cnn", first, FLAGS)
    assert soonest.runtime == "onnxruntime"
    # The same recipe that its rung tries first, so it isn't tried twice.
    settings = {t.recipe.runtime: t.recipe.settings for t in first}
    assert soonest in rungs.int8_first("cnn", ("openvino", "onnxruntime"), settings, FLAGS)
    assert rungs.int8_soonest("cnn", [ran("inductor", 1.0)], FLAGS) == ()

from __future__ import annotations

import msgspec
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


def test_fused_operators_are_for_transformers_on_onnx_runtime() -> None:
    best = {"openvino": PLAIN, "onnxruntime": PLAIN}
    (found,) = rungs.fused("transformer", best)
    assert (found.runtime, found.steps[0].options) == ("onnxruntime", {"target": "onnxruntime"})
    assert list(rungs.fused("cnn", best)) == []
    assert list(rungs.fused("transformer", {"openvino": PLAIN})) == []


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

from __future__ import annotations

import msgspec
import pytest
from trial_factory import latency

from whet.core.evidence import Status, Trial
from whet.core.recipe import Recipe, Step
from whet.core.settings import Settings
from whet.optimize.graph.quantize.nncf import NncfOptions
from whet.optimize.graph.quantize.ort import QuantizeOrt
from whet.search.budget.pace import hurried, start_s, usual_s

STEPS = (Step("quantize-nncf-ir"),)


def took(runtime: str, seconds: float, *, steps: bool, status: Status = Status.OK) -> Trial:
    recipe = Recipe(STEPS if steps else (), runtime, Settings())
    return Trial(recipe.digest(), runtime, recipe, 1, status, seconds)


def usual(runtime: str, *trials: Trial, steps: bool = True) -> float:
    return usual_s(Recipe(STEPS if steps else (), runtime, Settings()), trials, repair_rows=300)


def test_a_process_takes_what_the_quickest_trial_shows_and_never_more_than_is_usual() -> None:
    """Of a trial that starts three processes, half is a bound from above."""
    quick, other = took("openvino", 1.2, steps=False), took("onnxruntime", 1.8, steps=False)
    assert start_s((other, quick)) == 0.6
    assert start_s(()) == 1.5
    assert start_s((took("inductor", 40.0, steps=False),)) == 1.5
    assert start_s((took("openvino", 0.4, steps=True),)) == 1.5
    assert start_s((took("openvino", 0.4, steps=False, status=Status.CRASHED),)) == 1.5


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


def test_a_probe_with_few_calibration_rows_says_less_than_the_whole_takes() -> None:
    untouched = msgspec.structs.replace(
        took("openvino", 3.0, steps=False), latency=latency(20.0 / 0.9)
    )
    quick = Recipe((Step("quantize-nncf-ir", {"subset_size": 8}),), "openvino", Settings())
    probe = Trial(quick.digest(), "probe", quick, 0, Status.OK, 12.0)
    whole = Recipe(STEPS, "openvino", Settings())
    # 292 rows more, each three times the 20 ms of the untouched graph.
    assert usual_s(whole, [untouched, probe], repair_rows=300) == pytest.approx(12.0 + 17.52)
    assert usual_s(whole, [untouched, probe], repair_rows=108) == pytest.approx(12.0 + 6.0)
    assert usual_s(quick, [untouched, probe], repair_rows=300) == pytest.approx(12.0)


def test_a_graph_that_is_built_already_is_only_compiled_and_timed() -> None:
    untouched = took("openvino", 6.0, steps=False)
    slow = took("openvino", 70.0, steps=True)
    retuned = Recipe(STEPS, "openvino", Settings(streams=2))
    known, there = [untouched, slow], {retuned.build_digest()}
    assert usual_s(retuned, known, repair_rows=300) == 70.0
    assert usual_s(retuned, known, repair_rows=300, built=there) == 6.0
    elsewhere = Recipe(STEPS, "onnxruntime", Settings())
    assert usual_s(elsewhere, known, repair_rows=300, built=there) == 70.0


def test_the_rows_taken_for_granted_are_the_quantisers_own() -> None:
    assert NncfOptions().subset_size == 300
    assert QuantizeOrt().subset_size == 128


def test_a_first_pass_on_a_small_network_is_guessed_from_its_untouched_graph() -> None:
    """What took 4 s untouched is not held back because something takes 10 s as a rule."""
    untouched = took("openvino", 4.0, steps=False)
    assert usual("openvino", untouched) == 9.0
    slow = msgspec.structs.replace(untouched, seconds=40.0)
    assert usual("openvino", slow) == 45.0
    quick = msgspec.structs.replace(untouched, seconds=1.2)  # processes take 0.6 s of 1.5 here
    assert usual("openvino", quick) == pytest.approx(1.2 + 3.5)
    assert usual("openvino", untouched, took("onnxruntime", 20.0, steps=True)) == 20.0
    assert usual("openvino", took("openvino", 4.0, steps=False, status=Status.CRASHED)) == 10.0


def test_in_a_hurry_int8_comes_before_further_settings() -> None:
    # 60 s, of which 20 are gone and 22 are kept for closing; and a long budget.
    assert hurried(18.0, probe_s=9.0, int8_s=9.5)
    assert not hurried(400.0, probe_s=9.0, int8_s=9.5)
    assert not hurried(float("inf"), probe_s=9.0, int8_s=9.5)
    # A slow network is in a hurry where a small one isn't.
    assert hurried(100.0, probe_s=20.0, int8_s=60.0)


def test_rounding_takes_longer_and_says_nothing_of_candidates_without_it() -> None:
    untouched = msgspec.structs.replace(
        took("openvino", 3.0, steps=False), latency=latency(20.0 / 0.9)
    )
    plain = took("openvino", 20.0, steps=True)
    rounded = Recipe((Step("round-weights"), *STEPS), "openvino", Settings())
    slow = Trial(rounded.digest(), "rounded", rounded, 2, Status.OK, 70.0)
    assert usual("openvino", untouched, plain, slow) == 20.0
    first = usual_s(rounded, [untouched, plain], repair_rows=300)
    assert first > usual("openvino", untouched, plain) + 10


def test_weights_are_rounded_once_and_what_follows_takes_what_is_left() -> None:
    untouched = msgspec.structs.replace(
        took("openvino", 3.0, steps=False), latency=latency(20.0 / 0.9)
    )
    rounded = Recipe((Step("round-weights"), *STEPS), "openvino", Settings())
    first = Trial(rounded.digest(), "rounded", rounded, 2, Status.OK, 50.0)
    # Rounding takes 400 times three times 20 ms.
    assert usual_s(rounded, [untouched, first], repair_rows=300) == pytest.approx(26.0)
    again = msgspec.structs.replace(first, id="another", seconds=27.0)
    assert usual_s(rounded, [untouched, first, again], repair_rows=300) == pytest.approx(27.0)
    mixed = Recipe(
        (Step("round-weights"), Step("quantize-nncf-ir", {"preset": "mixed"})),
        "openvino",
        Settings(),
    )
    assert usual_s(mixed, [untouched, first], repair_rows=300) == pytest.approx(26.0)


def test_with_other_layers_in_float_only_what_the_same_work_took_counts() -> None:
    """One slow algorithm doesn't hold back those that are made of a quick one."""
    quick = took("openvino", 20.0, steps=True)
    slow_recipe = Recipe((Step("quantize-nncf-ir", {"bias": "full"}),), "openvino", Settings())
    slow = Trial(slow_recipe.digest(), "slow", slow_recipe, 2, Status.OK, 90.0)
    steps = (Step("store-int8"), Step("quantize-nncf-ir", {"ignored": ["conv"]}))
    restored = Recipe(steps, "openvino", Settings())
    assert usual_s(restored, [quick, slow], repair_rows=300) == 20.0
    other = Recipe((Step("quantize-nncf-ir", {"preset": "mixed"}),), "openvino", Settings())
    assert usual_s(other, [quick, slow], repair_rows=300) == 90.0


@pytest.mark.parametrize("given", [Step("distill"), Step("exit-after", {"block": "one"})])
def test_what_learning_or_a_head_took_says_nothing_of_others(given: Step) -> None:
    narrow = (Step("narrow", {"share": 0.5}), Step("repair"))
    plain = Recipe((*narrow, Step("to-graph")), "onnxruntime", Settings())
    learns = Recipe((*narrow, given, Step("to-graph")), "onnxruntime", Settings())
    other = Recipe((Step("drop"), Step("distill"), Step("to-graph")), "onnxruntime", Settings())
    int8 = Recipe((Step("learn-int8"), Step("to-graph")), "onnxruntime", Settings())
    took = ((plain, 12.0), (learns, 400.0), (int8, 300.0))
    trials = [Trial(r.digest(), str(s), r, 3, Status.OK, s) for r, s in took]
    assert usual_s(other, trials, repair_rows=0) < 100
    assert usual_s(Recipe(STEPS, "onnxruntime", Settings()), trials, repair_rows=0) < 100

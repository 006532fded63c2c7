"""Which quantised candidate is rescued, and how its layers left in float will run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from trial_factory import quality, trial

from whet.core.contract import Contract, Drop
from whet.core.evidence import Status, Trial
from whet.core.recipe import Recipe, Step
from whet.core.settings import Precision, Settings
from whet.search.decisions.outlook import LIKELY, SURE
from whet.search.ladder import refine as module
from whet.search.ladder.refine import _float_of, _worth_rescuing, refine, rescue_rounded

SETUP: Any = SimpleNamespace(
    contract=Contract(max_drop=Drop(0.01)), certify=SimpleNamespace(samples=1000)
)
INT8 = (Step("convert-ir"), Step("quantize-nncf-ir"))


def ran(
    name: str,
    speed: float,
    drop: float,
    *steps: Step,
    runtime: str = "openvino",
    precision: Precision = Precision.FP32,
    status: Status = Status.OK,
) -> Trial:
    recipe = Recipe((*steps,), runtime, Settings(precision=precision))
    made = trial(name, speed, select=quality(drop))
    return msgspec.structs.replace(made, recipe=recipe, id=recipe.digest(), status=status)


def among(*trials: Trial) -> Any:
    return SimpleNamespace(all={t.id: t for t in trials})


def bf16(speed: float = 2.0, drop: float = 0.0, **more: Any) -> Trial:
    return ran("bf16", speed, drop, precision=Precision.BF16, **more)


def test_the_one_nearest_to_the_floor_is_rescued() -> None:
    near = ran("near", 2.8, 0.02, *INT8)
    far = ran("far", 3.0, 0.05, Step("round-weights"), *INT8)
    assert _worth_rescuing(SETUP, among(near, far, bf16()), SURE) == near


def test_what_a_changed_network_lost_is_not_regained_by_float_layers() -> None:
    narrow = (Step("narrow", {"share": 0.5}), Step("repair"), Step("to-graph"))
    changed = ran("narrower", 2.8, 0.02, *narrow, *INT8)
    assert _worth_rescuing(SETUP, among(changed, bf16()), SURE) is None
    far = ran("far", 3.0, 0.05, *INT8)
    assert _worth_rescuing(SETUP, among(changed, far, bf16()), SURE) == far


def test_what_slow_floats_would_put_behind_is_not_rescued() -> None:
    """ONNX Runtime's floats are half as fast as OpenVINO's in bf16."""
    near = ran("near", 2.2, 0.02, Step("quantize-nncf"), runtime="onnxruntime")
    slow = ran("fp32", 0.9, 0.0, runtime="onnxruntime")
    far = ran("far", 2.2, 0.03, *INT8)
    assert _worth_rescuing(SETUP, among(near, slow, far, bf16()), SURE) == far
    fast = ran("fp32", 1.9, 0.0, runtime="onnxruntime")
    assert _worth_rescuing(SETUP, among(near, fast, far, bf16()), SURE) == near


@pytest.mark.parametrize("speed", [2.0, 2.05])
def test_what_is_hardly_faster_than_something_sure_is_not_worth_it(speed: float) -> None:
    assert _worth_rescuing(SETUP, among(ran("int8", speed, 0.02, *INT8), bf16()), SURE) is None


def test_what_is_sure_needs_no_rescue_and_what_is_likely_is_only_safe_enough_late() -> None:
    sure = ran("int8", 3.0, 0.0, *INT8)
    assert _worth_rescuing(SETUP, among(sure, bf16()), SURE) is None
    failed = ran("int8", 3.0, 0.05, *INT8, status=Status.CRASHED)
    assert _worth_rescuing(SETUP, among(failed, bf16()), LIKELY) is None


def test_float_candidates_are_not_rescued() -> None:
    assert (
        _worth_rescuing(SETUP, among(bf16(3.0, 0.05), bf16(2.0, runtime="inductor")), SURE) is None
    )


def test_layers_in_float_run_as_the_fastest_float_candidate_that_is_good() -> None:
    base = ran("int8", 3.0, 0.02, *INT8)
    plain = ran("fp32", 1.0, 0.0)
    assert _float_of(among(base, plain, bf16()), base).name == "bf16"
    assert _float_of(among(base, plain, bf16(drop=0.05)), base).name == "fp32"
    assert _float_of(among(base, plain, bf16(runtime="onnxruntime")), base).name == "fp32"
    assert _float_of(among(base, plain, bf16(status=Status.REFUSED)), base).name == "fp32"
    assert _float_of(among(base), base) is base


def test_layers_are_restored_early_only_where_rounding_came_nearest_and_only_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(module, "_restore", lambda _setup, _trials, base: asked.append(base.name))
    monkeypatch.setattr(module, "_explore", lambda *_, **__: None)
    plain = ran("plain", 3.0, 0.02, *INT8)
    rounded = ran("rounded", 3.0, 0.015, Step("round-weights"), *INT8)
    rescue_rounded(SETUP, among(plain, bf16()))
    assert asked == []
    rescue_rounded(SETUP, among(plain, rounded, bf16()))
    assert asked == ["rounded"]
    ignoring = Step("quantize-nncf-ir", {"ignored": ["conv"]})
    refine(SETUP, among(plain, rounded, bf16(), ran("restored", 2.9, 0.01, INT8[0], ignoring)))
    assert asked == ["rounded"]
    refine(SETUP, among(plain, bf16()))
    assert asked == ["rounded", "plain"]

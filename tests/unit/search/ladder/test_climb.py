from __future__ import annotations

from threading import Event
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from trial_factory import quality, trial

from whet.core.contract import Contract, Drop
from whet.core.evidence import Quality, Status, Trial
from whet.core.recipe import Recipe, Step
from whet.core.settings import Settings
from whet.runtimes.axes import Axes
from whet.search.budget.budget import Skipped
from whet.search.ladder.climb import (
    _look,
    _padded,
    _settings_by_runtime,
    _store,
    _untried,
)
from whet.search.ladder.int8_rungs import int8_first
from whet.search.ladder.waves import enough
from whet.search.words.untried import Why

AXES = Axes(cores=2, fixed={}, flags=frozenset(), concurrency=1)
FIXED, ANY = Settings(threads=2, fixed={"batch": 1}), Settings(threads=2)


def untouched(settings: Settings, speed: float, runtime: str = "openvino") -> Trial:
    recipe = Recipe((), runtime, settings)
    made = trial(f"{runtime} {settings.fixed}", speed, untouched=True)
    return msgspec.structs.replace(made, recipe=recipe, id=recipe.digest())


@pytest.mark.parametrize(("other", "taken"), [(0.96, FIXED), (1.04, FIXED), (1.2, ANY)])
def test_what_is_tried_first_stands_for_what_is_about_as_fast(
    other: float, taken: Settings
) -> None:
    """Plainer settings that cost nothing untouched may cost much once the arithmetic is cheap."""
    elsewhere = untouched(ANY, 3.0, runtime="onnxruntime")
    found = _settings_by_runtime([untouched(FIXED, 1.0), elsewhere, untouched(ANY, other)])
    assert found == {"openvino": taken, "onnxruntime": ANY}


def quantised(speed: float, select: Quality | None, **round_up: int) -> Trial:
    recipe = Recipe((Step("quantize-nncf-ir"),), "openvino", Settings(round_up=round_up))
    made = trial(f"int8 {round_up}", speed, select=select)
    return msgspec.structs.replace(made, recipe=recipe, id=recipe.digest())


@pytest.mark.parametrize(
    ("its_speed", "select", "taken"),
    [
        (2.5, None, {"n": 8}),
        (2.5, quality(0.0), {"n": 8}),
        (1.2, None, {}),
        (2.5, quality(0.2), {}),
    ],
    ids=["not judged", "good", "no faster", "bad"],
)
def test_other_algorithms_are_padded_where_that_was_faster_and_did_no_harm(
    its_speed: float, select: Quality | None, taken: dict[str, int]
) -> None:
    setup: Any = SimpleNamespace(
        contract=Contract(max_drop=Drop(0.01)), certify=SimpleNamespace(samples=1000)
    )
    known = (untouched(ANY, 1.0), quantised(1.3, None), quantised(its_speed, select, n=8))
    trials: Any = SimpleNamespace(all={t.id: t for t in known})
    found = _padded(setup, trials, FIXED, "openvino")
    assert found == msgspec.structs.replace(FIXED, round_up=taken)
    assert _padded(setup, trials, ANY, "onnxruntime") == ANY


def setup_for(contract: Contract, runtimes: tuple[str, ...] = ("onnxruntime",)) -> Any:
    certify = SimpleNamespace(samples=1000)
    return SimpleNamespace(contract=contract, certify=certify, runtimes=runtimes, kind="cnn")


class Tried:
    """Trials that take what their bits take; of 4 bits, with what is given for them."""

    def __init__(self, **of_4_bits: Any) -> None:
        self.all: dict[str, Trial] = {}
        self.of_4_bits = of_4_bits

    def attempt(self, recipe: Recipe, rung: int, **_: object) -> Trial:
        bits = recipe.steps[-1].options.get("bits", 8) if recipe.steps else 32
        known: dict[str, Any] = {"select": quality(0.0), "disk": bits * 1000}
        known |= self.of_4_bits if bits == 4 else {}
        made = trial(str(len(self.all)), 1.0, untouched=not recipe.steps, **known)
        tried = msgspec.structs.replace(made, recipe=recipe, id=recipe.digest(), rung=rung)
        return self.all.setdefault(tried.id, tried)

    def untouched(self) -> list[Trial]:
        return [t for t in self.all.values() if not t.recipe.steps]

    def time_share_s(self, share: float) -> float:
        return share

    def climbing_s(self) -> float:
        return 1000.0

    def expected_s(self, recipe: Recipe) -> float:
        return 1.0


@pytest.mark.parametrize(
    ("most", "bits"),
    [(None, [32, 8]), (9000, [32, 8]), (6000, [32, 4, 8]), (3000, [32, 4, 8])],
    ids=["no limit", "room for int8", "room for 4 bits", "no room"],
)
def test_what_is_smaller_than_int8_comes_first_where_int8_is_too_large(
    most: int | None, bits: list[int]
) -> None:
    setup = setup_for(Contract(max_bytes=most))
    trials: Any = Tried()
    _look(setup, trials, AXES)
    assert [t.footprint.disk_bytes // 1000 for t in trials.all.values()] == bits


@pytest.mark.parametrize(
    "of_4_bits",
    [{"status": Status.REFUSED, "select": None}, {"select": quality(0.2)}],
    ids=["refused", "ruined"],
)
@pytest.mark.parametrize("most", [6000, 3000])
def test_where_fewer_bits_will_not_do_8_come_nearest(most: int, of_4_bits: dict[str, Any]) -> None:
    setup = setup_for(Contract(max_bytes=most), runtimes=("openvino", "onnxruntime"))
    trials: Any = Tried(**of_4_bits)
    _look(setup, trials, AXES)
    steps = [t.recipe.steps[-1] for t in trials.all.values() if t.recipe.steps]
    # Of 8 bits the cheapest to make, on one runtime: it is sure, and more come no nearer.
    alone = [s.options.get("bits", 8) for s in steps if s.name.startswith("quantize-weights")]
    assert alone == [4, 4, 8]
    assert "store-int8" not in {s.name for s in steps}
    # A second time nothing is tried.
    count = len(trials.all)
    _store(setup, trials, _settings_by_runtime(trials.untouched()), AXES)
    assert len(trials.all) == count


def test_where_plain_weights_of_8_bits_ruin_the_answers_they_are_rounded_with_care() -> None:
    setup = setup_for(Contract(max_bytes=3000))
    trials: Any = Tried(status=Status.REFUSED)
    attempt = trials.attempt

    def spoilt(recipe: Recipe, rung: int, **options: object) -> Trial:
        made = attempt(recipe, rung, **options)
        if recipe.steps and recipe.steps[-1].name == "quantize-weights":
            made = msgspec.structs.replace(made, select=quality(0.2))
            trials.all[made.id] = made
        return made

    trials.attempt = spoilt
    trials.attempt(Recipe((), "onnxruntime", FIXED), 1)
    _store(setup, trials, {"onnxruntime": FIXED}, AXES)
    assert [t.recipe.steps[0].name for t in trials.all.values() if t.recipe.steps] == [
        "quantize-weights",
        "quantize-weights",
        "round-weights",
    ]


@pytest.mark.parametrize(("most", "kept"), [(None, True), (40_000, True), (9000, False)])
def test_a_latency_limit_alone_is_not_enough_where_size_is_limited_too(
    most: int | None, kept: bool
) -> None:
    setup = setup_for(Contract(limit_ms=1000.0, max_bytes=most))
    trials: Any = Tried()
    trials.attempt(Recipe((), "onnxruntime", FIXED), 1)
    assert enough(setup, trials) == kept
    _store(setup, trials, {"onnxruntime": FIXED}, AXES)
    assert any(t.recipe.steps for t in trials.all.values()) != kept
    assert enough(setup, trials)


@pytest.mark.parametrize(
    ("limit_ms", "why", "notes"), [(1000.0, Why.ENOUGH, 0), (None, Why.TIME, 1), (1.0, Why.TIME, 1)]
)
def test_what_would_not_be_tried_in_a_longer_time_either_is_not_put_down_to_time(
    limit_ms: float | None, why: Why, notes: int
) -> None:
    setup = setup_for(Contract(limit_ms=limit_ms))
    trials: Any = Tried()
    trials.attempt(Recipe((), "onnxruntime", FIXED), 1)
    left_out = int8_first("cnn", ("onnxruntime",), {"onnxruntime": ANY}, frozenset())[0]
    trials.skipped = {left_out.digest(): Skipped(left_out, 61.0)}
    trials.stop = SimpleNamespace(asked=Event())
    said: list[str] = []
    trials.tell = SimpleNamespace(remark=lambda where, reason: said.append(f"{where} {reason}"))
    found, skipped = _untried(setup, trials, AXES)
    assert found is not None
    assert found.why is why
    assert len(said) == skipped == notes

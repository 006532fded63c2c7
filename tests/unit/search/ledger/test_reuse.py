from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trial_factory import quality, trial

from whet.core.contract import Contract, Drop
from whet.core.evidence import Ratio, Status, Trial
from whet.core.note import Note
from whet.core.spec import Signature, TensorSpec
from whet.search.decisions.figures import is_untouched
from whet.search.ledger.identity import SearchInputs
from whet.search.ledger.ledger import Past
from whet.search.ledger.reuse import REUSED, Kept, carried, origin, same_shapes, still_holding

LOAD = Contract(threads=2, metric="top1")
OWN = SearchInputs("g", "s", "m", LOAD)
WHEN = "2026-01-31 12:00:00"


def timed(name: str, value: float, against: str, **more: Any) -> Trial:
    """A trial that was compared with the engine named ``against``."""
    made = trial(name, value, select=quality(0.001), certify=quality(0.002), **more)
    noisy = made.speedup is not None and made.speedup.noisy
    ratio = Ratio(against, value, value * 0.98, value * 1.02, noisy)
    return msgspec.structs.replace(made, speedup=ratio, lost="slower", variant="v", frontier=True)


ANCHOR = timed("openvino fp32", 1.0, "openvino fp32", untouched=True)
FAST = timed("openvino int8", 3.0, "openvino fp32")


def search_of(
    *trials: Trial, inputs: SearchInputs | None = None, started: str = WHEN
) -> list[Past]:
    other = msgspec.structs.replace(OWN, samples="others") if inputs is None else inputs
    return [Past(other, t, started) for t in trials]


def differing(**fields: Any) -> SearchInputs:
    contract = {k: v for k, v in fields.items() if k in Contract.__struct_fields__}
    inputs = {k: v for k, v in fields.items() if k not in contract}
    return msgspec.structs.replace(
        OWN, contract=msgspec.structs.replace(LOAD, **contract), **inputs
    )


def test_speed_holds_and_quality_does_not() -> None:
    held = still_holding(search_of(ANCHOR, FAST), OWN, shapes=True)
    assert set(held) == {ANCHOR.id, FAST.id}
    kept = held[FAST.id]
    assert kept.anchor == ANCHOR.id
    assert (kept.trial.latency, kept.trial.speedup) == (FAST.latency, FAST.speedup)
    assert (kept.trial.select, kept.trial.certify, kept.trial.variant) == (None, None, None)
    assert (kept.trial.lost, kept.trial.frontier) == ("", False)
    assert WHEN in origin(kept.trial)


@pytest.mark.parametrize(
    "fields",
    [
        {"max_drop": Drop(0.5)},
        {"metric": "top5"},
        {"confidence": 0.5},
        {"limit_ms": 3.0},
        {"max_bytes": 5},
        {"samples": "x"},
        {"seed": 7, "samples": "x"},
    ],
)
def test_what_does_not_change_the_speed(fields: dict[str, Any]) -> None:
    assert set(still_holding(search_of(ANCHOR, inputs=differing(**fields)), OWN, shapes=True))


@pytest.mark.parametrize(
    "fields",
    [
        {"batch": 2},
        {"concurrency": 2},
        {"threads": 1},
        {"percentile": 50.0},
        {"graph": "x"},
        {"machine": "x"},
    ],
)
def test_what_changes_the_speed(fields: dict[str, Any]) -> None:
    assert not still_holding(search_of(ANCHOR, inputs=differing(**fields)), OWN, shapes=True)


def test_rows_of_other_lengths_take_another_time() -> None:
    other_floor = differing(max_drop=Drop(0.5))
    assert not still_holding(search_of(ANCHOR), OWN, shapes=False)
    assert still_holding(search_of(ANCHOR, inputs=other_floor), OWN, shapes=False)


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.OK])
def test_no_failure_is_taken_over(status: Status) -> None:
    failed = timed("a", 2.0, "openvino fp32", status=status)
    held = still_holding(search_of(ANCHOR, failed), OWN, shapes=True)
    assert set(held) == {ANCHOR.id}


def test_an_untouched_engine_that_was_timed_too_noisily_is_timed_again() -> None:
    """The best of them is what nothing may be slower than; a candidate is only screened."""
    untouched = timed("a", 2.0, "openvino fp32", noisy=True, untouched=True)
    candidate = timed("b", 2.0, "openvino fp32", noisy=True)
    held = still_holding(search_of(ANCHOR, untouched, candidate), OWN, shapes=True)
    assert set(held) == {ANCHOR.id, candidate.id}


def test_what_was_never_timed_says_nothing() -> None:
    untimed = msgspec.structs.replace(timed("b", 2.0, "openvino fp32"), latency=None)
    unrelated = msgspec.structs.replace(timed("c", 2.0, "openvino fp32"), speedup=None)
    held = still_holding(search_of(ANCHOR, untimed, unrelated), OWN, shapes=True)
    assert set(held) == {ANCHOR.id}


def test_a_ratio_to_an_engine_that_nobody_knows_is_worthless() -> None:
    assert not still_holding(search_of(FAST), OWN, shapes=True)
    twin = msgspec.structs.replace(
        ANCHOR, recipe=msgspec.structs.replace(ANCHOR.recipe, runtime="onnxruntime")
    )
    assert not still_holding(search_of(ANCHOR, twin, FAST), OWN, shapes=True)


def test_the_newest_search_wins() -> None:
    newer = msgspec.structs.replace(FAST, seconds=77.0)
    pasts = [
        *search_of(ANCHOR, newer, inputs=differing(samples="new"), started="new"),
        *search_of(ANCHOR, FAST, inputs=differing(samples="old"), started="old"),
    ]
    held = still_holding(pasts, OWN, shapes=True)[FAST.id].trial
    assert held.seconds == 77.0
    assert "new" in origin(held)


def test_a_trial_keeps_the_search_that_timed_it() -> None:
    """What the second search took over, the third takes over from the first."""
    first = still_holding(search_of(ANCHOR, started="first"), OWN, shapes=True)[ANCHOR.id].trial
    again = still_holding(search_of(first, started="second"), OWN, shapes=True)[ANCHOR.id].trial
    assert again == first
    assert [n.where for n in again.notes].count(REUSED) == 1
    assert "first" in origin(again)


def test_it_is_carried_to_the_engine_that_this_search_compares_with() -> None:
    kept = Kept(FAST, ANCHOR.id)
    own = msgspec.structs.replace(ANCHOR, name="best")
    got = carried(kept, "mine", 2, own)
    assert got is not None
    assert (got.name, got.rung, got.id) == ("mine", 2, FAST.id)
    assert got.speedup is not None
    assert FAST.speedup is not None
    assert got.speedup == msgspec.structs.replace(FAST.speedup, against="best")
    assert carried(kept, "mine", 2, FAST) is None
    assert carried(kept, "mine", 2, None) is None


def test_the_first_trial_is_compared_with_itself() -> None:
    got = carried(Kept(ANCHOR, ANCHOR.id), "mine", 1, None)
    assert got is not None
    assert got.speedup is not None
    assert got.speedup.against == "mine"


def test_shapes_are_the_same_where_only_the_batch_is_free() -> None:
    picture = TensorSpec("x", "float32", ("batch", 3, 8, 8))
    words = TensorSpec("ids", "int64", ("batch", "length"))
    assert same_shapes(Signature((picture,), ()))
    assert not same_shapes(Signature((picture, words), ()))


def test_a_trial_of_its_own_search_has_no_origin() -> None:
    assert origin(msgspec.structs.replace(FAST, notes=(Note("race", "noisy"),))) == ""


names = st.sampled_from(["a", "b", "c"])
anchors = names.map(lambda n: timed(n, 1.0, n, untouched=True))
others = st.builds(
    timed,
    names.map(lambda n: f"{n} int8"),
    st.floats(0.1, 9.0),
    names,
    status=st.sampled_from(Status),
    noisy=st.booleans(),
)
inputs = st.builds(
    differing,
    graph=st.sampled_from("gx"),
    machine=st.sampled_from("mx"),
    samples=st.sampled_from("sx"),
    batch=st.integers(1, 2),
    threads=st.integers(1, 2),
    percentile=st.sampled_from([50.0, 99.0]),
    max_drop=st.sampled_from([Drop(0.01), Drop(0.1)]),
)
pasts = st.lists(st.builds(Past, inputs, st.one_of(anchors, others), st.just(WHEN)), max_size=12)


@given(pasts=pasts, own=inputs, shapes=st.booleans())
def test_whatever_holds_is_sound(pasts: list[Past], own: SearchInputs, shapes: bool) -> None:
    held = still_holding(pasts, own, shapes=shapes)
    for digest, kept in held.items():
        sources = [p for p in pasts if p.trial.recipe.digest() == digest]
        source = next(p for p in sources if p.trial.latency == kept.trial.latency)
        assert kept.trial.recipe.digest() == digest
        assert kept.trial.status is Status.OK
        assert (kept.trial.select, kept.trial.certify) == (None, None)
        assert kept.trial.speedup is not None
        assert not (kept.trial.speedup.noisy and is_untouched(kept.trial))
        assert origin(kept.trial)
        load = ("batch", "concurrency", "threads", "percentile")
        assert any(
            (p.inputs.graph, p.inputs.machine) == (own.graph, own.machine)
            and all(getattr(p.inputs.contract, f) == getattr(own.contract, f) for f in load)
            and (shapes or p.inputs.samples == own.samples)
            and p.trial.speedup is not None
            and p.trial.speedup.value == kept.trial.speedup.value
            for p in sources
        )
        assert source.trial.latency is not None


@given(pasts=pasts, own=inputs)
def test_more_holds_where_shapes_are_the_same(pasts: list[Past], own: SearchInputs) -> None:
    strict = still_holding(pasts, own, shapes=False)
    assert set(strict) <= set(still_holding(pasts, own, shapes=True))


@given(pasts=pasts, own=inputs, anchor=anchors)
def test_only_ratios_to_the_same_engine_are_carried(
    pasts: list[Past], own: SearchInputs, anchor: Trial
) -> None:
    for kept in still_holding(pasts, own, shapes=True).values():
        got = carried(kept, "mine", 1, anchor)
        assert (got is not None) == (kept.anchor == anchor.recipe.digest())
        if got is not None and got.speedup is not None:
            assert got.speedup.against == anchor.name

"""Outputs beside the judged one are held to the original's."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from whet.core.contract import Drop, DropKind
from whet.core.evidence import OutputCheck, Quality, Verdict
from whet.measure.guards import allowed_loss, guard_outputs
from whet.measure.metrics import cosine_rows
from whet.measure.quality import judge

RNG = np.random.default_rng(0)
CLASSES = np.eye(4, dtype=np.float32)[np.arange(400) % 4]
Array = NDArray[np.generic]


def check(want: Array, have: Array, *, rows: int = 1, allowed: float = 0.01) -> OutputCheck:
    (found,) = guard_outputs(
        {"first": CLASSES, "second": want},
        {"first": CLASSES, "second": have},
        judged="first",
        ignore=(),
        rows_per_sample=rows,
        allowed=allowed,
        confidence=0.95,
    )
    assert msgspec.json.decode(msgspec.json.encode(found), type=OutputCheck) == found
    return found


def judged(second: Array, other: Array, *, ignore: tuple[str, ...] = ()) -> Quality:
    return judge(
        "agreement",
        {"first": CLASSES, "second": second},
        {"first": CLASSES, "second": other},
        None,
        rows_per_sample=1,
        max_drop=Drop(0.01),
        confidence=0.95,
        per_class=False,
        ignore=ignore,
    )


def test_a_destroyed_second_output_fails_the_whole() -> None:
    embedding = RNG.normal(size=(400, 16)).astype(np.float32)
    found = judged(embedding, RNG.permutation(embedding))
    assert found.bound <= found.allowed, "the judged output itself is perfect"
    assert found.verdict is Verdict.FAILED
    assert found.output == "first"
    assert [(c.name, c.rule, c.verdict) for c in found.outputs] == [
        ("second", "distance", Verdict.FAILED)
    ]


def test_an_output_that_is_switched_off_is_told_and_not_compared() -> None:
    embedding = RNG.normal(size=(400, 16)).astype(np.float32)
    found = judged(embedding, -embedding, ignore=("second",))
    assert found.verdict is Verdict.PASSED
    assert found.outputs == ()
    assert found.ignored == ("second",)


def test_another_output_may_be_the_judged_one() -> None:
    found = judge(
        "agreement",
        {"first": CLASSES, "second": CLASSES},
        {"first": -CLASSES, "second": CLASSES},
        None,
        rows_per_sample=1,
        max_drop=Drop(0.01),
        confidence=0.95,
        per_class=False,
        output="second",
        ignore=("first",),
    )
    assert (found.verdict, found.output) == (Verdict.PASSED, "second")


def test_for_centred_vectors_of_one_length_the_loss_is_one_minus_the_cosine() -> None:
    base = RNG.normal(size=(13, 16))
    half = np.concatenate([np.roll(base, k, axis=1) for k in range(16)])  # all numbers vary alike
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    want = np.concatenate([half, -half])  # its mean is zero
    have = want + RNG.normal(scale=0.02, size=want.shape)
    have /= np.linalg.norm(have, axis=1, keepdims=True)
    found = check(want, have)
    assert found.loss == pytest.approx(float((1 - cosine_rows(want, have)).mean()), rel=1e-9)
    assert found.loss < found.bound <= found.allowed
    assert found.verdict is Verdict.PASSED


def test_what_all_answers_have_in_common_hides_nothing() -> None:
    """A cosine would see nothing: every row points along the large common part."""
    signal = RNG.normal(size=(400, 16))
    found = check(100 + signal, 100 + RNG.permutation(signal))
    assert found.verdict is Verdict.FAILED
    assert float((1 - cosine_rows(100 + signal, 100 + RNG.permutation(signal))).mean()) < 0.001


def test_single_numbers_and_wrong_scales_are_seen() -> None:
    price = RNG.normal(100, 10, size=(400, 1))
    assert check(price, price + 0.5).verdict is Verdict.PASSED
    assert check(price, 1.2 * price).verdict is Verdict.FAILED


def test_an_output_that_hardly_varies_is_measured_against_its_size() -> None:
    constant = np.full((400, 4), 5.0)
    assert check(constant, constant + 0.01).verdict is Verdict.PASSED
    assert check(constant, constant + 1.0).verdict is Verdict.FAILED
    nothing = np.zeros((400, 4))
    assert check(nothing, nothing).verdict is Verdict.PASSED
    assert check(nothing, nothing + 1e-3).verdict is Verdict.FAILED


def test_whole_numbers_must_be_equal() -> None:
    choice = np.arange(400) % 7
    assert check(choice, choice).verdict is Verdict.PASSED
    other = choice.copy()
    other[:40] += 1
    found = check(choice, other)
    assert (found.rule, found.loss, found.verdict) == ("equality", 0.1, Verdict.FAILED)
    maps = np.tile(np.arange(100), (400, 1))
    assert check(maps, maps).verdict is Verdict.PASSED
    assert check(choice > 3, choice > 3).rule == "equality"


def test_few_samples_settle_nothing() -> None:
    choice = np.arange(400) % 7
    found = check(choice[:50], choice[:50])
    assert found.verdict is Verdict.UNDECIDED
    assert found.needed is not None
    assert found.needed > 50
    real = RNG.normal(size=(20, 3))
    assert check(real, real).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_fails_at_once(value: float) -> None:
    want = RNG.normal(size=(400, 8))
    have = want.copy()
    have[7, 2] = value
    found = check(want, have)
    assert (found.verdict, found.broken) == (Verdict.FAILED, 1)
    assert "not finite on 1 of 400 rows" in found.method
    assert check(have, have).verdict is Verdict.PASSED, "where the original is so too, it may"


def test_an_infinity_of_the_judged_output_fails_too() -> None:
    want = {"out": CLASSES}
    have = {"out": np.where(np.arange(400)[:, None] == 3, np.inf, CLASSES)}
    found = judge(
        "cosine",
        want,
        have,
        None,
        rows_per_sample=1,
        max_drop=Drop(0.5),
        confidence=0.95,
        per_class=False,
    )
    assert found.verdict is Verdict.FAILED
    assert "isn't finite on 1 of 400 rows" in found.method


def test_another_shape_or_none_fails_with_the_reason() -> None:
    want = RNG.normal(size=(400, 8))
    assert "has shape (400, 7)" in check(want, want[:, :7]).method
    (missing,) = guard_outputs(
        {"first": CLASSES, "second": want},
        {"first": CLASSES},
        judged="first",
        ignore=(),
        rows_per_sample=1,
        allowed=0.01,
        confidence=0.95,
    )
    assert (missing.verdict, missing.method) == (Verdict.FAILED, "the output is missing")


def test_pairs_count_once() -> None:
    want = RNG.normal(size=(400, 8))
    assert check(want, want + 0.001, rows=2).n == 200


@pytest.mark.parametrize(
    ("drop", "metric", "allowed"),
    [
        (Drop(0.0), "top1", 0.01),
        (Drop(0.05), "top1", 0.05),
        (Drop(0.02, DropKind.RELATIVE), "mae", 0.02),
        (Drop(3.0), "mae", 0.01),
        (Drop(3.0), "score.py:own", 0.01),
    ],
)
def test_what_is_allowed_follows_the_contract_where_it_is_a_share(
    drop: Drop, metric: str, allowed: float
) -> None:
    assert allowed_loss(drop, metric) == allowed


def test_samples_in_chunks_are_added_up_rightly() -> None:
    want, noise = RNG.normal(size=(1001, 3)), RNG.normal(scale=0.1, size=(1001, 3))
    found = check(want, want + noise)
    shares = (noise**2).sum(axis=1) / (2 * want.var(axis=0).sum())
    assert found.loss == pytest.approx(shares.mean())


def test_what_the_original_masks_must_stay_masked() -> None:
    masked = np.random.default_rng(0).normal(size=(400, 5)).astype(np.float32)
    masked[:, 2] = -np.inf
    for stand_in, broken in ((-np.inf, 0), (-1e9, 0), (1e6, 400), (np.inf, 400), (np.nan, 400)):
        other = masked.copy()
        other[:, 2] = stand_in
        found = check(masked, other)
        assert found.broken == broken, stand_in
        assert found.verdict is (Verdict.FAILED if broken else Verdict.PASSED)


@pytest.mark.parametrize("mask", [np.finfo(np.float32).min, -1e9, -1e4])
def test_no_mask_hides_what_happens_to_the_others(mask: float) -> None:
    rng = np.random.default_rng(1)
    padded = np.arange(48) >= rng.integers(12, 49, 400)[:, None]
    want, other = (np.where(padded, mask, rng.normal(size=(400, 48))) for _ in range(2))
    want, other = want.astype(np.float32), other.astype(np.float32)
    assert check(want, other).loss == pytest.approx(1.0, abs=0.1)
    near = want + np.float32(1e-2) * rng.normal(size=want.shape).astype(np.float32)
    assert check(want, near).verdict is Verdict.PASSED
    never = np.where(padded, -np.inf, want)
    assert check(want, never).verdict is Verdict.PASSED, "an infinity masks as well"
    found = check(want, np.where(padded & (np.arange(400) == 7)[:, None], 0, want))
    assert (found.verdict, found.broken) == (Verdict.FAILED, int(padded[7].any()))


@pytest.mark.parametrize("side", [1, 640, 4000])
def test_scores_beside_boxes_in_pixels_must_be_right_too(side: float) -> None:
    rng = np.random.default_rng(2)
    boxes, scores = rng.uniform(0, side, (1000, 4)), rng.random((1000, 2))
    want = np.concatenate([boxes, scores], axis=1)
    lost = np.concatenate([boxes, rng.random((1000, 2))], axis=1)
    assert check(want, lost).loss == pytest.approx(1.0 if side > 1 else 1 / 3, abs=0.05)
    assert check(want, lost).verdict is Verdict.FAILED
    assert check(want, want + 0.01 * want.std(axis=0)).verdict is Verdict.PASSED


def test_one_confidence_beside_many_landmarks_is_held_by_itself() -> None:
    rng = np.random.default_rng(7)
    landmarks, sure = rng.uniform(0, 224, (600, 136)), rng.random((600, 1))
    want = np.concatenate([landmarks, sure], axis=1)
    lost = np.concatenate([landmarks, rng.permutation(sure)], axis=1)
    found = check(want, lost)
    assert found.loss == pytest.approx(1.0, abs=0.15)
    assert (found.verdict, found.allowed) == (Verdict.FAILED, 0.01)
    assert "of 2 units" in found.method
    assert check(want, want + 0.02 * want.std(axis=0)).verdict is Verdict.PASSED


@pytest.mark.parametrize("instead", ["mean", "zero", "other"])
def test_one_of_many_numbers_of_one_unit_may_not_be_lost(instead: str) -> None:
    rng = np.random.default_rng(8)
    want = 1 + rng.normal(size=(400, 200)) * np.exp(rng.normal(0, 0.3, 200))
    column = want[:, 17]
    lost = want.copy()
    lost[:, 17] = {"mean": column.mean(), "zero": 0.0, "other": rng.permutation(column)}[instead]
    found = check(want, lost)
    assert float(((lost - want) ** 2 / (2 * want.var(axis=0))).mean()) < 0.01
    assert (found.verdict, found.allowed) == (Verdict.FAILED, 0.25)
    assert "number 17 along axis 1 by itself" in found.method


@pytest.mark.parametrize("allowed", [0.01, 0.1])
def test_even_noise_that_the_whole_may_have_breaks_no_quiet_number(allowed: float) -> None:
    """Rounding goes by the largest: of numbers that vary less it takes a larger share."""
    rng = np.random.default_rng(8)
    want = rng.normal(size=(600, 100))
    want[:, :4] *= np.sqrt(0.02)
    have = want + np.sqrt(2 * 0.6 * allowed) * rng.normal(size=want.shape)
    assert check(want, have, allowed=allowed).verdict is Verdict.PASSED
    louder = want + np.sqrt(2 * 0.8 * allowed * want.var(axis=0)) * rng.normal(size=want.shape)
    louder[:, 40] = want[:, 40] + np.sqrt(2 * 3 * allowed) * rng.normal(size=600)
    assert check(want, louder, allowed=allowed).verdict is Verdict.PASSED


def test_one_of_many_flags_may_not_be_lost() -> None:
    flags = np.random.default_rng(9).integers(0, 2, (400, 100))
    lost = flags.copy()
    lost[:, 40] = 1
    found = check(flags, lost)
    assert (found.rule, found.verdict) == ("distance", Verdict.FAILED)
    assert "number 40 along axis 1" in found.method
    assert check(flags, flags).rule == "equality"


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_one_slice_of_a_map_may_not_be_lost(axis: int) -> None:
    rng = np.random.default_rng(10)
    want = rng.normal(size=(300, 30, 12, 14))
    place = tuple(slice(None) if k != axis else 5 for k in range(4))
    lost = want.copy()
    lost[place] = 0.0
    found = check(want, lost, allowed=0.05)
    assert found.verdict is Verdict.FAILED
    assert check(want, want + 0.1 * rng.normal(size=want.shape)).verdict is Verdict.PASSED


@pytest.mark.parametrize("numbers", [1, 6])
def test_what_loses_just_too_much_passes_five_times_in_a_hundred(numbers: int) -> None:
    rng, passed = np.random.default_rng(11), 0
    for _ in range(400):
        want = rng.exponential(size=(300, numbers))
        noise = np.sqrt(2 * 0.01) * rng.normal(size=want.shape)
        passed += check(want, want + noise).verdict is Verdict.PASSED
    assert passed <= 0.075 * 400


@pytest.mark.parametrize("lost", [False, True])
def test_complex_numbers_are_two(lost: bool) -> None:
    rng = np.random.default_rng(12)
    want = rng.normal(size=(400, 6)) + 1j * rng.normal(size=(400, 6))
    have = want.real + 1j * (rng.permutation(want.imag) if lost else want.imag + 0.01)
    assert check(want, have).verdict is (Verdict.FAILED if lost else Verdict.PASSED)


def test_an_output_without_values_has_none_to_lose() -> None:
    empty = np.zeros((400, 0, 5), np.float32)
    assert check(empty, empty).verdict is Verdict.PASSED
    assert check(empty, np.zeros((400, 1, 5), np.float32)).verdict is Verdict.FAILED


def test_what_few_inputs_make_out_is_right_where_it_is_the_same() -> None:
    """One long text among four hundred: its last places say nothing for all others."""
    rng = np.random.default_rng(13)
    states = np.zeros((400, 30, 8))
    states[:, :10] = rng.normal(size=(400, 10, 8))
    states[7] = rng.normal(size=(30, 8))
    assert check(states, states).bound == 0.0
    assert check(states, states + 0.02 * (states != 0)).verdict is Verdict.PASSED
    assert check(states, rng.permutation(states)).verdict is Verdict.FAILED


def test_a_map_with_quiet_borders_goes_by_what_varies() -> None:
    rng = np.random.default_rng(14)
    away = np.abs(np.arange(28) - 13.5)
    loud = np.exp(-((away[:, None] ** 2 + away**2) / 60))
    assert (loud**2).min() < 1e-4
    want = rng.normal(size=(400, 4, 28, 28)) * loud
    noisy = want + 0.03 * rng.normal(size=want.shape)
    found = check(want, noisy)
    assert (found.verdict, found.allowed) == (Verdict.PASSED, 0.01)


@pytest.mark.parametrize("allowed", [0.01, 0.11, 0.5])
def test_however_much_the_whole_may_lose_no_slice_stays_at_its_mean(allowed: float) -> None:
    rng = np.random.default_rng(15)
    want = rng.normal(size=(400, 30))
    lost = want.copy()
    lost[:, 3] = want[:, 3].mean()
    assert check(want, lost, allowed=allowed).verdict is Verdict.FAILED


def test_a_large_number_that_varies_is_no_mask() -> None:
    rng = np.random.default_rng(3)
    want = np.stack([1e5 + rng.normal(size=400), rng.normal(size=400)], axis=1)
    lost = np.stack([rng.permutation(want[:, 0]), want[:, 1]], axis=1)
    assert check(want, lost).loss == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("offset", [1e3, 3e4, 1e5])
def test_no_offset_hides_what_varies(offset: float) -> None:
    rng = np.random.default_rng(4)
    want, lost = (np.float32(offset + rng.normal(size=(400, 3))) for _ in range(2))
    assert check(want, lost).loss == pytest.approx(1.0, abs=0.15)


def test_a_dead_channel_does_not_refuse_an_int8_embedding_and_lost_channels_do() -> None:
    """Rounding goes by the largest value of all channels, so it is all of a dead one."""
    rng = np.random.default_rng(5)
    want = rng.normal(size=(600, 64)) * np.exp(rng.normal(0, 0.3, 64))
    want[:, 5] *= 1e-5
    step = np.abs(want).max() / 127
    int8 = np.round(want / step) * step + rng.uniform(-step / 2, step / 2, want.shape)
    assert check(want, int8).verdict is Verdict.PASSED
    lost = want.copy()
    lost[:, 20:24] = rng.permutation(want[:, 20:24])
    assert check(want, lost).verdict is Verdict.FAILED


def test_a_number_that_never_varies_makes_no_loss_smaller() -> None:
    rng = np.random.default_rng(6)
    one = rng.normal(size=(400, 1))
    padded = np.concatenate([np.zeros((400, 9)), one], axis=1)
    noise = 0.1 * rng.normal(size=(400, 1))
    found = check(padded, padded + noise * (padded != 0))
    assert found.loss == pytest.approx(check(one, one + noise).loss)

"""Outputs of which nobody said what they mean: each number is held to the original's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from whet.core.contract import Drop
from whet.core.evidence import Quality, Verdict
from whet.errors import SamplesError
from whet.measure.closeness import closeness_bounds
from whet.measure.quality import judge
from whet.measure.statistics import Bounds, mean_bounds

Floats = NDArray[np.float64]
N = 2000
rng = np.random.default_rng(0)
BOXES = rng.standard_normal((N, 4)) * [100, 20, 5, 1] + [300, 200, 0, 0]  # x, y, w, h


def check(before: NDArray[np.generic], after: NDArray[np.generic], metric: str = "auto") -> Quality:
    return judge(
        metric,
        {"y": before},
        {"y": after},
        None,
        rows_per_sample=1,
        max_drop=Drop(0.01),
        confidence=0.95,
        per_class=False,
    )


def loss(want: NDArray[np.generic], have: NDArray[np.generic]) -> float:
    return closeness_bounds(want, have, rows=1, allowed=0.01, confidence=0.95).drop


def test_boxes_that_are_five_percent_off_fail_although_their_order_stays() -> None:
    found = check(BOXES, BOXES * 1.05)
    assert check(BOXES, BOXES * 1.05, "agreement").drop == 0.0
    assert found.metric == "closeness"
    assert found.verdict is Verdict.FAILED
    assert check(BOXES - BOXES.mean(axis=0), 1.05 * (BOXES - BOXES.mean(axis=0))).drop == (
        pytest.approx(0.05)
    )


@pytest.mark.parametrize("column", range(4))
def test_no_number_hides_behind_a_larger_one(column: int) -> None:
    lost = BOXES.copy()
    lost[:, column] = BOXES[:, column].mean()
    found = check(BOXES, lost)
    assert found.drop == pytest.approx(1.0)
    assert found.verdict is Verdict.FAILED
    noisy = BOXES + rng.standard_normal(BOXES.shape) * 0.3  # much for h alone
    assert check(BOXES, noisy).verdict is Verdict.FAILED


def with_losses(losses: Floats, rng: np.random.Generator) -> Quality:
    """A judgement in which each number of each row loses what is given, by a sure yardstick."""
    want = rng.choice([-1.0, 1.0], losses.shape)
    return check(want, want + losses * np.abs(want - want.mean(axis=0)).mean(axis=0))


def test_a_number_that_is_rarely_and_badly_wrong_does_not_hide_behind_a_steady_one() -> None:
    """The second loses 0.0105 in truth, the first 0.0099 in every sample: 47 of 100 passed."""
    rng, passed = np.random.default_rng(5), 0
    for _ in range(300):
        losses = np.full((400, 2), 0.0099)
        losses[:, 1] = np.where(rng.random(400) < 0.02, 0.525, 0.0)
        passed += with_losses(losses, rng).verdict is Verdict.PASSED
    assert passed <= 0.05 * 300


def test_the_number_with_the_largest_bound_decides_and_its_bound_is_that_of_the_mean() -> None:
    rng = np.random.default_rng(6)
    losses = rng.exponential(0.006, (500, 5)) * [1.0, 0.5, 0.1, 1.0, 0.8]
    losses[:, 2] = np.where(rng.random(500) < 0.02, 0.2, 0.0)
    alone = [mean_bounds(column, 0.95) for column in losses.T]
    found = with_losses(losses, rng)
    assert alone[2].drop < max(bounds.drop for bounds in alone)
    assert found.bound == pytest.approx(max(bounds.upper for bounds in alone), rel=1e-2)
    assert found.drop == pytest.approx(alone[2].drop, rel=1e-9)
    assert "of 5 numbers" in found.method


def test_one_number_that_loses_too_much_for_certain_fails_whatever_the_others_do() -> None:
    rng = np.random.default_rng(7)
    losses = np.full((400, 2), 0.011)  # a little too much, always
    losses[:, 1] = np.where(np.arange(400) < 8, 0.4, 0.0)  # 0.008, with a larger upper bound
    found = with_losses(losses, rng)
    assert found.verdict is Verdict.FAILED
    assert found.drop == pytest.approx(0.011)


def test_pairs_count_once() -> None:
    rng = np.random.default_rng(8)
    want, noise = rng.standard_normal((800, 3)), 0.01 * rng.standard_normal((800, 3))
    found = closeness_bounds(want, want + noise, rows=2, allowed=0.01, confidence=0.95)
    losses = np.abs(noise) / np.abs(want - want.mean(axis=0)).mean(axis=0)
    each = [mean_bounds(x, 0.95) for x in losses.reshape(400, 2, 3).mean(axis=1).T]
    assert found.drop == pytest.approx(each[found_at(found.drop, each)].drop, rel=1e-9)
    assert found.upper == pytest.approx(max(bounds.upper for bounds in each), rel=0.05)


def found_at(drop: float, each: list[Bounds]) -> int:
    return int(np.argmin([abs(bounds.drop - drop) for bounds in each]))


@pytest.mark.parametrize("numbers", [1, 6])
def test_what_loses_just_too_much_passes_five_times_in_a_hundred(numbers: int) -> None:
    """The yardstick is an estimate from the same samples; taken for sure, one in ten passed."""
    rng, passed = np.random.default_rng(9), 0
    for _ in range(400):
        want = rng.exponential(size=(300, numbers))
        usual = 2 / np.e  # of the distances from the mean, in truth
        noise = 0.01 * usual * np.sqrt(np.pi / 2) * rng.standard_normal(want.shape)
        passed += check(want, want + noise, "closeness").verdict is Verdict.PASSED
    assert passed <= 0.085 * 400


def test_a_number_that_is_mostly_zero_is_measured_by_a_mean_that_is_an_estimate_too() -> None:
    """Its yardstick moves with the mean; with the mean taken for sure, one in five passed."""
    rng, passed = np.random.default_rng(5), 0

    def values(count: int) -> Floats:
        return np.where(rng.random((count, 1)) < 0.05, rng.normal(5, 1, (count, 1)), 0.0)

    many = values(1_000_000)
    scale = float(np.abs(many - many.mean()).mean())
    for _ in range(400):
        want = values(300)
        noise = 0.01 * scale * np.sqrt(np.pi / 2) * rng.standard_normal(want.shape)
        passed += check(want, want + noise, "closeness").verdict is Verdict.PASSED
    assert passed <= 0.085 * 400


def test_no_flag_among_many_may_be_lost() -> None:
    flags = rng.integers(0, 2, (N, 50))
    other = flags.copy()
    other[:, 7] = 0
    assert loss(flags, other) == pytest.approx(0.01, abs=1e-3)
    other[: N // 4, 7] = flags[: N // 4, 7]
    found = check(flags, other)
    assert (found.bound < 0.01, found.verdict) == (True, Verdict.FAILED)
    assert "number 7 along axis 1" in found.outputs[0].method
    slight = np.where(np.arange(N)[:, None] % 400 == np.arange(50), 1 - flags, flags)
    assert check(flags, slight).verdict is Verdict.PASSED


@pytest.mark.parametrize("kind", [np.int64, np.bool_])
@pytest.mark.parametrize("shape", [(), (30, 20)])
def test_no_constant_passes_for_classes(kind: type, shape: tuple[int, ...]) -> None:
    """A fault that is rare: "never" is right nearly always."""
    faults = (rng.random((N, *shape)) < 0.004).astype(kind)
    assert check(faults, np.zeros_like(faults)).bound <= 0.01
    assert check(faults, np.zeros_like(faults)).verdict is Verdict.FAILED
    assert check(faults, faults).verdict is Verdict.PASSED


def test_a_class_map_may_differ_here_and_there() -> None:
    """The place that differs most does so by chance more often than the mean may."""
    maps = rng.integers(0, 5, (500, 40, 40))
    maps[:, :8] = 0
    flipped = np.where(rng.random(maps.shape) < 0.004, (maps + 1) % 5, maps)
    assert (flipped != maps).mean(axis=0).max() > 0.01
    assert check(maps, flipped).verdict is Verdict.PASSED
    assert check(maps, np.where(rng.random(maps.shape) < 0.02, 0, maps)).verdict is Verdict.FAILED


def test_rounding_of_sixteen_bits_passes() -> None:
    assert check(BOXES, BOXES.astype(np.float16).astype(np.float64)).verdict is Verdict.PASSED
    assert check(BOXES, BOXES).drop == 0.0


def test_a_classifier_whose_decisions_stay_is_told_by_its_metric() -> None:
    """Scores 6 % away, as int8 leaves them: kept for who names agreement, not for who says nothing."""
    logits = np.eye(10)[rng.integers(0, 10, N)] * 8 + rng.standard_normal((N, 10))
    int8 = logits + 0.06 * logits.std() * rng.standard_normal(logits.shape)
    assert check(logits, int8).verdict is Verdict.FAILED
    assert check(logits, int8, "agreement").verdict is Verdict.PASSED


@pytest.mark.parametrize("sign", [-1.0, 1.05, 0.0])
def test_a_single_number_is_more_than_its_sign(sign: float) -> None:
    one = rng.standard_normal((N, 1))
    assert check(one, sign * one).verdict is Verdict.FAILED
    assert check(one[:, 0], one[:, 0]).verdict is Verdict.PASSED


def test_whole_numbers_count_as_different_or_not() -> None:
    chosen = rng.integers(0, 9, N)
    other = np.where(np.arange(N) < N // 50, chosen + 1, chosen)
    assert loss(chosen, other) == pytest.approx(0.02)
    assert check(chosen, other).verdict is Verdict.FAILED


def test_numbers_that_hardly_vary_are_measured_by_their_size_or_by_the_others() -> None:
    two = np.stack([np.full(N, 7.0), np.zeros(N), rng.standard_normal(N)], axis=1)
    first, second = two.copy(), two.copy()
    first[:, 0] *= 1.03
    second[:, 1] += 1e-4
    assert loss(two, first) == pytest.approx(0.03)
    assert loss(two, second) < 1e-3
    assert loss(np.zeros((5, 1)), np.zeros((5, 1))) == 0.0


def test_a_little_variation_on_a_large_number_is_one() -> None:
    """1000 and half a unit more or less: what it varies by is the yardstick, not the thousand."""
    want = 1000 + rng.uniform(-1, 1, (N, 1))
    assert loss(want, np.full_like(want, 1000)) == pytest.approx(1.0, abs=0.05)
    assert check(want, np.full_like(want, 1000)).verdict is Verdict.FAILED


def test_the_rounding_of_float32_is_no_variation() -> None:
    want = np.float32(1e4 + 1e-3 * rng.standard_normal((N, 1)))
    assert want.std() > 0
    assert loss(want, want + np.float32(1.0)) == pytest.approx(1e-4, rel=0.01)


def test_a_masked_number_stays_masked() -> None:
    masked = BOXES.copy()
    masked[::2, 0] = -np.inf
    assert loss(masked, masked) == 0.0
    bare = np.where(np.isinf(masked), 0.0, masked)
    assert loss(masked, bare) == pytest.approx(0.5)


def test_an_output_without_values_is_refused() -> None:
    empty = np.zeros((400, 0), np.float32)
    with pytest.raises(SamplesError, match="no values"):
        check(empty, empty, "closeness")


def test_other_shapes_are_refused() -> None:
    with pytest.raises(SamplesError, match="number by number"):
        loss(BOXES, BOXES[:, :2])


@given(st.floats(0.001, 0.2), st.floats(1e-3, 1e3), st.floats(-100, 100))
def test_units_and_offsets_of_a_number_make_no_difference(
    error: float, unit: float, offset: float
) -> None:
    one = rng.standard_normal((300, 2)) * [1.0, unit] + [0.0, offset * unit]
    noise = error * rng.standard_normal((300, 2)) * [0.0, unit]
    spread = np.abs(one[:, 1] - one[:, 1].mean()).mean()
    expected = np.abs(noise[:, 1]).mean() / spread
    assert loss(one, one + noise) == pytest.approx(expected, rel=1e-6)


def test_what_is_left_in_a_number_that_is_next_to_nothing_is_rounding() -> None:
    """A tag that never fires: two right engines differ in its thirteenth digit behind the point."""
    generator = np.random.default_rng(3)
    tags = generator.random((N, 20))
    tags[:, :5] = 1e-12 * generator.random((N, 5))
    other = tags.copy()
    other[:, :5] *= generator.uniform(0.2, 1.8, (N, 5))
    assert check(tags, other).verdict is Verdict.PASSED
    fired = tags.copy()
    fired[:40, 0] = 0.5
    assert check(tags, fired).verdict is Verdict.FAILED


def test_a_unit_a_thousand_times_smaller_is_still_held() -> None:
    generator = np.random.default_rng(3)
    pixels, score = generator.uniform(0, 2000, (N, 9)), generator.random((N, 1))
    want = np.concatenate([pixels, score], axis=1)
    have = np.concatenate([pixels, generator.permutation(score)], axis=1)
    assert check(want, have).verdict is Verdict.FAILED

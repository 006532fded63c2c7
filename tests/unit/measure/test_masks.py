"""Large finite numbers that stand for "never" are told from large values."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from whet.core.contract import Drop
from whet.core.evidence import Verdict
from whet.measure.masks import masks_of
from whet.measure.quality import judge

MASKS = (np.finfo(np.float32).min, -1e9, -1e4)
Array = NDArray[np.float32]


def masked(mask: float, seed: int) -> Array:
    """400 rows of eight numbers of which one is masked, the same one for each seed."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(400, 8))
    rows[np.arange(400), np.arange(400) % 8] = mask
    return rows.astype(np.float32)


def verdict(metric: str, want: Array, have: Array) -> Verdict:
    return judge(
        metric,
        {"y": want},
        {"y": have},
        None,
        rows_per_sample=1,
        max_drop=Drop(0.01),
        confidence=0.95,
        per_class=False,
    ).verdict


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("parts", [[slice(None)], [slice(0, 7), slice(7, None)]])
def test_masks_are_found_where_they_are(mask: float, parts: list[slice]) -> None:
    rows = masked(mask, 0)
    found = masks_of([rows[part] for part in parts])
    assert np.array_equal(found.known(rows), rows != np.float32(mask))


def test_ordinary_outputs_have_none() -> None:
    rng = np.random.default_rng(0)
    boxes = np.concatenate([rng.uniform(0, 4000, (400, 4)), rng.random((400, 2))], axis=1)
    price = np.stack([1e5 + rng.normal(size=400), rng.normal(size=400)], axis=1)
    for rows in (boxes, price, rng.lognormal(0, 3, (400, 5)), np.zeros((3, 2)), np.zeros((0, 2))):
        assert masks_of([rows]).known(rows).all()


def test_a_quantity_that_is_zero_now_and_then_is_none() -> None:
    """A price where something is sold, beside a score and beside masks."""
    rng = np.random.default_rng(0)
    price = np.where(rng.random(400) < 0.5, 0.0, rng.uniform(1e5, 9e5, 400))
    want = np.column_stack([price, rng.normal(size=400)]).astype(np.float32)
    assert masks_of([want]).known(want).all()
    dearer = want * np.float32([1.5, 1.0])
    assert verdict("closeness", want, dearer) is Verdict.FAILED
    both = np.column_stack([price, masked(-1e9, 0)])
    assert np.array_equal(masks_of([both]).known(both), both != -1e9)


def test_quantities_that_recur_are_none() -> None:
    """Tiers of a price, and a speed that is nothing or three thousand."""
    rng = np.random.default_rng(0)
    tiers = rng.choice([0.0, 600.0, 1200.0, 2400.0], 400)
    turning = np.where(rng.random(400) < 0.5, 0.0, 3000 + rng.uniform(-20, 20, 400))
    for quantity in (tiers, turning):
        want = np.column_stack([quantity, rng.random(400)]).astype(np.float32)
        assert masks_of([want]).known(want).all()
        assert verdict("closeness", want, np.minimum(want, 2)) is Verdict.FAILED


@pytest.mark.parametrize(
    "tiers", [[0, 20000, 40000], [0, 20000], [0, -20000, -50000], [0, -3e4, -6e4], [0, 5e7]]
)
def test_large_tiers_are_none(tiers: list[float]) -> None:
    """Nor what is so large that it might be a mask, unless it is one number, negative or huge."""
    rng = np.random.default_rng(0)
    want = np.column_stack([rng.choice(tiers, 400), rng.random(400)]).astype(np.float32)
    assert masks_of([want[:150], want[150:]]).known(want).all()
    nearer = np.where(np.abs(want) > 100, want / 100, want)
    assert verdict("closeness", want, nearer) is Verdict.FAILED


def test_tiers_beside_masks_leave_these_masks() -> None:
    rng = np.random.default_rng(0)
    tiers = rng.choice([0, -20000, -50000], 400)
    want = np.column_stack([tiers, masked(-1e9, 0)]).astype(np.float32)
    assert np.array_equal(masks_of([want]).known(want), want != np.float32(-1e9))


@pytest.mark.parametrize("mask", [1e8, 1e9, np.finfo(np.float32).max])
def test_how_far_nothing_is_masks_too(mask: float) -> None:
    want = masked(mask, 0)
    assert np.array_equal(masks_of([want]).known(want), want != np.float32(mask))


def test_masks_and_their_sums_in_one_number_are_masks() -> None:
    want = masked(-1e9, 0)
    place = want == -1e9
    doubled = np.where(place & (np.arange(400) % 3 == 0)[:, None], 2 * want, want)
    assert np.array_equal(masks_of([doubled]).known(doubled), ~place)


def test_what_is_rarely_so_large_is_no_mask() -> None:
    """One level in seventeen: fifteen others are taken as often."""
    rng = np.random.default_rng(0)
    want = rng.normal(size=(400, 3))
    want[:, 1] = np.where(rng.random(400) < 0.5, 0.0, -rng.uniform(1e5, 9e5, 400))
    want[:8, 1] = -1e9
    assert masks_of([want]).known(want).all()
    want[8:40, 1] = -1e9
    assert np.array_equal(masks_of([want]).known(want), want > -1e8)


def test_a_price_that_is_sometimes_unknown_is_judged_where_it_is_known() -> None:
    rng = np.random.default_rng(0)
    price = np.where(rng.random(400) < 0.2, -1e9, rng.uniform(1e3, 1e4, 400))
    want = np.column_stack([rng.random(400), price]).astype(np.float32)
    assert np.array_equal(masks_of([want]).known(want), want > -1e8)
    shuffled = want.copy()
    shuffled[want[:, 1] > 0, 1] = rng.permutation(want[want[:, 1] > 0, 1])
    assert verdict("closeness", want, shuffled) is Verdict.FAILED
    assert verdict("closeness", want, want * np.float32(0.999)) is Verdict.PASSED


@pytest.mark.parametrize("mask", MASKS)
def test_what_lies_just_beyond_the_values_is_no_mask_any_more(mask: float) -> None:
    want = masked(mask, 0)
    place = want == np.float32(mask)
    near = np.where(place, -1.03 * np.abs(want[~place]).max(), want).astype(np.float32)
    assert masks_of([want]).lost(want, near)[place].all()
    assert verdict("closeness", want, near) is Verdict.FAILED
    narrow = np.where(place, np.maximum(want, -65504), want)
    assert not masks_of([want]).lost(want, narrow).any()


def test_masks_with_something_added_and_sums_of_masks_are_masks() -> None:
    want = masked(-1e4, 0)
    place = want == -1e4
    added = want + np.random.default_rng(1).normal(0, 20, want.shape).astype(np.float32) * place
    doubled = np.where(place & (np.arange(8) < 3), 2 * want, want)
    for rows in (added, doubled):
        assert np.array_equal(masks_of([rows[:90], rows[90:]]).known(rows), ~place)


def test_a_mask_is_lost_where_the_candidate_is_no_longer_far_out_on_its_side() -> None:
    want = masked(-1e9, 0)
    masks = masks_of([want])
    place = want < -1e8
    for instead, lost in ((-1e9, 0), (-65504, 0), (-np.inf, 0), (0, 1), (1e9, 1), (np.nan, 1)):
        have = np.where(place, instead, want)
        assert np.array_equal(masks.lost(want, have), place & bool(lost)), instead


@pytest.mark.parametrize("metric", ["cosine", "closeness"])
@pytest.mark.parametrize("mask", MASKS)
def test_no_mask_hides_that_all_else_is_destroyed(metric: str, mask: float) -> None:
    want = masked(mask, 0)
    assert verdict(metric, want, masked(mask, 1)) is Verdict.FAILED
    assert verdict(metric, want, want * np.float32(0.999)) is Verdict.PASSED
    assert verdict(metric, want, np.where(want == np.float32(mask), 0, want)) is Verdict.FAILED

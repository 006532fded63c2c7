from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trial_factory import balance, quality, trial

from whet.core.contract import Contract, Drop
from whet.core.evidence import Changes, OutputCheck, Quality, Status, Verdict
from whet.measure.quality import judge
from whet.measure.statistics import paired_proportions
from whet.search.decisions.decide import chance, expected_bound, promising
from whet.search.decisions.outlook import outlook

FASTEST = Contract(max_drop=Drop(0.01))
BASE = trial("base", 1.0, untouched=True, p99_ms=20.0)


def test_the_bound_shrinks_with_more_samples_and_keeps_no_luck() -> None:
    seen = as_mean(quality(-0.003, width=0.01, n=100))
    assert expected_bound(trial("t", 2.0, select=seen), 400) == pytest.approx(0.005)
    lucky, even = balance(2, 6, 300), balance(4, 4, 300)
    assert outlook(lucky, 1000).bound >= 0.9 * outlook(even, 1000).bound
    assert expected_bound(trial("u", 2.0), 400) == math.inf
    assert expected_bound(BASE, 1) == 0.0


def test_promising_is_what_would_rather_pass() -> None:
    crashed = trial("c", 2.0, status=Status.CRASHED, select=balance(0, 0, 4000))
    assert promising(trial("a", 2.0, select=balance(20, 20, 4000)), FASTEST, 4000)
    assert not promising(trial("b", 2.0, select=balance(50, 10, 4000)), FASTEST, 4000)
    assert not promising(crashed, FASTEST, 4000)
    assert chance(crashed, 4000) == 0.0
    assert chance(BASE, 1) == 1.0


def test_what_few_samples_show_of_a_balance_is_mostly_luck() -> None:
    """Of 7 changed answers all but two lost: the drop seen breaks the floor, and says little."""
    unlucky, even = outlook(balance(5, 2, 220), 730), outlook(balance(4, 3, 220), 730)
    assert unlucky.bound - even.bound < (3 - 1) / 220 / 2
    many = outlook(balance(500, 200, 22_000), 73_000)
    assert many.bound > 300 / 22_000  # of many samples it is taken at its word


def told(judged: Quality, lost: float, gained: float) -> Quality:
    return msgspec.structs.replace(judged, changes=Changes(lost, gained))


def test_margins_tell_more_than_counts() -> None:
    """One that was lucky and one that wasn't, of equal harm, are as likely to pass."""
    lucky, unlucky = (told(balance(*c, 220), 0.008, 0.007) for c in ((0, 4), (5, 1)))
    assert outlook(lucky, 730) == outlook(unlucky, 730)
    less, more = (told(balance(2, 2, 220), s, s) for s in (0.002, 0.008))
    assert outlook(less, 730).chance > 0.8 > 0.6 > outlook(more, 730).chance


def test_held_to_the_original_every_change_is_a_loss() -> None:
    agreed = msgspec.structs.replace(balance(1, 0, 400), metric="agreement")
    few, many = (outlook(told(agreed, share, 0.0), 1000) for share in (0.001, 0.02))
    assert few.chance > 0.9
    assert many.chance < 0.1
    assert many.bound > 0.02


def test_damage_is_seen_on_few_samples_too() -> None:
    assert outlook(balance(30, 2, 220), 730).chance < 0.01


def test_other_metrics_are_taken_at_their_word() -> None:
    lost = as_mean(quality(0.008, width=0.001))
    assert outlook(lost, 1000).bound == pytest.approx(0.009)
    assert outlook(lost, 4000).bound == pytest.approx(0.0085)


def test_a_broken_output_leaves_no_chance() -> None:
    check = OutputCheck("y", "distance", 100, 0.0, 0.001, 0.01, Verdict.PASSED, "", broken=1)
    good = balance(1, 1, 4000)
    assert outlook(good, 4000).chance > 0.9
    assert outlook(msgspec.structs.replace(good, outputs=(check,)), 4000).chance == 0.0


def as_mean(judged: Quality) -> Quality:
    return msgspec.structs.replace(judged, metric="cosine")


@given(st.integers(1, 30), st.integers(0, 30), st.integers(100, 5000), st.integers(100, 5000))
def test_more_losses_never_make_it_likelier(gains: int, more: int, n: int, certify: int) -> None:
    losses = gains + more
    better = outlook(balance(losses, gains, n), certify)
    worse = outlook(balance(losses + 1, gains, n), certify)
    assert worse.bound >= better.bound
    if better.chance > 0.5:  # below, not to know better is what makes it likelier
        assert 0 <= worse.chance <= better.chance + 1e-9


def test_chances_are_what_happens() -> None:
    """Candidates of many kinds, judged on 220 samples and certified on 730: told is what comes."""
    rng = np.random.default_rng(3)
    told, came = [], []
    for _ in range(4000):
        changed, net = rng.uniform(0.003, 0.06), rng.normal(0.1, 0.3)
        shares = [changed * (1 + net) / 2, changed * (1 - net) / 2]
        if min(shares) < 0:
            continue
        losses, gains, _ = rng.multinomial(220, [*shares, 1 - changed])
        told.append(outlook(balance(int(losses), int(gains), 220), 730).chance)
        losses, gains, _ = rng.multinomial(730, [*shares, 1 - changed])
        came.append(paired_proportions(int(losses), int(gains), 730, 0.95).upper <= 0.01)
    chances, passed = np.array(told), np.array(came)
    for low, high in ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0)):
        inside = (chances >= low) & (chances < high)
        assert inside.sum() > 50, low
        assert abs(chances[inside].mean() - passed[inside].mean()) < 0.12, low


def test_what_isnt_finite_on_a_row_has_no_chance() -> None:
    """However few rows: the certify part has some too."""
    scores = np.random.default_rng(0).normal(size=(400, 10))
    other = scores.copy()
    other[:2] = np.nan
    for metric in ("agreement", "cosine", "closeness"):
        judged = judge(
            metric,
            {"y": scores},
            {"y": other},
            None,
            rows_per_sample=1,
            max_drop=Drop(0.02),
            confidence=0.95,
            per_class=False,
        )
        assert judged.broken == 2
        assert outlook(judged, 2000).chance == 0.0

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.data.split import Shares, certify_needed, provable_drop, split
from whet.errors import OptionError, SamplesError


def parts(s):
    return [s.repair, s.select, s.certify]


def reasons(s):
    return " ".join(note.reason for note in s.notes)


@given(st.integers(1, 400), st.integers(1, 30), st.integers(0, 2**32), st.booleans())
def test_disjoint_complete_and_seeded(count, classes, seed, labelled):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count) if labelled else None
    first, second = (split(count, labels, seed=seed) for _ in range(2))
    assert sorted(np.concatenate(parts(first)).tolist()) == list(range(count))
    assert all((a == b).all() for a, b in zip(parts(first), parts(second), strict=True))
    assert tuple(p.size for p in parts(first)) == Shares().sizes(count)


@given(st.integers(3, 200), st.integers(2, 12), st.integers(0, 2**32))
def test_each_class_is_spread_by_the_shares(count, classes, seed):
    labels = np.random.default_rng(seed).integers(0, classes, count)
    got = split(count, labels, seed=seed)
    for label in range(classes):
        n = int((labels == label).sum())
        for part in parts(got):
            assert abs(int((labels[part] == label).sum()) - n * part.size / count) <= 2


@given(st.integers(3, 200), st.integers(1, 60), st.integers(0, 2**32))
def test_copies_never_straddle_parts(count, distinct, seed):
    groups = np.random.default_rng(seed).integers(0, distinct, count)
    got = split(count, None, seed=seed, groups=groups)
    assert sorted(np.concatenate(parts(got)).tolist()) == list(range(count))
    owners = [set(groups[p].tolist()) for p in parts(got)]
    assert not owners[0] & owners[1]
    assert not owners[0] & owners[2]
    assert not owners[1] & owners[2]


def test_a_prefix_is_a_fair_draw():
    labels = np.repeat(np.arange(10), 500)  # in class order, as folders give them
    got = split(5000, labels, seed=0)
    assert np.bincount(labels[got.repair[:100]], minlength=10).min() >= 2


def test_caps_and_small_counts():
    assert Shares().sizes(50_000) == (1024, 4096, 44_880)
    assert Shares().sizes(1_100) == (220, 330, 550)
    assert Shares().sizes(10) == (2, 3, 5)
    assert Shares().sizes(3) == (1, 1, 1)
    assert Shares().sizes(2) == (2, 0, 0)
    assert Shares(repair_most=100).sizes(10_000) == (100, 3000, 6900)


def test_what_can_be_proved():
    assert provable_drop(299) == pytest.approx(1 - 0.05 ** (1 / 299))
    assert certify_needed(0.01) == 299  # the well-known rule of three, exactly
    assert provable_drop(299) < 0.01 < provable_drop(298)
    assert provable_drop(0) == 1.0
    assert certify_needed(0.01, 0.99) == 459
    with pytest.raises(OptionError):
        certify_needed(0.0)


def test_notes_say_what_is_lacking():
    got = split(100, np.arange(100) % 60, seed=0, max_drop=0.01)
    assert "by less than 5.82%" in reasons(got)
    assert "needs at least 299 certify samples (there are 50)" in reasons(got)
    assert "about 598 samples in all" in reasons(got)
    assert "60 of 60 classes have fewer than three" in reasons(got)
    assert "Calibration on 20" in reasons(got)
    tiny = split(2, None, seed=0)
    assert "nothing can be proved" in reasons(tiny)
    assert "can't be split in three" in reasons(tiny)
    enough = split(1000, None, seed=0, max_drop=0.01)
    assert "needs at least" not in reasons(enough)
    copies = split(50, None, seed=0, groups=np.arange(50) // 2)
    assert "25 of 50 samples are exact copies" in reasons(copies)


def test_scores_are_not_strata():
    got = split(30, np.linspace(0, 5, 30), seed=0)
    assert "classes" not in reasons(got)


def test_bad_input():
    with pytest.raises(SamplesError, match="no samples"):
        split(0, None, seed=0)
    with pytest.raises(SamplesError, match="labels of shape"):
        split(3, np.arange(4), seed=0)
    with pytest.raises(OptionError, match="can't be a split"):
        Shares(repair=0.6, select=0.5)

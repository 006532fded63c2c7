from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from whet.data.split import Shares, check_enough, split
from whet.errors import OptionError, SamplesError


def parts(s):
    return [s.repair, s.select, s.certify]


def reasons(s):
    return " ".join(note.reason for note in s.notes)


@given(st.integers(3, 400), st.integers(1, 30), st.integers(0, 2**32), st.booleans())
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


@given(st.integers(3, 200), st.integers(3, 60), st.integers(0, 2**32))
def test_copies_never_straddle_parts(count, distinct, seed):
    groups = np.random.default_rng(seed).integers(0, distinct, count)
    assume(len(np.unique(groups)) >= 3)
    got = split(count, None, seed=seed, groups=groups)
    assert sorted(np.concatenate(parts(got)).tolist()) == list(range(count))
    assert all(part.size for part in parts(got))
    owners = [set(groups[p].tolist()) for p in parts(got)]
    assert not owners[0] & owners[1]
    assert not owners[0] & owners[2]
    assert not owners[1] & owners[2]


def test_a_prefix_is_a_fair_draw():
    labels = np.repeat(np.arange(10), 500)  # in class order, as folders give them
    got = split(5000, labels, seed=0)
    assert np.bincount(labels[got.repair[:100]], minlength=10).min() >= 2


@given(st.integers(3, 100_000))
def test_another_sample_takes_none_from_any_part(count):
    fewer, more = Shares().sizes(count), Shares().sizes(count + 1)
    assert sum(more) == count + 1
    assert all(b >= a - 1 for a, b in zip(fewer, more, strict=True))  # but for rounding


def test_caps_and_small_counts():
    assert Shares().sizes(50_000) == (1024, 4096, 44_880)
    assert Shares().sizes(1_100) == (150, 220, 730)
    assert Shares().sizes(600) == (120, 180, 300)
    assert Shares().sizes(10) == (2, 3, 5)
    assert Shares().sizes(3) == (1, 1, 1)
    assert Shares(repair_most=100).sizes(10_000) == (100, 2000, 7900)


@pytest.mark.parametrize(
    ("count", "groups", "said"),
    [
        (1, [0], "There is 1 sample; 3"),
        (2, [0, 1], "There are 2 samples; 3"),
        (12, [4] * 12, "There are 12 samples, of which 1 differ; 3"),
        (0, [], "There are 0 samples; 3"),
    ],
)
def test_too_few_are_refused_with_the_least_number(count, groups, said):
    for refuse in (
        lambda: check_enough(count, np.array(groups)),
        lambda: split(count, None, seed=0, groups=np.array(groups)),
    ):
        with pytest.raises(SamplesError) as caught:
            refuse()
        assert said in str(caught.value)


def test_a_large_group_of_copies_leaves_no_part_empty():
    got = split(12, None, seed=0, groups=np.array([0] * 10 + [1, 2]))
    assert sorted(part.size for part in parts(got)) == [1, 1, 10]


def test_notes_say_what_is_lacking():
    got = split(100, np.arange(100) % 60, seed=0)
    assert "60 of 60 classes have fewer than three" in reasons(got)
    assert "Calibration on 20" in reasons(got)
    copies = split(50, None, seed=0, groups=np.arange(50) // 2)
    assert "25 of 50 samples are exact copies" in reasons(copies)


def test_scores_are_not_strata():
    got = split(30, np.linspace(0, 5, 30), seed=0)
    assert "classes" not in reasons(got)


def test_bad_input():
    with pytest.raises(SamplesError, match="labels of shape"):
        split(3, np.arange(4), seed=0)
    with pytest.raises(OptionError, match="can't be a split"):
        Shares(repair=0.6, select=0.5)
    with pytest.raises(OptionError):
        Shares(select_enough=0)

"""Labels that aren't one number a sample: what they are is said, and what can be done instead."""

from __future__ import annotations

import numpy as np
import pytest

from whet.core.spec import TensorSpec
from whet.data.readers import open_samples
from whet.data.readers.label_shapes import is_one_number, not_one_number
from whet.errors import SamplesError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3, 8, 8)).astype(np.float32)
EXPECT = (TensorSpec("input", "float32", ("batch", 3, 8, 8)),)
ONE_HOT = np.eye(4, dtype=np.int64)[[0, 1, 2, 3, 0, 1]]
ODDS = RNG.dirichlet([1.0] * 4, 6)
SEVERAL = np.array([[1, 1, 0, 1]] * 6)
TARGETS = RNG.normal(size=(6, 3))
MASKS = RNG.integers(0, 3, (6, 8, 8))
KINDS = [
    (ONE_HOT, "one-hot, not the index of a class", "argmax"),
    (ODDS, "the odds of each class, not the index of a class", "argmax"),
    (SEVERAL, "several classes for each sample", "--metric cosine"),
    (TARGETS, "3 numbers for each sample", "--metric cosine"),
    (MASKS, "an array for each sample", "--metric file.py:function"),
]


@pytest.mark.parametrize(("labels", "what", "remedy"), KINDS)
def test_whole_arrays(tmp_path, labels, what, remedy):
    np.savez(tmp_path / "a.npz", x=X, labels=labels)
    np.save(tmp_path / "y.npy", labels)
    ways = [
        lambda: open_samples({"x": X, "labels": labels}),
        lambda: open_samples(tmp_path / "a.npz"),
        lambda: open_samples((X, labels)),
        lambda: open_samples(({"x": X}, labels)),
        lambda: open_samples({"x": X}, labels=labels),
        lambda: open_samples({"x": X}, labels=tmp_path / "y.npy"),
    ]
    for way in ways:
        with pytest.raises(SamplesError) as caught:
            way()
        assert f"are {labels.dtype}{list(labels.shape)}: {what}" in caught.value.message
        assert remedy in caught.value.remedy
        assert "--label-key" not in caught.value.remedy


@pytest.mark.parametrize(("labels", "what", "remedy"), KINDS)
def test_samples_and_batches(labels, what, remedy):
    each = [{"input": x, "label": label} for x, label in zip(X, labels, strict=True)]
    pairs = list(zip(X, labels, strict=True))
    for elements in (each, pairs):
        with pytest.raises(SamplesError) as caught:
            open_samples(elements, expect=EXPECT)
        said = f"The label of element 0 is {labels.dtype}{list(labels.shape[1:])}: {what}"
        assert caught.value.message.startswith(said)
        assert remedy in caught.value.remedy
    for batch in ((X, labels), [X, labels]):
        with pytest.raises(SamplesError, match=f"The labels of element 0 are .*: {what}"):
            open_samples([batch])


def test_a_pair_of_equal_arrays_is_not_guessed_at():
    with pytest.raises(
        SamplesError, match=r"pair of arrays of one shape, \[8, 8\]: two samples, or"
    ):
        open_samples([(X[0, 0], MASKS[0])])
    with pytest.raises(SamplesError, match="two samples, or inputs and a label"):
        open_samples([(X, X)])
    # A list of two arrays is a batch of two, as of any other number.
    assert len(list(open_samples([[X[0], X[1]]]).read())) == 2
    assert len(list(open_samples([[X[0], X[1], X[2]]]).read())) == 3


def test_a_word_beside_an_array_is_no_label():
    with pytest.raises(SamplesError, match="label of element 0 is 'cat', not one number"):
        open_samples([(X[0], "cat")])


def test_one_hot_labels_that_look_like_those_of_a_batch():
    with pytest.raises(SamplesError, match=r"3 samples but 4 labels.* label\.argmax\(\)"):
        open_samples([(X[0], ONE_HOT[0])])


def test_an_input_that_is_called_like_labels(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=TARGETS)
    with pytest.raises(SamplesError, match=r"If 'y' is an input .* \(--label-key ''\)"):
        open_samples(tmp_path / "a.npz")
    assert [s.name for s in open_samples(tmp_path / "a.npz", label_key="").inputs] == ["x", "y"]


def test_other_kinds():
    assert is_one_number((5,))
    assert is_one_number((5, 1))
    assert not is_one_number((5, 2))
    assert not is_one_number(())
    column = open_samples({"x": X, "labels": np.arange(6)[:, None]})
    assert [s.label for s in column.read()] == [0, 1, 2, 3, 4, 5]
    words = not_one_number(np.array(["cat", "dog"]), (2,), "x.npz")
    assert words.message == "The labels of x.npz are <U3[2], no numbers."
    assert "in the order of the network's classes" in words.remedy
    single = not_one_number(np.zeros((), np.float32), (), "x.npz")
    assert single.message == "The labels of x.npz are float32[], one number for all."


def test_offsets_of_pictures_are_called_so(tmp_path, small):
    np.savez(tmp_path / "a.npz", jpeg=np.zeros(9, np.uint8), offsets=np.zeros((2, 2), np.int64))
    with pytest.raises(
        SamplesError, match=r"'offsets' .* shape .*where each picture's bytes begin"
    ):
        open_samples(tmp_path / "a.npz", transform=small)

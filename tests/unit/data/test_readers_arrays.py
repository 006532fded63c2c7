from __future__ import annotations

import numpy as np
import pytest

from whet.core.spec import TensorSpec
from whet.data.readers import open_samples
from whet.data.readers.labels import Relabelled
from whet.errors import SamplesError


def samples(reader, chosen=None):
    return list(reader.read(chosen))


@pytest.fixture
def numbers(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"x": rng.random((20, 3, 4), np.float32), "labels": np.arange(20) % 5}
    np.savez_compressed(tmp_path / "set.npz", **arrays)
    return tmp_path / "set.npz", arrays


def test_npz_gives_rows_and_labels_in_order(numbers):
    path, arrays = numbers
    reader = open_samples(path)
    got = samples(reader)
    assert reader.count == 20
    assert reader.labelled
    assert [str(spec) for spec in reader.inputs] == ["x: float32[batch, 3, 4]"]
    assert (np.stack([s.rows[0]["x"] for s in got]) == arrays["x"]).all()
    assert [s.label for s in got] == arrays["labels"].tolist()


def test_npz_by_index(numbers):
    path, arrays = numbers
    got = samples(open_samples(str(path)), np.array([0, 7, 8, 19]))
    assert (np.stack([s.rows[0]["x"] for s in got]) == arrays["x"][[0, 7, 8, 19]]).all()
    assert got[1].name == "sample 7"
    assert got[1].label == 2


@pytest.mark.parametrize("chosen", [[3, 1], [1, 1], [-1], [20]])
def test_bad_indices_are_refused(numbers, chosen):
    with pytest.raises(SamplesError, match="ascend within 0-19"):
        samples(open_samples(numbers[0]), np.array(chosen))


def test_several_inputs_fortran_order_and_big_endian(tmp_path):
    a = np.asfortranarray(np.arange(24.0, dtype=np.float32).reshape(6, 4))
    b = np.arange(6, dtype=">i4").reshape(6, 1)
    np.savez(tmp_path / "two.npz", a=a, b=b)
    got = samples(open_samples(tmp_path / "two.npz"), np.array([2, 5]))
    assert (got[1].rows[0]["a"] == a[5]).all()
    assert got[1].rows[0]["b"].tolist() == [5]
    assert got[1].rows[0]["b"].dtype.isnative
    assert got[1].label is None


def test_prefix_chooses_a_set(tmp_path):
    np.savez(
        tmp_path / "sets.npz",
        test_images=np.zeros((3, 2, 2), np.uint8),
        test_labels=np.arange(3),
        train_images=np.ones((5, 2, 2), np.uint8),
        train_labels=np.arange(5),
    )
    reader = open_samples(f"{tmp_path / 'sets.npz'}#train")
    assert reader.count == 5
    assert reader.inputs[0].name == "images"
    with pytest.raises(SamplesError, match=r"Choose one with sets.npz#test or sets.npz#train"):
        open_samples(tmp_path / "sets.npz")
    with pytest.raises(SamplesError, match="starts with 'dev_'"):
        open_samples(f"{tmp_path / 'sets.npz'}#dev")


def test_packed_jpeg(tmp_path, picture, small):
    blobs = [picture(40 + i, 40) for i in range(5)]
    offsets = np.cumsum([0] + [len(b) for b in blobs])
    packed = np.frombuffer(b"".join(blobs), np.uint8)
    np.savez(
        tmp_path / "p.npz",
        test_jpeg=packed,
        test_offsets=offsets,
        test_labels=np.arange(5, dtype=np.uint8),
    )
    reader = open_samples(f"{tmp_path / 'p.npz'}#test", transform=small)
    got = samples(reader, np.array([1, 4]))
    assert [s.label for s in got] == [1, 4]
    assert all(
        (s.rows[0]["input"] == small.decode(blobs[i])).all()
        for s, i in zip(got, [1, 4], strict=True)
    )
    with pytest.raises(SamplesError, match="Give an image transform"):
        open_samples(f"{tmp_path / 'p.npz'}#test")
    np.savez(tmp_path / "q.npz", jpeg=packed, offsets=offsets[:-1])
    with pytest.raises(SamplesError, match=r"offsets .* don't fit"):
        open_samples(tmp_path / "q.npz", transform=small)


def test_npy_and_labels_apart(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((4, 2), np.float32))
    np.save(tmp_path / "y.npy", np.arange(4))
    reader = open_samples(tmp_path / "x.npy", labels=tmp_path / "y.npy", label_offset=1)
    assert isinstance(reader, Relabelled)
    assert reader.labelled
    assert [s.label for s in samples(reader, np.array([1, 3]))] == [2, 4]
    with pytest.raises(SamplesError, match="4 samples but 3 labels"):
        open_samples(tmp_path / "x.npy", labels=[0, 1, 2])


def test_an_offset_moves_classes_stored_as_floats_and_refuses_scores():
    x = np.zeros((3, 2), np.float32)
    classes = {"x": x, "labels": np.array([1.0, 2.0, 3.0])}
    assert [s.label for s in samples(open_samples(classes, label_offset=-1))] == [0, 1, 2]
    scores = open_samples({"x": x, "labels": np.array([1.0, 2.5, 3.0])}, label_offset=-1)
    with pytest.raises(SamplesError, match="no class index"):
        samples(scores)


def test_arrays_from_python_take_the_networks_name_and_dtype():
    expect = (TensorSpec("pixels", "float32", ("batch", 8, 8)),)
    reader = open_samples((np.zeros((5, 8, 8)), np.arange(5)), expect=expect)
    assert str(reader.inputs[0]) == "pixels: float32[batch, 8, 8]"
    assert "float64 and was read as float32" in reader.notes[0].reason
    assert samples(reader)[0].rows[0]["pixels"].dtype == np.float32


def test_an_input_may_be_called_like_labels():
    x = np.zeros((2, 3), np.float32)
    expect = (TensorSpec("y", "float32", ("batch", 3)),)
    assert open_samples({"y": x}, expect=expect).inputs[0].name == "y"
    assert not open_samples({"y": x}, label_key="").labelled
    assert [
        s.label for s in samples(open_samples({"y": x, "label": np.arange(2)}, expect=expect))
    ] == [0, 1]


def test_integers_are_cast_only_when_they_fit():
    expect = (TensorSpec("ids", "int32", ("batch", "sequence")),)
    assert (
        samples(open_samples({"ids": np.ones((2, 3), np.int64)}, expect=expect))[0]
        .rows[0]["ids"]
        .dtype
        == np.int32
    )
    with pytest.raises(SamplesError, match=r"sample 1.*int32 can't hold"):
        samples(open_samples({"ids": np.array([[1], [2**40]])}, expect=expect))


@pytest.mark.parametrize(
    ("expect", "sentence"),
    [
        (
            (TensorSpec("x", "float32", ("batch", 3, 5)),),
            r"'x' of .* is float32\[batch, 3, 4\], .* takes float32\[batch, 3, 5\]",
        ),
        ((TensorSpec("x", "uint8", ("batch", 3, 4)),), r"takes uint8\[batch, 3, 4\]"),
        ((TensorSpec("x", "float32", ("batch", 3)),), r"takes float32\[batch, 3\]"),
        (
            (TensorSpec("x", "float32", ("b", 3, 4)), TensorSpec("m", "int64", ("b",))),
            "are called x; the network takes m, x",
        ),
    ],
)
def test_what_the_network_cannot_take(numbers, expect, sentence):
    with pytest.raises(SamplesError, match=sentence):
        open_samples(numbers[0], expect=expect)


def test_decoded_pictures_with_a_transform(small):
    rng = np.random.default_rng(0)
    reader = open_samples(
        {"images": rng.integers(0, 256, (3, 40, 36), dtype=np.uint8)}, transform=small
    )
    assert str(reader.inputs[0]) == "input: uint8[batch, 32, 32, 3]"
    assert samples(reader)[2].rows[0]["input"].shape == (32, 32, 3)
    with pytest.raises(SamplesError, match="uint8 pictures"):
        open_samples({"images": rng.random((3, 40, 36))}, transform=small)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"x": np.zeros((3, 2)), "labels": np.arange(4)}, "3 samples but 4 labels"),
        ({"x": np.zeros((3, 2)), "labels": np.zeros((3, 10))}, r"labels .* float64\[3, 10\]"),
        ({"x": np.zeros((3, 2)), "z": np.zeros((4, 2))}, "differ in length"),
        ({"x": np.zeros((0, 2))}, "no samples"),
        ({"labels": np.arange(4)}, "labels but no inputs"),
        ({"x": np.array(["a", "b"])}, "holds <U1 values"),
        ({"x": np.array([{}, {}])}, "object values"),
        ({"x": np.float32(3)}, "differ in length"),
    ],
)
def test_bad_arrays(arrays, sentence, tmp_path):
    with pytest.raises(SamplesError, match=sentence):
        open_samples(arrays)
    if not any(
        np.asarray(a).dtype.hasobject or np.asarray(a).dtype.kind == "U" for a in arrays.values()
    ):
        np.savez(tmp_path / "bad.npz", **arrays)
        with pytest.raises(SamplesError):
            open_samples(tmp_path / "bad.npz")


@pytest.mark.parametrize("key", ["target", "targets", "species"])
def test_labels_under_another_name(key, small, tmp_path):
    np.savez(tmp_path / "a.npz", **{"x": np.zeros((3, 2), np.float32), key: np.arange(3)})
    np.savez(tmp_path / "p.npz", **{"x": np.zeros((3, 9, 9), np.uint8), key: np.arange(3)})
    expect = (TensorSpec("x", "float32", ("batch", 2)),)
    for name, how in (("a", {"expect": expect}), ("p", {"transform": small})):
        with pytest.raises(SamplesError, match=f"say so with --label-key {key}"):
            open_samples(tmp_path / f"{name}.npz", **how)
    named = open_samples(tmp_path / "a.npz", expect=expect, label_key=key)
    assert [s.label for s in samples(named)] == [0, 1, 2]


def test_missing_files_and_unknown_kinds(tmp_path):
    with pytest.raises(SamplesError, match="no file or folder"):
        open_samples(tmp_path / "none.npz")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(SamplesError, match="no kind that can be read"):
        open_samples(tmp_path / "a.txt")
    with pytest.raises(SamplesError, match="int, from which no samples"):
        open_samples(3)
    np.save(tmp_path / "x.npy", np.zeros((3, 2)))
    with pytest.raises(SamplesError, match="'#t' after"):
        open_samples(f"{tmp_path / 'x.npy'}#t")
    with pytest.raises(SamplesError, match="no 'target'"):
        open_samples({"x": np.zeros((3, 2))}, label_key="target")


def test_a_single_array_of_another_name_is_taken_and_noted(numbers):
    expect = (TensorSpec("image", "float32", ("batch", 3, 4)),)
    name, array = "x", numbers[1]["x"]
    reader = open_samples({name: array}, expect=expect)
    assert [spec.name for spec in reader.inputs] == ["image"]
    said = [note.reason for note in reader.notes]
    assert said == [f"The only array, '{name}', is given to the network's only input, 'image'."]
    with pytest.raises(SamplesError, match=f"'{name}' of .* takes "):
        open_samples({name: array[:, :2]}, expect=expect)
    with pytest.raises(SamplesError, match="are called a, b; the network takes image"):
        open_samples({"a": array, "b": array}, expect=expect)


def test_float64_is_read_as_float32_and_noted():
    reader = open_samples({"x": np.ones((2, 3))})
    assert samples(reader)[0].rows[0]["x"].dtype == np.float32
    assert [note.reason for note in reader.notes] == ["'x' is float64 and was read as float32."]


@pytest.mark.parametrize("given", ["mapping", "elements"])
def test_arrays_that_are_ready_need_no_transform_of_the_directory(small, words, given):
    """A directory's transform comes with the inputs; one of the user's own comes without."""
    floats = np.ones((4, 3, 32, 32), np.float32)
    ids = np.ones((4, 6), np.int64)
    for transform, expect, arrays in (
        (small, (small.network_spec(),), {"input": floats}),
        (words, words.specs(), {spec.name: ids for spec in words.specs()}),
    ):
        source = arrays if given == "mapping" else [arrays]
        reader = open_samples(source, transform=transform, expect=expect)
        assert reader.transform is None
        assert len(samples(reader)) == 4
        with pytest.raises(SamplesError):
            samples(open_samples(source, transform=transform))


def test_pictures_still_take_the_directorys_transform(small):
    arrays = {"input": np.zeros((2, 40, 40, 3), np.uint8)}
    reader = open_samples(arrays, transform=small, expect=(small.network_spec(),))
    assert reader.transform is small
    assert reader.inputs == (small.raw_spec(),)


def test_floats_of_another_size_are_compared_with_the_network(small):
    arrays = {"input": np.zeros((2, 3, 40, 40), np.float32)}
    with pytest.raises(SamplesError, match=r"but the network takes float32\[batch, 3, 32, 32\]"):
        open_samples(arrays, transform=small, expect=(small.network_spec(),))

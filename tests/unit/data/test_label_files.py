"""Labels that lie apart in a file of their own."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest

from whet.data.readers import check_label_file, open_samples
from whet.data.readers.label_files import read_label_file
from whet.data.readers.labels import load_labels, parse_label
from whet.errors import SamplesError


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("0\n2\n1\n", [0, 2, 1]),
        ("label\n0\n2\n1\n", [0, 2, 1]),
        ("\ufeffclass_index\r\n0\r\n2\r\n\r\n", [0, 2]),
        ('"label"\n"3"\n', [3]),
        ('"1st choice"\n3\n', [3]),
        ("_y\n3\n", [3]),
        ("étiquette\n3\n", [3]),
        ("0.5\n2\n", [0.5, 2.0]),
        ("score\n4\n2\n", [4.0, 2.0]),
        ("5", [5]),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".txt", ".CSV"])
def test_one_column_of_text(tmp_path, text, labels, suffix):
    path = tmp_path / f"y{suffix}"
    path.write_text(text, encoding="utf-8", newline="")
    found = read_label_file(path)
    assert found.tolist() == labels
    assert {type(value) for value in found.tolist()} == {type(value) for value in labels}


@pytest.mark.parametrize(
    ("arrays", "name"),
    [
        ({"anything": np.arange(4)}, "anything"),
        ({"labels": np.arange(4), "ids": np.arange(4) + 9}, "labels"),
    ],
)
def test_an_archive_with_one_array_or_one_that_is_called_labels(tmp_path, arrays, name):
    np.savez(tmp_path / "y.npz", **arrays)
    assert (load_labels(tmp_path / "y.npz") == arrays[name]).all()


def test_they_come_to_the_samples_in_order(tmp_path):
    (tmp_path / "y.txt").write_text("label\n3\n1\n2\n")
    reader = open_samples({"x": np.zeros((3, 2), np.float32)}, labels=str(tmp_path / "y.txt"))
    assert [sample.label for sample in reader.read()] == [3, 1, 2]
    with pytest.raises(SamplesError, match="4 samples but 3 labels"):
        open_samples({"x": np.zeros((4, 2), np.float32)}, labels=tmp_path / "y.txt")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,label\n1,2\n", "Line 1 of .* has 2 columns"),
        ("label\ncat\n", "Line 2 of .* is 'cat', no number"),
        ("1\ncat\n", "Line 2 of .* is 'cat', no number"),
        ("0x1\n2\n", "Line 1 of .* is '0x1', no number"),
        ("1_0\n2\n", "Line 1 of .* is '1_0', no number"),
        ("1\n2_0.5\n", "Line 2 of .* is '2_0.5', no number"),
        ("-\n2\n", "Line 1 of .* is '-', no number"),
        ("", "holds no labels"),
        ("label\n", "holds no labels"),
        ('"1\n2\n', "no text of one label a line"),
        ("\n" + "9" * 5000 + "\n", "no number"),
    ],
)
def test_text_that_is_no_column_of_numbers(tmp_path, text, said):
    (tmp_path / "y.csv").write_text(text)
    with pytest.raises(SamplesError, match=said) as caught:
        read_label_file(tmp_path / "y.csv")
    assert "the first line may name the column" in caught.value.remedy


def test_what_is_no_file_of_labels_is_refused_by_name(tmp_path):
    (tmp_path / "y.json").write_text("[1, 2]")
    (tmp_path / "folder.npy").mkdir()
    for name, said in (
        ("gone.npy", "There is no file"),
        ("y.json", "of no kind from which labels are read"),
        ("folder.npy", "it is a folder"),
    ):
        for look in (check_label_file, load_labels):
            with pytest.raises(SamplesError, match=said) as caught:
                look(tmp_path / name)
            assert "Errno" not in str(caught.value)
            assert caught.value.remedy


def test_damaged_or_ambiguous_arrays(tmp_path):
    (tmp_path / "text.npy").write_text("label\n1\n")
    (tmp_path / "empty.npy").touch()
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    np.savez(tmp_path / "two.npz", a=np.arange(3), b=np.arange(3))
    np.savez(tmp_path / "both.npz", labels=np.arange(3), y=np.arange(3))
    np.savez(tmp_path / "none.npz")
    np.savez(tmp_path / "scalar.npz", y=np.array(3))
    for name, said in (
        ("text.npy", "no .npy file of plain numbers"),
        ("empty.npy", "no .npy file of plain numbers"),
        ("bytes.csv", "no text of one label a line"),
        ("two.npz", "holds a, b, and nothing says which"),
        ("both.npz", "holds labels, y, and nothing says which"),
        ("none.npz", "holds no array"),
        ("scalar.npz", "one number for all"),
    ):
        with pytest.raises(SamplesError, match=said) as caught:
            load_labels(tmp_path / name)
        assert "unsafe" not in str(caught.value)


def test_nothing_is_unpickled_and_no_header_is_believed(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    (tmp_path / "bare.npy").write_bytes(pickle.dumps([1, 2]))
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000,)}"
    body = header.ljust(117) + b"\n"
    magic = b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little")
    (tmp_path / "huge.npy").write_bytes(magic + body)
    for name in ("objects", "bare", "huge"):
        with pytest.raises(SamplesError, match=r"no \.npy file of plain numbers"):
            read_label_file(tmp_path / f"{name}.npy")


@pytest.mark.parametrize("read", [check_label_file, load_labels])
def test_a_fifo_is_refused_and_never_opened(tmp_path, read):
    os.mkfifo(tmp_path / "y.csv")
    with pytest.raises(SamplesError, match="no regular file"):
        read(tmp_path / "y.csv")


def test_python_s_underscores_are_no_part_of_a_number():
    assert parse_label("10", "label", "a") == 10
    for key in ("label", "score"):
        with pytest.raises(SamplesError, match="'1_0', not a number"):
            parse_label("1_0", key, "a")

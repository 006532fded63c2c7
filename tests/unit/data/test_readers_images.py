from __future__ import annotations

import numpy as np
import pytest

from whet.data.readers import open_samples
from whet.errors import SamplesError


def fill(folder, names, picture):
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture(40 + i, 40))


def test_class_folders_in_sorted_order(tmp_path, picture, small):
    fill(
        tmp_path,
        ["dog/b.jpg", "cat/a.jpg", "cat/c.JPG", "cat/notes.txt", "empty/readme.md"],
        picture,
    )
    reader = open_samples(tmp_path, transform=small)
    got = list(reader.read())
    assert [(s.name, s.label) for s in got] == [
        ("cat/a.jpg", 0),
        ("cat/c.JPG", 0),
        ("dog/b.jpg", 1),
    ]
    assert "0 = cat, 1 = dog" in reader.notes[0].reason
    assert "empty" in reader.notes[1].reason
    assert got[0].rows[0]["input"].shape == (32, 32, 3)


def test_labels_apart_follow_the_sorted_names_and_that_is_told(tmp_path, picture, small):
    fill(tmp_path, ["img_0.jpg", "img_1.jpg", "img_2.jpg", "img_10.jpg"], picture)
    reader = open_samples(tmp_path, transform=small, labels=[5, 6, 7, 8])
    assert {s.name: s.label for s in reader.read()} == {
        "img_0.jpg": 5,
        "img_1.jpg": 6,
        "img_10.jpg": 7,
        "img_2.jpg": 8,
    }
    (note,) = reader.notes
    assert "names, sorted as text: img_0.jpg, img_1.jpg, img_10.jpg, ..." in note.reason
    assert open_samples(tmp_path, transform=small).notes == ()
    (tmp_path / "labels.csv").write_text("file\nimg_2.jpg\nimg_0.jpg\n")
    table = open_samples(tmp_path, transform=small, labels=[5, 6])
    assert [(s.name, s.label) for s in table.read()] == [("img_2.jpg", 5), ("img_0.jpg", 6)]
    assert "of the table labels.csv: img_2.jpg, img_0.jpg." in table.notes[-1].reason


def test_folders_named_by_numbers_are_the_class_indices(tmp_path, picture, small):
    fill(tmp_path, ["2/a.jpg", "10/b.jpg"], picture)
    reader = open_samples(tmp_path, transform=small)
    assert {s.name: s.label for s in reader.read()} == {"10/b.jpg": 10, "2/a.jpg": 2}


def test_class_folders_take_the_networks_order(tmp_path, picture, small):
    fill(tmp_path, ["cat/a.jpg", "dog/b.jpg"], picture)
    reader = open_samples(tmp_path, transform=small, class_names=["Dog", "Cat"])
    assert {s.name: s.label for s in reader.read()} == {"cat/a.jpg": 1, "dog/b.jpg": 0}
    assert "1 = cat, 0 = dog" in reader.notes[0].reason
    with pytest.raises(SamplesError, match="1 can't be matched to a class of the network: 'cat'"):
        open_samples(tmp_path, transform=small, class_names=["dog", "cow"])
    with pytest.raises(SamplesError, match="Leave the label offset out"):
        open_samples(tmp_path, transform=small, class_names=["dog", "cat"], label_offset=1)
    # Names that don't matter, because labels come from elsewhere.
    apart = open_samples(tmp_path, transform=small, class_names=["dog", "cow"], labels=[5, 6])
    assert [s.label for s in apart.read()] == [5, 6]
    shifted = open_samples(tmp_path, transform=small, class_names=["x", "y"], label_offset=1)
    assert [s.label for s in shifted.read()] == [1, 2]


def test_a_table_may_name_the_networks_classes(tmp_path, picture, small):
    fill(tmp_path, ["a.jpg", "b.jpg", "c.jpg"], picture)
    (tmp_path / "labels.csv").write_text("file,label\na.jpg,cat\nb.jpg,Dog\nc.jpg,1\n")
    reader = open_samples(tmp_path, transform=small, class_names=["dog", "cat"])
    assert [s.label for s in reader.read()] == [1, 0, 1]


def test_flat_folder_has_no_labels(tmp_path, picture, small):
    fill(tmp_path, ["b.jpg", "a.jpg"], picture)
    reader = open_samples(tmp_path, transform=small)
    assert not reader.labelled
    assert [s.name for s in reader.read(np.array([1]))] == ["b.jpg"]


@pytest.mark.parametrize("header", ["file,class_index,source", "filename,label,z", "path,y,z"])
def test_labels_csv(tmp_path, picture, small, header):
    fill(tmp_path, ["a.jpg", "b.jpg", "sub/c.jpg"], picture)
    (tmp_path / "labels.csv").write_text(f"{header}\nsub/c.jpg,7,x\na.jpg,3,y\n")
    reader = open_samples(tmp_path, transform=small)
    assert [(s.name, s.label) for s in reader.read()] == [("sub/c.jpg", 7), ("a.jpg", 3)]
    assert "1 picture(s) aren't listed" in reader.notes[0].reason


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("name,label\na.jpg,1\n", "columns name, label"),
        ("file,label\nb.jpg,1\n", "1 file.s. that aren't there, the first is 'b.jpg'"),
        ("file,label\na.jpg,cat\n", "label of 'a.jpg' is 'cat'"),
        ("file,label\n../a.jpg,1\n", "Line 2 .* outside the folder"),
        ("file,label\n/etc/passwd,1\n", "outside the folder"),
        ("file,label\na.jpg\n", "Line 2 .* 1 fields, the header 2"),
        ("file,file\na.jpg,1\n", "distinct column names"),
        ("", "distinct column names"),
        ("file,label\n", "lists no picture"),
        ("file;label\na.jpg;1\n", "separated by semicolons"),
        ("file\tlabel\na.jpg\t1\n", "separated by tabs"),
        ("file,label\na.jpg,1\na.jpg,2\n", "gives 'a.jpg' the labels 1 and 2"),
    ],
)
def test_wrong_tables(tmp_path, picture, small, table, sentence):
    fill(tmp_path, ["a.jpg"], picture)
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(SamplesError, match=sentence):
        open_samples(tmp_path, transform=small)


def test_bad_folders(tmp_path, picture, small):
    with pytest.raises(SamplesError, match="There is no picture in"):
        open_samples(tmp_path, transform=small)
    fill(tmp_path, ["a.jpg"], picture)
    with pytest.raises(SamplesError, match="Give an image transform"):
        open_samples(tmp_path)
    fill(tmp_path, ["cat/b.jpg"], picture)
    with pytest.raises(SamplesError, match="both pictures and class folders"):
        open_samples(tmp_path, transform=small)


@pytest.mark.parametrize(("parts", "best"), [(["train", "val"], "val"), (["fold1"], "fold1")])
def test_the_root_of_a_data_set_is_told_to_give_a_part_of_it(tmp_path, picture, small, parts, best):
    fill(tmp_path, [f"{part}/{name}/a.jpg" for part in parts for name in ("cat", "dog")], picture)
    with pytest.raises(SamplesError, match=f"in the folders of {', '.join(parts)}") as caught:
        open_samples(tmp_path, transform=small)
    assert caught.value.remedy.endswith(f"{tmp_path / best}.")


def test_corrupt_pictures_are_counted_and_the_first_is_named(tmp_path, picture, small):
    fill(tmp_path, [f"{i:02}.jpg" for i in range(20)], picture)
    (tmp_path / "03.jpg").write_bytes(picture()[:200])
    (tmp_path / "11.jpg").write_bytes(b"no picture")
    reader = open_samples(tmp_path, transform=small)
    read = []
    with pytest.raises(
        SamplesError,
        match=r"2 samples can't be read, the first is '03.jpg': The picture is damaged",
    ):
        read.extend(reader.read())
    (tmp_path / "03.jpg").write_bytes(b"")
    (tmp_path / "11.jpg").write_bytes(picture())
    with pytest.raises(SamplesError, match=r"'03.jpg' can't be read: These bytes are no picture"):
        list(reader.read())
    (tmp_path / "03.jpg").unlink()
    with pytest.raises(SamplesError, match=r"'03.jpg' can't be read: The file can't be read"):
        list(reader.read())


def test_stopping_early_stops_the_pool(tmp_path, picture, small):
    import threading

    fill(tmp_path, [f"{i:02}.jpg" for i in range(60)], picture)
    stream = open_samples(tmp_path, transform=small).read()
    next(stream)
    stream.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("whet-read")]


def test_a_column_of_a_table_that_may_be_labels_is_named(tmp_path, picture, small):
    fill(tmp_path, ["a.jpg", "b.jpg"], picture)
    (tmp_path / "labels.csv").write_text("file,target\na.jpg,1\nb.jpg,0\n")
    reader = open_samples(tmp_path, transform=small)
    assert not reader.labelled
    assert [note.reason for note in reader.notes] == [
        "The column 'target' was not read. If it holds the labels, name it: --label-key NAME."
    ]
    assert open_samples(tmp_path, transform=small, label_key="target").notes == ()

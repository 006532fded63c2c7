from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest

from whet.data.readers import open_samples
from whet.errors import OptionError, SamplesError


def lines(path, records):
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return path


def test_single_texts(tmp_path, words):
    path = lines(tmp_path / "t.jsonl", [{"text": "a b", "label": 1}, {"text": "c", "label": 0}])
    path.write_text(path.read_text() + "\n  \n")
    reader = open_samples(path, transform=words)
    got = list(reader.read())
    assert reader.count == 2
    assert reader.rows_per_sample == 1
    assert got[0].rows[0]["input_ids"].tolist() == [2, 4, 5, 3]
    assert [s.label for s in got] == [1, 0]
    assert [type(s.label) for s in got] == [int, int]
    assert got[1].name == "line 2 of t.jsonl"


def test_labels_may_be_the_networks_names(tmp_path, words):
    records = [{"text": "a", "label": name} for name in ("Positive", "negative", "1", "nan")]
    path = lines(tmp_path / "t.jsonl", records)
    reader = open_samples(
        path, transform=words, class_names=["negative", "neutral", "positive", "NaN"]
    )
    labels = [s.label for s in reader.read()]
    assert labels == [2, 0, 1, 3]
    assert {type(label) for label in labels} == {int}
    with pytest.raises(SamplesError, match=r"'Positive', not a number and no class .*'good'"):
        open_samples(path, transform=words, class_names=["good", "bad"])
    with pytest.raises(
        SamplesError, match=r"'Positive', not a number\. .*id2label in the config\.json"
    ):
        open_samples(path, transform=words)


def test_named_classes_join_pairs(tmp_path, words):
    records = [{"sentence1": "a", "sentence2": "b", "label": "entailment"}]
    path = lines(tmp_path / "t.jsonl", records)
    reader = open_samples(path, transform=words, class_names=["contradiction", "entailment"])
    assert reader.rows_per_sample == 1
    assert [s.label for s in reader.read()] == [1]


def test_scored_pairs_are_encoded_apart(tmp_path, words):
    path = lines(tmp_path / "t.jsonl", [{"sentence1": "a", "sentence2": "b c", "score": 3}] * 3)
    reader = open_samples(path, transform=words)
    (sample,) = reader.read(np.array([1]))
    assert reader.rows_per_sample == 2
    assert sample.label == 3.0
    assert isinstance(sample.label, float)
    assert [row["input_ids"].tolist() for row in sample.rows] == [[2, 4, 3], [2, 5, 6, 3]]
    assert "apart" in reader.notes[0].reason


def test_classified_pairs_are_joined(tmp_path, words):
    path = lines(tmp_path / "t.jsonl", [{"sentence1": "a", "sentence2": "b", "label": 1}])
    reader = open_samples(path, transform=words)
    (sample,) = reader.read()
    assert reader.rows_per_sample == 1
    assert sample.rows[0]["token_type_ids"].tolist() == [0, 0, 0, 1, 1]
    assert "joined" in reader.notes[0].reason
    assert "classes" in reader.notes[0].reason


@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_one_score_among_whole_numbers_takes_pairs_apart(tmp_path, words, first, suffix):
    """5.0 is written as 5 by many programs; which record comes first says nothing."""
    labels = [5, 3.8, 1]
    labels = labels[first:] + labels[:first]
    path = tmp_path / f"t.{suffix}"
    if suffix == "csv":
        path.write_text("sentence1,sentence2,label\n" + "".join(f"a,b,{x}\n" for x in labels))
    else:
        lines(path, [{"sentence1": "a", "sentence2": "b", "label": x} for x in labels])
    reader = open_samples(path, transform=words)
    assert reader.transform.pairs == "apart"
    assert reader.rows_per_sample == 2
    assert [s.label for s in reader.read()] == labels


def test_a_score_after_classes_of_which_only_one_was_seen_is_refused(words):
    """What Python yields may be read only once, so its first label decides alone."""
    pairs = [(("a", "b"), 5), (("c", "d"), 3.8)]
    reader = open_samples(iter(pairs), transform=words)
    with pytest.raises(SamplesError, match=r"sample 1 .* is the score 3\.8") as refused:
        list(reader.read())
    assert "--pairs apart" in refused.value.remedy
    for known, rows in (("join", 1), ("apart", 2)):
        reader = open_samples(iter(pairs), transform=msgspec.structs.replace(words, pairs=known))
        assert [len(s.rows) for s in reader.read()] == [rows, rows]
    reader = open_samples(iter([(("a", "b"), 1), (("c", "d"), 0)]), transform=words)
    assert [len(s.rows) for s in reader.read()] == [1, 1]


@pytest.mark.parametrize("label", [{}, {"label": 1}, {"score": 0.5}])
@pytest.mark.parametrize(("pairs", "rows"), [("join", 1), ("apart", 2)])
def test_what_is_known_of_pairs_holds_whatever_the_labels_are(tmp_path, words, label, pairs, rows):
    path = lines(tmp_path / "t.jsonl", [{"sentence1": "a", "sentence2": "b", **label}])
    transform = msgspec.structs.replace(words, pairs=pairs)
    reader = open_samples(path, transform=transform)
    assert reader.rows_per_sample == rows
    assert reader.transform == transform
    (sample,) = reader.read()
    joined = [[2, 4, 3, 5, 3]]
    assert [row["input_ids"].tolist() for row in sample.rows] == (
        joined if rows == 1 else [[2, 4, 3], [2, 5, 3]]
    )


def test_pairs_of_which_nothing_is_known_are_refused(tmp_path, words):
    path = lines(tmp_path / "t.jsonl", [{"sentence1": "a", "sentence2": "b"}])
    with pytest.raises(SamplesError, match="pairs of texts without labels") as refused:
        open_samples(path, transform=words)
    assert "--pairs join" in refused.value.remedy
    with pytest.raises(SamplesError, match="pairs of texts without labels"):
        open_samples([("a", "b"), ("c", "d")], transform=words)


def test_what_the_labels_decided_is_recorded(tmp_path, words):
    path = lines(tmp_path / "t.jsonl", [{"sentence1": "a", "sentence2": "b", "label": 1}])
    assert open_samples(path, transform=words).transform.pairs == "join"
    (tmp_path / "s").mkdir()
    path = lines(tmp_path / "s" / "t.jsonl", [{"sentence1": "a", "sentence2": "b", "score": 1}])
    assert open_samples(path, transform=words).transform.pairs == "apart"


def test_only_two_ways_with_pairs_are_known(words):
    with pytest.raises(OptionError, match="pairs is 'joined'"):
        msgspec.structs.replace(words, pairs="joined")


def test_csv_with_named_columns(tmp_path, words):
    path = tmp_path / "t.csv"
    path.write_text('\ufeffreview,stars\n"a, ""b""\nc",5\nd,4\n', encoding="utf-8")
    reader = open_samples(path, transform=words, text_keys=("review",), label_key="stars")
    got = list(reader.read(np.array([1])))
    assert reader.count == 2
    assert got[0].rows[0]["input_ids"].tolist() == [2, 7, 3]
    assert got[0].label == 4


def test_unlabelled_texts(tmp_path, words):
    reader = open_samples(lines(tmp_path / "t.jsonl", [{"text": "a"}]), transform=words)
    assert not reader.labelled
    assert next(reader.read()).label is None


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        ('{"text": "a", "label": ', "Line 2 of .* isn't JSON"),
        ("[1, 2]", "Line 2 of .* is a list"),
        ('{"label": 1}', "Line 2 of t.jsonl has no 'text'"),
        ('{"text": 7, "label": 1}', "'text' in line 2 of t.jsonl is a int"),
        ('{"text": "b", "label": "cat"}', "label of line 2 of t.jsonl is 'cat'"),
        ('{"text": "b", "label": [1, 2]}', r"label of line 2 of t.jsonl is int64\[2\]: 2 numbers"),
        ('{"text": "b", "label": null}', "label of line 2 of t.jsonl is None"),
        ('{"text": "\\ud800", "label": 1}', "line 2"),
        ("[" * 5000, "Line 2 of .* isn't JSON"),
    ],
)
def test_broken_lines_are_numbered(tmp_path, words, second, sentence):
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "a", "label": 1}\n' + second + "\n")
    with pytest.raises(SamplesError, match=f"(?i){sentence}"):
        list(open_samples(path, transform=words).read())


def test_bad_files(tmp_path, words):
    with pytest.raises(SamplesError, match=r"own tokenizer.json: --tokenizer FILE.* missing in it"):
        open_samples(lines(tmp_path / "t.jsonl", [{"text": "a"}]))
    with pytest.raises(SamplesError, match="columns body, none of which"):
        open_samples(lines(tmp_path / "t.jsonl", [{"body": "a"}]), transform=words)
    with pytest.raises(SamplesError, match="not txt"):
        open_samples(tmp_path / "t.jsonl", transform=words, text_keys=("txt",))
    with pytest.raises(SamplesError, match="3 text columns"):
        open_samples(tmp_path / "t.jsonl", transform=words, text_keys=("a", "b", "c"))
    with pytest.raises(SamplesError, match="no samples"):
        open_samples(lines(tmp_path / "t.jsonl", []), transform=words)
    (tmp_path / "t.jsonl").write_bytes(b'{"text": "\xff\xfe"}\n')
    with pytest.raises(SamplesError, match="Line 1"):
        open_samples(tmp_path / "t.jsonl", transform=words)
    (tmp_path / "t.csv").write_bytes(b"text\n\xff\xfe\n")
    with pytest.raises(SamplesError, match="isn't UTF-8"):
        open_samples(tmp_path / "t.csv", transform=words)


def test_labels_that_begin_later_are_not_dropped_in_silence(tmp_path, words):
    lines = ['{"text": "a good film"}', '{"text": "a bad film", "label": 1}']
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    with pytest.raises(SamplesError, match=r"Line 2 of t.jsonl has 'label'") as caught:
        list(open_samples(tmp_path / "t.jsonl", transform=words).read())
    assert "--label-key ''" in caught.value.remedy
    reader = open_samples(tmp_path / "t.jsonl", transform=words, label_key="")
    assert [s.label for s in reader.read()] == [None, None]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_columns_that_may_be_labels_are_named(tmp_path, words, suffix):
    path = tmp_path / f"t.{suffix}"
    if suffix == "csv":
        path.write_text(f"text,target,species,note\na b,1,cat,{'long ' * 20}\nc,0,dog,\n")
    else:
        lines(path, [{"text": "a b", "target": 1, "species": "cat", "note": {"x": 1}}] * 2)
    reader = open_samples(path, transform=words)
    assert not reader.labelled
    (note,) = reader.notes
    assert note.where == "labels"
    assert note.reason.startswith("The columns 'target', 'species' were not read. If one of them")
    assert "--label-key NAME" in note.reason
    for options in ({"label_key": "target"}, {"label_key": ""}, {"labels": [1, 0]}):
        assert open_samples(path, transform=words, **options).notes == ()

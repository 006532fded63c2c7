from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from whet.data.transform import TextTransform, Transform, pad_values
from whet.errors import BundlePathError, OptionError, SamplesError


def test_pads_to_the_longest_and_cuts_at_max_length(words):
    got = words.encoder().encode(["a b", "a b c d e a b c d e"])
    assert got["input_ids"].tolist() == [[2, 4, 5, 3, 0, 0, 0, 0], [2, 4, 5, 6, 7, 8, 4, 3]]
    assert got["attention_mask"].tolist() == [[1, 1, 1, 1, 0, 0, 0, 0], [1] * 8]
    assert all(array.dtype == np.int64 for array in got.values())


def test_the_files_own_padding_is_off(words):
    assert words.encoder().encode(["a"])["input_ids"].shape == (1, 3)


def test_pairs_carry_types(words):
    got = words.encoder().encode([("a", "b c")])
    assert got["input_ids"].tolist() == [[2, 4, 3, 5, 6, 3]]
    assert got["token_type_ids"].tolist() == [[0, 0, 0, 1, 1, 1]]


def test_pad_id_fills_ids_only(words):
    other = msgspec.structs.replace(words, pad_id=1)
    got = other.encoder().encode(["a", "a b"])
    assert got["input_ids"][0].tolist() == [2, 4, 3, 1]
    assert got["attention_mask"][0].tolist() == [1, 1, 1, 0]
    assert pad_values(other) == {"input_ids": 1, "attention_mask": 0, "token_type_ids": 0}
    assert pad_values(None) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"tokenizer": ""},
        {"max_length": 0},
        {"inputs": ()},
        {"inputs": ("attention_mask",)},
        {"inputs": ("input_ids", "position_ids")},
        {"inputs": ("input_ids", "input_ids")},
        {"pad_id": -1},
    ],
)
def test_bounds_are_checked(change):
    with pytest.raises(OptionError, match="text transform"):
        TextTransform(**{"tokenizer": "tokenizer.json", "max_length": 8, **change})


def test_round_trip(words):
    assert msgspec.json.decode(msgspec.json.encode(words), type=Transform) == words


def test_bundle_relative_name_and_escape(words, tmp_path):
    inside = msgspec.structs.replace(words, tokenizer="tokenizer.json")
    assert inside.encoder(tmp_path).encode(["a"])["input_ids"].shape == (1, 3)
    for name in ("../tokenizer.json", str(Path(words.tokenizer))):
        outside = msgspec.structs.replace(words, tokenizer=name)
        with pytest.raises(BundlePathError, match="leaves the bundle"):
            outside.encoder(tmp_path / "bundle")


def test_missing_and_broken_tokenizers(tmp_path):
    with pytest.raises(SamplesError, match="no tokenizer at"):
        TextTransform(tokenizer=str(tmp_path / "no.json"), max_length=8).encoder()
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    with pytest.raises(SamplesError, match="can't be used"):
        TextTransform(tokenizer=str(broken), max_length=8).encoder()


def test_texts_that_cannot_be_encoded(words):
    encoder = words.encoder()
    with pytest.raises(SamplesError, match="no text"):
        encoder.encode([])
    with pytest.raises(SamplesError, match="refused a text"):
        encoder.encode(["\ud800"])
    with pytest.raises(SamplesError, match="characters"):
        encoder.encode(["a" * 1_000_001])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (("a", "b", "c"), "Text 1 is a tuple of 3; a pair has two texts"),
        (("a",), "Text 1 is a tuple of 1"),
        ((), "Text 1 is a tuple of 0"),
        ((1, 2), "A part of text 1 is a int, which is no text"),
        (("a", None), "A part of text 1 is a NoneType"),
        (7, "Text 1 is a int"),
    ],
)
def test_what_is_neither_a_text_nor_a_pair(words, text, said):
    with pytest.raises(SamplesError, match=said):
        words.encoder().encode(["a", text])

"""Names of classes become the network's own indices, or the reader says why not."""

from __future__ import annotations

import pytest

from whet.data.readers.classes import ClassNames, numbered
from whet.errors import SamplesError

FISH = ClassNames.of(
    [
        "tench, Tinca tinca",
        "great white shark, white shark",
        "crane",
        "maillot",
        "Pool_Table,",
        "maillot, tank suit",
        "crane",
        "US",
        "us",
    ]
)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("tench, Tinca tinca", 0),
        ("tench", 0),
        ("Tinca_tinca", 0),
        ("TENCH", 0),
        ("tench,_tinca_tinca", 0),
        ("white  shark", 1),
        ("maillot", 3),  # the whole name of one class wins over one of several names of another
        ("tank_suit", 5),
        ("pool table", 4),
        ("US", 7),
        ("us", 8),
        ("shark", None),
        ("", None),
        (",", None),
    ],
)
def test_the_strictest_way_that_fits_decides(name, index):
    assert FISH.find(name) == index


@pytest.mark.parametrize(
    ("name", "both"),
    [("crane", r"2 \('crane'\), 6 \('crane'\)"), ("Us", r"7 \('US'\), 8 \('us'\)")],
)
def test_a_name_of_several_classes_is_refused(name, both):
    with pytest.raises(
        SamplesError, match=f"'{name}' fits several .*: {both}.* Write the class index"
    ):
        FISH.find(name)


def test_an_offset_has_no_sense_beside_names():
    with pytest.raises(
        SamplesError, match=r"class 1 .* offset of 1 can't be added. Leave the label"
    ):
        ClassNames.of(["cat", "dog"], 1).find("dog")
    assert ClassNames.of(["cat", "dog"], 1).find("cow") is None


def test_folders_take_the_networks_numbers():
    pets = ClassNames.of(["dog", "Cat", "fish"])
    indices, notes = numbered(["cat", "fish"], pets, "pets")
    assert indices == {"cat": 1, "fish": 2}
    assert notes[0].reason == "Classes by the network's own names: 1 = cat, 2 = fish."


def test_folders_that_the_network_does_not_know_are_numbered_and_said_to_be():
    indices, (note,) = numbered(["n01", "n02"], ClassNames.of(["dog", "cat"], 1), "pets")
    assert indices == {"n01": 0, "n02": 1}
    assert "0 = n01, 1 = n02, in the order of the folders' names" in note.reason
    assert "(its own are 'dog', 'cat')" in note.reason
    assert numbered(["b", "c"], None, "x")[0] == {"b": 0, "c": 1}


def test_some_known_and_some_strange_folders_are_refused():
    pets = ClassNames.of(["golden retriever", "tabby", *(f"c{i}" for i in range(9))])
    with pytest.raises(SamplesError) as caught:
        numbered(["golden_retreiver", "tabby"], pets, "pets")
    assert caught.value.message == (
        "Of the 2 class folders in pets, 1 can't be matched to a class of the network:"
        " 'golden_retreiver'."
    )
    assert "Name all as the network does ('golden retriever')" in caught.value.remedy
    with pytest.raises(SamplesError, match="'tabby', 'c0', 'c1', 'c2' and 6 more"):
        numbered(["tabby", "xyzzy"], pets, "pets")


def test_plain_numbers_stay_numbers_and_a_doubt_is_said():
    stars = ClassNames.of(["1", "2", "3"], 4)
    indices, (note,) = numbered(["1", "2"], stars, "reviews")
    assert indices == {"1": 1, "2": 2}
    assert "though the network calls its class 0 '1'" in note.reason
    assert numbered(["0", "1"], ClassNames.of(["0", "1"]), "x") == ({"0": 0, "1": 1}, ())
    assert numbered(["0", "10"], None, "x") == ({"0": 0, "10": 10}, ())

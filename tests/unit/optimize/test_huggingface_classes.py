"""Names of classes as config.json states them, and as it may misstate them."""

from __future__ import annotations

import pytest

from whet.optimize.intake.huggingface_classes import class_names


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({}, ()),
        ({"id2label": {"1": "cat", "0": "dog"}}, ("dog", "cat")),
        ({"label2id": {"cat": 1, "dog": 0}}, ("dog", "cat")),
        ({"label2id": {"cat": "1", "dog": "0"}}, ("dog", "cat")),
        ({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": {"a": 0, "b": 1}}, ()),
        ({"id2label": {"0": 7, "1": 8}}, ("7", "8")),
        ({"id2label": ["dog", "cat"]}, ()),
        ({"id2label": {"zero": "dog"}}, ()),
        ({"id2label": {"0": ["dog"]}}, ()),
        ({"id2label": {"-1": "dog"}}, ()),
        ({"id2label": {"99999999999999999999": "dog"}}, ()),
        ({"label2id": {"dog": None, "cat": True}}, ()),
    ],
)
def test_what_is_stated(config, names):
    assert class_names(config) == (names, ())


def test_gaps_are_a_note_and_no_names():
    names, (note,) = class_names({"id2label": {"0": "dog", "900000": "cat"}})
    assert names == ()
    assert "aren't numbered 0, 1, ..." in note.reason


def test_a_config_that_disagrees_with_itself_is_said_so():
    names, (note,) = class_names(
        {"id2label": {"0": "dog", "1": "cat"}, "label2id": {"cat": 0, "dog": 1}}
    )
    assert names == ("dog", "cat")
    assert "'cat' is class 1 by id2label, which is followed, and 0 by label2id" in note.reason
    # Two classes of one name are no contradiction: label2id has room for one of them.
    crane = {"id2label": {"0": "crane", "1": "crane"}, "label2id": {"crane": 1}}
    assert class_names(crane) == (("crane", "crane"), ())

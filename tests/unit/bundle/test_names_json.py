from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from whet.bundle.names import check_name, check_names, check_segment, segment_of
from whet.bundle.strictjson import JsonLimits, decode, encode, non_finite, parse
from whet.errors import BundleCorruptError, BundleError, BundlePathError

SMALL = JsonLimits(size_bytes=10_000, depth=5, nodes=50)


@pytest.mark.parametrize(
    "name", ["a", "a/b.c-d_e", "1", "model.onnx.data", "x" * 128, "a/" * 7 + "b"]
)
def test_good_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/../b",
            ".hidden",
            "a/.b",
            "a\\b",
            "C:",
        ),
        *(
            "C:/a",
            "a\n",
            "a\0",
            "a b",
            "é",
            "a\u202eb",
            "a.",
            "con",
            "NUL.txt",
            "a/Com1",
            "x" * 129,
        ),
        *("a/" * 8 + "b", "~", "-rf", "$HOME", "a:b", "a?", "a*", "%2e%2e", "/" * 100_000),
    ],
)
def test_bad_names(name: str) -> None:
    with pytest.raises(BundlePathError):
        check_name(name)


@pytest.mark.parametrize(
    "names", [["a", "a"], ["a", "A"], ["a/b", "A/B"], ["a", "a/b"], ["A", "a/b"]]
)
def test_names_that_collide(names: list[str]) -> None:
    with pytest.raises(BundlePathError):
        check_names(names)


@given(st.text(max_size=30))
@example("a/b")
def test_a_good_name_stays_below_its_folder(name: str) -> None:
    import posixpath

    try:
        check_name(name)
    except BundlePathError:
        return
    joined = posixpath.normpath(posixpath.join("/root/bundle", name))
    assert joined == "/root/bundle/" + name


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"a": 1, "a": 2}', "twice"),
        ('{"a": {"b": 1, "\\u0062": 2}}', "twice"),
        ("[NaN]", "not a finite"),
        ("[Infinity]", "not a finite"),
        ("[-Infinity]", "not a finite"),
        ("[1e999]", "not a finite"),
        ("[-1e999]", "not a finite"),
        ("[9223372036854775808]", "64 bits"),
        ("[" + "9" * 5000 + "]", "64 bits"),
        ("[[[[[[1]]]]]]", "deeper"),
        ("[" * 5000, "deeper"),
        ("[" + "1," * 60 + "1]", "values"),
        ('["\\u001b[31m"]', "control"),
        ('["\\u0000"]', "control"),
        ('["\\u202e"]', "control"),
        ('["\\ud800"]', "control"),
        ('{"\\u0007": 1}', "control"),
        ("{'a': 1}", "not valid JSON"),
        ('{"a": 1} trailing', "not valid JSON"),
        ("", "not valid JSON"),
        ('["a', "not valid JSON"),
        ("\ufeff{}", "not valid JSON"),
        ("[1,]", "not valid JSON"),
        ("[01]", "not valid JSON"),
        ('["a\nb"]', "not valid JSON"),
        (" " * 10_001, "bytes"),
    ],
)
def test_refused_json(text: str, match: str) -> None:
    with pytest.raises(BundleCorruptError, match=match):
        parse(text.encode(), "x.json", SMALL)


def test_bytes_that_are_not_utf8() -> None:
    for data in (b'["\xff"]', b"\xff\xfe[\x001\x00]\x00", b'["\xc0\x80"]'):
        with pytest.raises(BundleCorruptError):
            parse(data, "x.json", SMALL)


def test_brackets_inside_strings_do_not_count() -> None:
    text = json.dumps({"a": '[[[[[[[[[[\\"[[[[{{{,,,,' + "," * 100})
    assert parse(text.encode(), "x", SMALL) == json.loads(text)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_parser(data: bytes) -> None:
    try:
        value = parse(data, "x", SMALL)
    except BundleCorruptError:
        return
    assert value == json.loads(data)


class Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    a: float
    b: str = ""


def test_structs_are_closed() -> None:
    assert decode(b'{"a": 1}', Pair, "x", SMALL) == Pair(1.0)
    for text in (b'{"a": 1, "c": 2}', b'{"b": "x"}', b"[]", b'{"a": "1"}', b'{"a": null}'):
        with pytest.raises(BundleCorruptError, match="breaks the format"):
            decode(text, Pair, "x", SMALL)


@given(st.floats(), st.text())
def test_what_is_encoded_is_decoded_or_refused(a: float, b: str) -> None:
    try:
        data = encode(Pair(a, b), "x")
    except BundleError:
        assert non_finite(Pair(a, b)) == "$.a"
        return
    again = decode(data, Pair, "x", SMALL)
    assert again.a == a
    if b.isprintable():
        assert again.b == b


@pytest.mark.parametrize(
    ("text", "segment"),
    [
        ("resnet 50", "resnet-50"),
        ("_build", "build"),
        ("con", "model-con"),
        ("NUL.onnx", "model-NUL.onnx"),
        ("…", "model"),
        ("a" * 99 + "." + "b" * 99, "a" * 99),
    ],
)
def test_any_text_becomes_a_name(text: str, segment: str) -> None:
    assert segment_of(text, "model") == check_segment(segment)

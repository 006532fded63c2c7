from __future__ import annotations

import argparse

import pytest

from whet.cli import options
from whet.cli.main import parser
from whet.cli.options import default_out
from whet.data.transform import ImageTransform, TextTransform
from whet.errors import OptionError


def parsed(*more: str) -> argparse.Namespace:
    return parser().parse_args(["optimize", "net.py:build", "--samples", "s.npz", *more])


def test_no_transform() -> None:
    assert options.transform_of(parsed()) is None


def test_image_transform() -> None:
    args = parsed(
        *("--image-size", "224x320", "--resize-short", "256", "--mean", "0.5,0.4,0.3"),
        *("--std", "1,2,3", "--channels", "BGR", "--resample", "bicubic", "--input-name", "pixels"),
    )
    assert options.transform_of(args) == ImageTransform(
        size=(224, 320),
        resize_short=256,
        mean=(0.5, 0.4, 0.3),
        std=(1.0, 2.0, 3.0),
        channels="BGR",
        resample="bicubic",
        input="pixels",
    )


def test_image_defaults_follow_the_channels() -> None:
    grey = options.transform_of(parsed("--image-size", "28", "--channels", "L"))
    assert grey == ImageTransform(size=(28, 28), mean=(0.0,), std=(1.0,), channels="L")


def test_text_transform() -> None:
    args = parsed("--tokenizer", "t.json", "--max-length", "64", "--text-inputs", "input_ids")
    assert options.transform_of(args) == TextTransform(
        tokenizer="t.json", max_length=64, inputs=("input_ids",)
    )
    assert options.transform_of(parsed("--tokenizer", "t.json")) == TextTransform(
        tokenizer="t.json", max_length=128
    )


@pytest.mark.parametrize(
    "words",
    [
        ("--image-size", "224", "--tokenizer", "t.json"),
        ("--resize-short", "256"),
        ("--mean", "0,0,0"),
        ("--max-length", "64"),
        ("--image-size", "big"),
        ("--image-size", "224", "--mean", "a,b,c"),
        ("--image-size", "224", "--mean", "0.5"),
        ("--tokenizer", "t.json", "--text-inputs", "input_ids,"),
    ],
)
def test_transforms_that_make_no_sense(words: tuple[str, ...]) -> None:
    with pytest.raises(OptionError) as caught:
        options.transform_of(parsed(*words))
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("text", "seconds"), [("10m", 600), ("90s", 90), ("1.5h", 5400), ("2min", 120), ("45", 45)]
)
def test_seconds(text: str, seconds: float) -> None:
    assert options.parse_seconds("--budget", text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-5m", "soon", "5 days"])
def test_no_seconds(text: str) -> None:
    with pytest.raises(OptionError, match="--budget"):
        options.parse_seconds("--budget", text)


@pytest.mark.parametrize(
    ("network", "name"),
    [
        ("nets/resnet50.py:build", "resnet50.whet"),
        ("models/a b.onnx", "a-b.whet"),
        ("x.pt2", "x.whet"),
        ("minilm", "minilm.whet"),
    ],
)
def test_where_the_bundle_goes(network: str, name: str) -> None:
    assert str(default_out(network)) == name

from __future__ import annotations

import argparse

import pytest

from whet.cli import options
from whet.cli.main import parser
from whet.cli.optimize import default_out
from whet.core.contract import Contract, Drop, DropKind
from whet.data.transform import ImageTransform, TextTransform
from whet.errors import ContractError, OptionError


def parsed(*more: str) -> argparse.Namespace:
    return parser().parse_args(["optimize", "net.py:build", "--samples", "s.npz", *more])


def test_without_words_the_contract_is_the_default() -> None:
    assert options.contract_of(parsed()) == Contract()


def test_every_clause() -> None:
    args = parsed(
        *("--p99", "5ms", "--max-drop", "1%", "--metric", "top5", "--confidence", "0.99"),
        *("--batch", "4", "--concurrency", "2", "--threads", "3"),
        *("--max-size", "25MB", "--max-memory", "1.5GiB"),
    )
    assert options.contract_of(args) == Contract(
        limit_ms=5.0,
        percentile=99.0,
        batch=4,
        concurrency=2,
        threads=3,
        metric="top5",
        max_drop=Drop(0.01, DropKind.RELATIVE),
        confidence=0.99,
        max_bytes=25_000_000,
        max_memory_bytes=3 << 29,
    )


@pytest.mark.parametrize(
    ("words", "percentile", "limit_ms"),
    [
        (("--p95", "800us"), 95.0, 0.8),
        (("--p50", "0.2s"), 50.0, 200.0),
        (("--p999", "7"), 99.9, 7.0),
        (("--limit", "5ms"), 99.0, 5.0),
        (("--percentile", "97.5", "--limit", "5ms"), 97.5, 5.0),
        (("--percentile", "90"), 90.0, None),
    ],
)
def test_limits(words: tuple[str, ...], percentile: float, limit_ms: float | None) -> None:
    contract = options.contract_of(parsed(*words))
    assert contract.percentile == percentile
    assert contract.limit_ms == pytest.approx(limit_ms)


def test_all_errors_of_a_contract_come_at_once() -> None:
    words = [
        "--p99",
        "5q",
        "--limit",
        "3ms",
        "--max-drop",
        "x",
        "--batch",
        "0",
        "--confidence",
        "2",
        "--max-size",
        "much",
    ]
    with pytest.raises(ContractError) as caught:
        options.contract_of(parsed(*words))
    places = {issue.where for issue in caught.value.issues}
    assert places == {"--p99", "--limit", "--max-drop", "batch", "confidence", "--max-size"}
    assert all(issue.remedy for issue in caught.value.issues)


def test_a_percentile_beside_a_named_one_is_refused() -> None:
    with pytest.raises(ContractError, match="--p99 names a percentile already"):
        options.contract_of(parsed("--p99", "5ms", "--percentile", "90"))


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

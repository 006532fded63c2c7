from __future__ import annotations

import argparse

import pytest

from whet.cli.contract import contract_of
from whet.cli.main import parser
from whet.core.contract import Contract, Drop, DropKind
from whet.errors import ContractError


def parsed(*more: str) -> argparse.Namespace:
    return parser().parse_args(["optimize", "net.py:build", "--samples", "s.npz", *more])


def test_without_words_the_contract_is_the_default() -> None:
    assert contract_of(parsed()) == Contract()


def test_every_clause() -> None:
    args = parsed(
        *("--p99", "5ms", "--max-drop", "1%", "--metric", "top5", "--confidence", "0.99"),
        *("--batch", "4", "--concurrency", "2", "--threads", "3"),
        *("--max-size", "25MB", "--max-memory", "1.5GiB"),
    )
    assert contract_of(args) == Contract(
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
    contract = contract_of(parsed(*words))
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
        contract_of(parsed(*words))
    places = {issue.where for issue in caught.value.issues}
    assert places == {"--p99", "--limit", "--max-drop", "--batch", "--confidence", "--max-size"}
    assert all(issue.remedy for issue in caught.value.issues)


def test_a_percentile_beside_a_named_one_is_refused() -> None:
    with pytest.raises(ContractError, match="--p99 names a percentile already"):
        contract_of(parsed("--p99", "5ms", "--percentile", "90"))


def test_what_only_the_machine_knows_is_told_with_the_rest() -> None:
    with pytest.raises(ContractError) as caught:
        contract_of(parsed("--threads", "64", "--batch", "many", "--p99", "fast"), cores=2)
    said = {issue.where: issue for issue in caught.value.issues}
    assert set(said) == {"--threads", "--batch", "--p99"}
    assert "may use 2 cores" in said["--threads"].message
    assert "at most 2" in said["--threads"].remedy
    assert contract_of(parsed("--threads", "2"), cores=2).threads == 2


def test_outputs_are_named_and_left_out() -> None:
    found = contract_of(
        parsed("--output", "scores", "--ignore-output", "a", "--ignore-output", "b")
    )
    assert (found.output, found.ignore_outputs) == ("scores", ("a", "b"))
    assert "of 'scores' may drop" in found.brief()
    with pytest.raises(ContractError) as caught:
        contract_of(parsed("--output", "a", "--ignore-output", "a"))
    assert [i.where for i in caught.value.issues] == ["--ignore-output"]

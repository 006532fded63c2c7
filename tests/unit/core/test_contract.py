from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.core.contract import (
    Contract,
    Drop,
    DropKind,
    parse_bytes,
    parse_drop,
    parse_ms,
)
from whet.core.drop import check_drop
from whet.errors import ContractError


@pytest.mark.parametrize(
    ("text", "ms"), [("5ms", 5.0), ("5", 5.0), ("800us", 0.8), ("0.2s", 200.0), (" .5 ms ", 0.5)]
)
def test_durations(text: str, ms: float) -> None:
    assert parse_ms(text) == pytest.approx(ms)


@pytest.mark.parametrize(
    ("text", "drop"),
    [
        ("1%", Drop(0.01, DropKind.RELATIVE)),
        ("1pt", Drop(0.01)),
        ("0.5 pts", Drop(0.005)),
        ("0.01", Drop(0.01)),
        ("0", Drop(0.0)),
    ],
)
def test_drops(text: str, drop: Drop) -> None:
    got = parse_drop(text)
    assert got.kind is drop.kind
    assert got.value == pytest.approx(drop.value)


@pytest.mark.parametrize(
    ("text", "size"), [("25MB", 25_000_000), ("1.5GiB", 1_610_612_736), ("900k", 900_000), ("7", 7)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("parse", [parse_ms, parse_drop, parse_bytes])
@pytest.mark.parametrize("text", ["", "fast", "-1", "1e", "5 parsecs", "nan", "١ms"])
def test_nonsense_is_refused_with_an_example(parse: object, text: str) -> None:
    with pytest.raises(ContractError, match="Write"):
        parse(text)  # type: ignore[operator]


@given(st.text(max_size=12))
def test_parsers_either_answer_or_refuse(text: str) -> None:
    for parse in (parse_ms, parse_drop, parse_bytes):
        with contextlib.suppress(ContractError):
            assert parse(text) is not None


def test_all_errors_come_together_each_with_its_remedy() -> None:
    wrong = Contract(
        limit_ms=-1.0,
        percentile=100.0,
        batch=0,
        concurrency=0,
        threads=0,
        metric="vibes",
        max_drop=Drop(float("nan")),
        confidence=1.0,
        max_bytes=0,
        max_memory_bytes=-5,
        output="",
        ignore_outputs=("",),
    )
    with pytest.raises(ContractError) as caught:
        wrong.checked()
    assert {i.where for i in caught.value.issues} == set(Contract.__struct_fields__)
    assert all(i.remedy for i in caught.value.issues)


def test_a_relative_drop_scales_with_the_original() -> None:
    assert Drop(0.01, DropKind.RELATIVE).absolute(0.8) == pytest.approx(0.008)
    assert Drop(0.01, DropKind.RELATIVE).absolute(-0.8) == pytest.approx(0.008)
    assert Drop(0.01).absolute(0.8) == 0.01


def test_it_survives_the_disk() -> None:
    contract = Contract(limit_ms=5.0, max_drop=Drop(0.01, DropKind.RELATIVE))
    assert msgspec.json.decode(msgspec.json.encode(contract), type=Contract) == contract


def test_one_line_names_every_clause() -> None:
    assert Contract(metric="top1").brief() == (
        "as fast as possible (p99) at batch 1; top1 may drop by 0.01 (95% confidence)"
    )
    full = Contract(5.0, 50.0, 8, 2, 1, "top1", max_bytes=27_000_000, max_memory_bytes=5 * 10**8)
    assert full.brief() == (
        "p50 ≤ 5 ms at batch 8, 2 at once, 1 thread; top1 may drop by 0.01 (95% confidence);"
        " at most 27 MB on disk; at most 500 MB of memory"
    )


def test_a_size_beyond_all_numbers_is_refused_like_any_other() -> None:
    with pytest.raises(ContractError):
        parse_bytes("1e400")


def test_what_no_bundle_can_hold_is_refused_at_the_beginning() -> None:
    most = Contract(batch=4096, concurrency=4096, max_bytes=2**63 - 1)
    assert most.checked() is most
    wrong = Contract(
        batch=4097, concurrency=4097, threads=4097, max_bytes=2**63, max_memory_bytes=10**30
    )
    with pytest.raises(ContractError) as caught:
        wrong.checked()
    issues = {i.where: i for i in caught.value.issues}
    assert set(issues) == {"batch", "concurrency", "threads", "max_bytes", "max_memory_bytes"}
    assert issues["batch"].message == "4097 rows can't be served at once."
    assert issues["batch"].remedy == "Give 1-4096; more rows are several requests."


@pytest.mark.parametrize("value", [1.0, 5.0, 200.0])
@pytest.mark.parametrize("metric", ["top1", "top5", "f1", "agreement", "cosine", "closeness"])
def test_a_drop_of_all_that_a_metric_has_is_a_slip(metric: str, value: float) -> None:
    with pytest.raises(
        ContractError, match=rf"max_drop: {value:g} is {value:g}00 points"
    ) as caught:
        Contract(metric=metric, max_drop=Drop(value)).checked()
    (issue,) = caught.value.issues
    meant = parse_drop(issue.remedy.split("'")[1])
    assert meant.kind is DropKind.RELATIVE
    assert Contract(metric=metric, max_drop=meant).checked()
    assert Contract(metric=metric, max_drop=Drop(0.99)).checked()


def test_ranks_can_turn_round_and_other_metrics_have_no_end() -> None:
    assert Contract(metric="spearman", max_drop=Drop(1.9)).checked()
    with pytest.raises(ContractError, match="can't lose more than 200"):
        Contract(metric="spearman", max_drop=Drop(2.0)).checked()
    for metric in ("mae", "score.py:own", "auto"):
        assert Contract(metric=metric, max_drop=Drop(5.0)).checked()
    with pytest.raises(ContractError, match="1 is 100 points"):
        check_drop("top1", Drop(1.0))
    check_drop("mae", Drop(1.0))

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.core.evidence import Ratio
from whet.report import format as fmt


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (5.0, "5.00 ms"),
        (5.126, "5.13 ms"),
        (0.8124, "812 µs"),
        (0.9996, "1.00 ms"),
        (9.996, "10.0 ms"),
        (99.96, "100 ms"),
        (71.04, "71.0 ms"),
        (999.6, "1.00 s"),
        (1234.0, "1.23 s"),
        (None, fmt.DASH),
        (math.nan, fmt.DASH),
        (math.inf, fmt.DASH),
    ],
)
def test_ms(value: float | None, shown: str) -> None:
    assert fmt.ms(value) == shown


def test_an_interval_has_the_unit_and_decimals_of_its_value() -> None:
    assert fmt.ms_interval(5.91, 6.2949, 6.08) == "5.91 to 6.29"
    assert fmt.ms_interval(9.4, 10.061, 9.72) == "9.40 to 10.06"
    assert fmt.ms_interval(0.811, None, 0.82) == "≥ 811"
    assert fmt.ms_interval(0.0686, 8.132, 0.135) == "68.6 µs to 8.13 ms"
    assert fmt.ms_interval(1.91, 2.2949, 2.08) == "1.91 to 2.29"
    assert fmt.ms_interval(None, 6.0, 5.0) == "≤ 6.00"
    assert fmt.ms_interval(None, None, 5.0) == ""
    assert fmt.ratio_interval(Ratio("x", 5.412, 5.2, 5.63, False)) == "5.20 to 5.63"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0 B"), (512, "512 B"), (25_600_000, "25.6 MB"), (999_600, "1.00 MB"), (None, fmt.DASH)],
)
def test_bytes(value: float | None, shown: str) -> None:
    assert fmt.bytes_text(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (4.2, "4.2 s"),
        (9.97, "10 s"),
        (59.96, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3900, "1 h 05 min"),
    ],
)
def test_duration(seconds: float, shown: str) -> None:
    assert fmt.duration(seconds) == shown


def test_losses_are_in_points_or_in_units_of_the_metric() -> None:
    assert fmt.lost("top1", 0.0031) == "0.31 pt"
    assert fmt.lost("top1", -0.0031) == "\u22120.31 pt"
    assert fmt.lost("top1", 0.0) == "0.00 pt"
    assert fmt.lost("top1", -0.00001) == "\u22120.001 pt"
    assert fmt.lost("spearman", 4e-9) == "4.0e\u22127 pt"
    assert fmt.lost("cosine", 0.0021) == "0.0021"
    assert fmt.lost("mae", 12.345) == "12.35"
    assert fmt.lost("cosine", 0.00012) == "0.00012"
    assert fmt.lost("cosine", 1.6459e-15) == "1.6e\u221215"
    assert fmt.lost("mae", -7.92e-7) == "\u22127.9e\u22127"
    assert fmt.lost("cosine", 0.0) == "0.0000"
    assert fmt.allowed("top1", 0.01) == "1 pt"
    assert fmt.allowed("cosine", 0.01) == "0.01"


def test_other_words() -> None:
    assert fmt.limit_ms(5.0) == "5 ms"
    assert fmt.limit_ms(0.8) == "800 µs"
    assert fmt.big(2.9e12, "OP/s") == "2.90 TOP/s"
    assert fmt.percent(0.9752) == "97.5 %"
    assert fmt.given_percent(0.9995) == "99.95 %"
    assert fmt.plural(1, "query", "queries") == "1 query"
    assert fmt.plural(2000, "sample") == "2,000 samples"
    assert fmt.metric_value("top1", 0.8115) == "81.15 %"
    assert (
        fmt.unbroken("within 5 ms (95 % sure) of 8 msx")
        == "within 5\u00a0ms (95\u00a0% sure) of 8 msx"
    )


@given(st.floats(min_value=1e-9, max_value=1e12))
def test_three_digits_are_within_half_a_percent(value: float) -> None:
    shown = float(fmt.significant(value).replace(",", ""))
    assert shown == pytest.approx(value, rel=5.1e-3)


@given(st.floats(min_value=1e-6, max_value=1e6))
def test_never_an_exponent_and_never_fewer_than_three_digits(value: float) -> None:
    text = fmt.significant(value)
    assert "e" not in text
    assert len(text.replace(".", "").replace(",", "").lstrip("0")) >= 3

from __future__ import annotations

import os
from pathlib import Path

import pytest

from whet.measure.energy import energy_per_query, find_meter


def counter(root: Path, name: str, value: int, wraps_at: int = 1_000_000) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "energy_uj").write_text(f"{value}\n")
    (folder / "max_energy_range_uj").write_text(f"{wraps_at}\n")
    return folder / "energy_uj"


def test_packages_are_added_parts_are_not(tmp_path: Path) -> None:
    first = counter(tmp_path, "intel-rapl:0", 1000)
    second = counter(tmp_path, "intel-rapl:1", 5000)
    part = counter(tmp_path, "intel-rapl:0:0", 7)
    meter, note = find_meter(powercap=tmp_path)
    assert note is None
    assert meter is not None

    def run() -> int:
        first.write_text("3000")
        second.write_text("9000")
        part.write_text("999")
        return 3

    assert energy_per_query(meter, run) == pytest.approx((2000 + 4000) / 1e3 / 3)


def test_a_counter_that_starts_again_still_grows(tmp_path: Path) -> None:
    file = counter(tmp_path, "intel-rapl:0", 999_000)
    meter, _ = find_meter(powercap=tmp_path)
    assert meter is not None
    before = meter.millijoules()
    file.write_text("4000")
    assert meter.millijoules() - before == pytest.approx(5.0)
    file.write_text("6000")
    assert meter.millijoules() - before == pytest.approx(7.0)


def test_no_counters_is_said(tmp_path: Path) -> None:
    meter, note = find_meter(powercap=tmp_path)
    assert meter is None
    assert note is not None
    assert "no energy counters" in note.reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads any counter")
def test_counters_for_root_alone_are_said(tmp_path: Path) -> None:
    counter(tmp_path, "intel-rapl:0", 1).chmod(0)
    _, note = find_meter(powercap=tmp_path)
    assert note is not None
    assert "only be read by root" in note.reason


def test_damaged_counters_are_said(tmp_path: Path) -> None:
    counter(tmp_path, "intel-rapl:0", 1).write_text("nonsense")
    _, note = find_meter(powercap=tmp_path)
    assert note is not None
    assert "can't be read" in note.reason

from __future__ import annotations

import platform
from pathlib import Path

import msgspec
import pytest

from whet.core.evidence import Ceilings, Machine
from whet.errors import StorageError
from whet.measure import ceiling_looks as module
from whet.measure.ceiling_looks import Look, higher, look_again, settled
from whet.measure.machine import allowed_cores, cpu_of, fingerprint

X86 = """processor\t: 0
cpu family\t: 6
model\t\t: 143
model name\t: Some Xeon
flags\t\t: fpu sse4_2 avx2 avx512_vnni amx_int8 hypervisor

processor\t: 1
model name\t: Some Xeon
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm sha1\n"


def test_cpuinfo_is_read_on_x86_and_arm() -> None:
    assert cpu_of(X86) == (
        "Some Xeon (family 6, model 143)",
        ("amx_int8", "avx2", "avx512_vnni", "sse4_2"),
    )
    assert cpu_of(ARM) == ("", ("asimd", "asimddp", "i8mm"))
    assert cpu_of("") == ("", ())


def test_fingerprint_describes_this_machine() -> None:
    here = fingerprint(ceilings=False, cache=None)
    assert here.cpu
    assert here.cores == allowed_cores()
    assert here.versions["python"] == platform.python_version()
    assert "numpy" in here.versions
    assert here.ceilings == Ceilings()
    assert msgspec.json.decode(msgspec.json.encode(here), type=Machine) == here


def test_ceilings_are_kept_and_only_rise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = iter(
        [Ceilings(1e9, None, 4e9, 2e9), Ceilings(2e9), Ceilings(None, None, 1e9), Ceilings(9e9)]
    )
    monkeypatch.setattr(module, "_measure", lambda *_: next(figures))
    unrest = iter(["", "", "", "others were busy"])
    monkeypatch.setattr(module, "unrest", lambda before, after: next(unrest))
    cache = tmp_path / "cache"
    first = fingerprint(ceilings=True, cache=cache)
    assert first.ceilings == Ceilings(1e9, None, 4e9, 2e9)
    assert fingerprint(ceilings=True, cache=cache) == first
    assert look_again(first, "fp32", cache).ceilings == Ceilings(2e9)
    assert fingerprint(ceilings=True, cache=cache).ceilings == Ceilings(2e9, None, 4e9, 2e9)
    look_again(first, "int8", cache)
    assert fingerprint(ceilings=True, cache=cache).ceilings.int8_ops_per_s == 4e9
    # What a busy machine reached it can reach.
    look_again(first, "fp32", cache)
    assert fingerprint(ceilings=True, cache=cache).ceilings.fp32_ops_per_s == 9e9


def test_one_figure_alone_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_measure", lambda *_: Ceilings(1e9))
    look_again(fingerprint(ceilings=False, cache=None), "fp32", tmp_path)
    assert list(tmp_path.iterdir()) == []


def look(peak: float | None, unrest: str = "") -> Look:
    return Look(Ceilings(peak), unrest, 1.0)


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([], False),
        ([look(1e9)], False),
        ([look(1e9), look(1.05e9)], True),
        ([look(1e9), look(1.3e9)], False),
        ([look(1e9), look(1.3e9), look(1.25e9)], True),
        ([look(1e9), look(1.05e9, "busy")], False),
        ([look(None), look(None)], False),
    ],
)
def test_quiet_looks_that_agree_settle_a_ceiling(looks: list[Look], expected: bool) -> None:
    assert settled(looks, "fp32") is expected
    assert not settled(looks, "int8")


def test_ceilings_of_a_busy_machine_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_measure", lambda *_: Ceilings(1e9))
    monkeypatch.setattr(module, "unrest", lambda before, after: "others were busy")
    assert fingerprint(ceilings=True, cache=tmp_path).ceilings == Ceilings(1e9)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_cache_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_measure", lambda *_: Ceilings(1e9))
    monkeypatch.setattr(module, "unrest", lambda before, after: "")
    fingerprint(ceilings=True, cache=tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(b"{")
    assert fingerprint(ceilings=True, cache=tmp_path).ceilings == Ceilings(1e9)
    assert kept.read_bytes() != b"{"


def test_a_cache_that_cant_be_written_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_measure", lambda *_: Ceilings(1e9))
    monkeypatch.setattr(module, "unrest", lambda before, after: "")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="can't be kept"):
        fingerprint(ceilings=True, cache=tmp_path / "file" / "below")


def test_higher_takes_each_figure_by_itself() -> None:
    assert higher(Ceilings(1.0, 5.0), Ceilings(2.0, None, 3.0)) == Ceilings(2.0, 5.0, 3.0)


def test_a_second_look_measures_what_it_is_asked_for() -> None:
    found = look_again(fingerprint(ceilings=False, cache=None), "fp32", None)
    assert found.ceilings.int8_ops_per_s is None
    assert found.ceilings.read_bytes_per_s is None
    if found.ceilings.fp32_ops_per_s is not None:  # a very busy machine may not answer in time
        assert found.ceilings.fp32_ops_per_s > 1e8


@pytest.mark.slow
def test_measured_ceilings_are_plausible() -> None:
    found = fingerprint(ceilings=True, cache=None).ceilings
    assert found.fp32_ops_per_s is not None
    assert 1e9 < found.fp32_ops_per_s < 1e14
    assert found.read_bytes_per_s is not None
    assert 1e8 < found.read_bytes_per_s < 1e13

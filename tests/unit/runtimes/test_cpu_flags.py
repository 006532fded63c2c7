from __future__ import annotations

from pathlib import Path

import pytest

from whet.runtimes.cpu import cpu_digest, cpu_flags

X86 = "processor\t: 0\nflags\t\t: fpu avx2 amx_int8\n\nprocessor\t: 1\nflags\t\t: fpu avx2\n"


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        (X86, {"fpu", "avx2"}),  # only what all cores can do
        ("Features\t: fp asimd bf16\n", {"fp", "asimd", "bf16"}),
        ("processor : 0\n", set()),
    ],
)
def test_reads_the_list(tmp_path: Path, text: str, flags: set[str]) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert cpu_flags(tmp_path / "cpuinfo") == flags


def test_no_list_at_all(tmp_path: Path) -> None:
    assert cpu_flags(tmp_path / "none") == frozenset()
    assert len(cpu_digest(frozenset())) == 16


def test_the_digest_hangs_on_the_flags_alone() -> None:
    assert cpu_digest(frozenset("ab")) == cpu_digest(frozenset("ba"))
    assert cpu_digest(frozenset("ab")) != cpu_digest(frozenset("abc"))
    assert cpu_digest() == cpu_digest(cpu_flags())

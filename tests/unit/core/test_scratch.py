from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from whet.core.scratch import scratch_folder, sweep

_HOLDER = """
import sys
from whet.core.scratch import scratch_folder

with scratch_folder() as folder:
    (folder / "file").write_text("x")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def held(temporary: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"TMPDIR": str(temporary), "PYTHONPATH": ":".join(sys.path)},
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def finish(process: subprocess.Popen[str]) -> None:
    process.communicate()


def test_it_is_gone_at_the_end(temporary: Path) -> None:
    with scratch_folder() as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text("x")
        assert folder.parent == temporary
        assert folder.stat().st_mode & 0o077 == 0
    assert list(temporary.iterdir()) == []


def test_it_is_gone_after_an_error(temporary: Path) -> None:
    with pytest.raises(ValueError, match="why"), scratch_folder():
        raise ValueError("why")
    assert list(temporary.iterdir()) == []


def test_a_folder_in_use_is_not_swept(temporary: Path) -> None:
    process, folder = held(temporary)
    with scratch_folder() as own:
        assert sweep() == 0
        assert own.is_dir()
    assert (folder / "file").is_file()
    finish(process)
    assert not folder.exists()


def test_what_a_killed_process_left_is_swept(temporary: Path) -> None:
    process, folder = held(temporary)
    process.send_signal(signal.SIGKILL)
    finish(process)
    assert folder.is_dir()
    assert sweep() == 1
    assert list(temporary.iterdir()) == []


def test_nothing_else_is_touched(temporary: Path) -> None:
    (temporary / "whet-demo").mkdir()
    (temporary / "outside").mkdir()
    (temporary / "whet-scratch-file").write_text("x")
    (temporary / "whet-scratch-link").symlink_to(temporary / "outside")
    before = sorted(p.name for p in temporary.iterdir())
    assert sweep() == 0
    assert sorted(p.name for p in temporary.iterdir()) == before

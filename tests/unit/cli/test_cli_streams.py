"""Standard streams that are closed, full or read by nobody: the exit code stays what it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from whet.cli.exits import Exit

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
_WHET = """
import sys
from fake_api import FakeApi
from whet.cli.main import main
from whet.cli.ports import the_api
sys.exit(main(sys.argv[1:], api=FakeApi if sys.argv[1] != "inspect" else the_api))
"""
_WRONG = ("inspect", "/nonexist", "--json")
_RIGHT = ("optimize", "net.py:build", "--samples", "s.npz")
full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


def shell(how: str, words: tuple[str, ...]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command under a redirection of the shell."""
    path = os.pathsep.join([str(FIXTURES), *sys.path])
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$@" {how}', "sh", sys.executable, "-c", _WHET, *words],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def unread(words: tuple[str, ...], stream: str) -> tuple[int, str]:
    """Exit code, and what the other stream got, where the reader of one has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    others = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writer}
    path = os.pathsep.join([str(FIXTURES), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", _WHET, *words],
        env={**os.environ, "PYTHONPATH": path},
        text=True,
        **others,  # type: ignore[call-overload]
    )
    os.close(writer)
    out, err = process.communicate()
    return process.returncode, out or err or ""


def test_an_error_that_nobody_reads_keeps_its_code() -> None:
    code, err = unread(_WRONG, "stdout")
    assert code == Exit.BAD_INPUT, err
    assert "nonexist" in err
    assert "Traceback" not in err
    assert "Broken pipe" not in err
    code, out = unread(_WRONG, "stderr")
    assert code == Exit.BAD_INPUT
    assert json.loads(out)["exit_code"] == Exit.BAD_INPUT


@full
def test_an_error_that_finds_no_room_keeps_its_code() -> None:
    code, _, err = shell(">/dev/full", _WRONG)
    assert code == Exit.BAD_INPUT, err
    assert "nonexist" in err
    assert "No space left" not in err
    code, out, _ = shell("2>/dev/full", _WRONG)
    assert code == Exit.BAD_INPUT
    assert json.loads(out)["exit_code"] == Exit.BAD_INPUT


def test_an_error_on_a_closed_stream_keeps_its_code() -> None:
    code, _, err = shell(">&-", _WRONG)
    assert code == Exit.BAD_INPUT, err
    assert "nonexist" in err
    assert "Traceback" not in err
    code, out, _ = shell("2>&-", _WRONG)
    assert code == Exit.BAD_INPUT
    assert json.loads(out)["exit_code"] == Exit.BAD_INPUT
    assert shell("<&- >&- 2>&-", _WRONG) == (Exit.BAD_INPUT, "", "")


@pytest.mark.parametrize("json_too", [(), ("--json",)])
def test_an_answer_that_nobody_reads_or_wants_is_none_the_worse(json_too: tuple[str, ...]) -> None:
    code, err = unread((*_RIGHT, *json_too), "stdout")
    assert code == Exit.KEPT, err
    assert "Traceback" not in err
    code, _, err = shell(">&-", (*_RIGHT, *json_too))
    assert code == Exit.KEPT, err
    code, out, _ = shell("2>&-", (*_RIGHT, *json_too))
    assert code == Exit.KEPT
    assert ("Contract kept" in out) != bool(json_too)


@full
@pytest.mark.parametrize("words", [_RIGHT, (*_RIGHT, "--json"), ("--help",)])
def test_an_answer_that_finds_no_room_is_one_sentence(words: tuple[str, ...]) -> None:
    code, _, err = shell(">/dev/full", words)
    assert code == Exit.STORAGE, err
    assert "can't be written to stdout: No space left on device." in err
    assert "Traceback" not in err


@full
def test_progress_that_finds_no_room_ends_no_run() -> None:
    code, out, _ = shell("2>/dev/full", _RIGHT)
    assert code == Exit.KEPT
    assert "Contract kept" in out


def test_help_that_nobody_reads_is_quiet() -> None:
    assert unread(("--help",), "stdout") == (Exit.KEPT, "")

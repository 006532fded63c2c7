"""Stdout holds what the command answers, whatever the user's own code prints while it runs."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_api import FakeApi

from whet.cli.console import Console
from whet.cli.exits import Exit
from whet.cli.main import main

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
_NOISY = """
import os, sys
from fake_api import FakeApi
from whet.cli.main import main

def api():
    print("from python")
    os.system("echo from a program")
    return FakeApi()

code = main(sys.argv[1:], api=api)
print("whet is done")
sys.exit(code)
"""


def noisy(*words: str) -> tuple[int, str, str]:
    path = os.pathsep.join([str(FIXTURES), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", _NOISY, *words],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_document_stands_alone_on_stdout() -> None:
    code, out, err = noisy("optimize", "net.py:build", "--samples", "s.npz", "--json")
    assert code == 0, err
    document, rest = out.split("\n", 1)
    assert json.loads(document)["exit_code"] == 0
    assert rest == "whet is done\n", "afterwards stdout is everybody's again"
    assert "from python\n" in err
    assert "from a program\n" in err


def test_tables_stand_alone_on_stdout_too() -> None:
    _, out, err = noisy("optimize", "net.py:build", "--samples", "s.npz")
    assert "Contract kept" in out
    assert "from" not in {line.split(" ")[0] for line in out.splitlines()}
    assert "from python\n" in err


def test_a_console_of_streams_is_left_to_itself_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    def api() -> FakeApi:
        sys.stdout.write("from python\n")
        return FakeApi()

    out, err = io.StringIO(), io.StringIO()
    words = ("optimize", "net.py:build", "--samples", "s.npz", "--json")
    code = main(words, console=Console(out=out, err=err, environment={}), api=api)
    assert code == 0
    assert json.loads(out.getvalue())["exit_code"] == 0
    assert "from python\n" in err.getvalue()
    assert capsys.readouterr() == ("", "")


def test_an_exit_that_nobody_expected_is_no_success(tmp_path: Path) -> None:
    def api() -> FakeApi:
        raise SystemExit

    out, err = io.StringIO(), io.StringIO()
    words = ("inspect", "b", "--json", "--debug")
    code = main(words, console=Console(out=out, err=err, environment={}), api=api)
    assert code == Exit.INTERNAL
    assert json.loads(out.getvalue())["error"]["kind"] == "SystemExit"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_the_document_says_the_same_in_any_encoding(encoding: str) -> None:
    raw = io.BytesIO()
    said = {"sentence": "≤ 3 ms × 2, 模型 🚀", "ms": 0.1}
    console = Console(out=io.TextIOWrapper(raw, encoding=encoding), json=True)
    console.document(json.dumps(said, ensure_ascii=False).encode())
    assert json.loads(raw.getvalue().decode(encoding)) == said

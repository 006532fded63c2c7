"""`whet --help` is complete, quick, and loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from whet.cli.exits import TABLE
from whet.cli.main import main

VERBS = ("demo", "optimize", "inspect", "verify", "bench", "serve", "report", "recipe", "apply")
HEAVY = {
    "torch",
    "onnx",
    "onnxruntime",
    "openvino",
    "nncf",
    "transformers",
    "tokenizers",
    "scipy",
    "PIL",
    "numpy",
}


def test_help_names_verbs_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for verb in VERBS:
        assert f" {verb} " in text
    for code, words in TABLE.items():
        assert f"{int(code)} {words}" in text


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    assert "usage: whet " + verb in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from whet import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"whet {__version__}\n"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from whet.cli.main import main; main(['optimize', '--help']);"
        "print('LOADED', *sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rpartition("LOADED ")[2].split())
    assert not HEAVY & loaded


def test_importing_the_command_line_takes_no_longer_than_importing_numpy_twice() -> None:
    """Both in one fresh process and in processor time, best of five: machines differ and are busy."""
    code = (
        "from time import process_time as now; t = now(); import numpy; n = now() - t; t = now();"
        "from whet.cli.main import parser; parser(); print((now() - t) / n)"
    )
    shares = [
        float(
            subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True
            ).stdout
        )
        for _ in range(5)
    ]
    assert min(shares) < 2, shares


def test_python_dash_m() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "whet", "frob"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "'frob' is no verb of whet" in done.stderr

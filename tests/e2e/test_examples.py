"""The examples run as they stand, each in a process of its own and in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from running_server import Running

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# `load_and_run.py` and `ask_a_server.py` need a bundle: they run on the one that another example wrote.
ARGUMENTS: dict[str, list[str]] = {
    "by_hand.py": [],
    "digits.py": [],
    "onnx_file.py": [],
    "text_encoder.py": [],
}


def run(name: str, *arguments: str, cwd: Path) -> str:
    """What an example prints; fails with its error output."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), "--quick", *arguments],
        cwd=cwd,
        env={**os.environ, "WHET_CACHE": str(cwd / "cache")},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, f"{name}: {done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout


def test_every_example_is_run_here() -> None:
    on_a_bundle = {"load_and_run.py", "ask_a_server.py"}
    assert {f.name for f in EXAMPLES.glob("*.py")} == {*ARGUMENTS, *on_a_bundle}


def test_digits_from_python_and_the_bundle_again(tmp_path: Path) -> None:
    printed = run("digits.py", cwd=tmp_path)
    assert "read:" in printed
    # The bundle takes what the module took, in a process without torch.
    assert "takes input: float32" in run("load_and_run.py", "digits.whet", cwd=tmp_path)
    with Running(f"digits={tmp_path / 'digits.whet'}", "--port", "0") as server:
        assert " from " in run("ask_a_server.py", server.where, cwd=tmp_path)


def test_passes_by_hand_and_the_same_bytes_again(tmp_path: Path) -> None:
    printed = run("by_hand.py", cwd=tmp_path)
    assert "the same bytes: True" in printed
    assert "- narrow:\n    share: 0.4\n" in printed


def test_a_folder_that_is_no_bundle_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "empty.whet").mkdir()
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "load_and_run.py"), "empty.whet"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_an_onnx_file_without_labels(tmp_path: Path) -> None:
    printed = run("onnx_file.py", cwd=tmp_path)
    assert "chosen" in printed
    assert "(7, 12)" in printed


@pytest.mark.slow
@pytest.mark.data
def test_an_onnx_file_of_the_real_data(tmp_path: Path, data_dir: Path) -> None:
    model = data_dir / "weights" / "kws_dscnn.onnx"
    assert "(7, 12)" in run("onnx_file.py", "--model", str(model), cwd=tmp_path)


@pytest.mark.slow
def test_a_text_encoder_takes_text(tmp_path: Path) -> None:
    assert "(2, 384)" in run("text_encoder.py", cwd=tmp_path)

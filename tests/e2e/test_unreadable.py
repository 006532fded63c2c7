"""What may not be read or looked for is wrong input with a sentence, at every flag that takes a path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from whet.cli.main import main

LONG = "a" * 300
NOBODY = 65534
FINE = {"network": "net.py:build", "--samples": "x.npz", "--weights": "w.npz"}
PLACES = {
    "network": "{}.onnx",
    "network-py": "{}.py:build",
    "--samples": "{}.npz",
    "--labels": "{}.npy",
    "--weights": "{}.npz",
    "--metric": "{}.py:score",
    "--out": "{}.whet",
}
CODES = {"--out": 6}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WHET_CACHE", str(tmp_path / "cache"))
    prepare()
    return tmp_path


def prepare() -> None:
    Path("net.py").write_text("import torch\ndef build(): return torch.nn.Linear(4, 3)\n")
    np.savez("x.npz", input=np.zeros((200, 4), np.float32))
    np.savez("w.npz", weight=np.zeros((3, 4), np.float32), bias=np.zeros(3, np.float32))


def line(flag: str, value: str) -> list[str]:
    given = {**FINE, flag.removesuffix("-py"): value}
    if flag == "network":
        del given["--weights"]
    network = given.pop("network")
    flags = [part for pair in given.items() for part in pair]
    return ["optimize", network, *flags, "--budget", "1s", "--quiet"]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("flag", PLACES)
def test_a_name_that_is_too_long(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(line(flag, PLACES[flag].format(LONG)))
    said = capsys.readouterr().err
    assert code == CODES.get(flag, 3), said
    assert "too long" in said
    assert "Several things" not in said


@pytest.mark.usefixtures("here")
def test_a_bundle_whose_unfinished_form_has_too_long_a_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(line("--out", "a" * 245 + ".whet")) == 6
    assert "too long" in capsys.readouterr().err


def as_nobody(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "WHET_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that another user may use, with parts that he may not."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can be somebody else")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        monkeypatch.chdir(folder)
        prepare()
        folder.chmod(0o777)
        (folder / "locked").mkdir(mode=0o700)
        if as_nobody(sys.executable, "-c", "import whet.cli.main", folder=folder).returncode:
            pytest.skip("other users can't start Python here")
        yield folder


@pytest.mark.parametrize(
    ("flag", "where"),
    [
        *((flag, "locked/file") for flag in PLACES),
        *((flag, "unread") for flag in PLACES if flag != "--out"),
    ],
)
def test_what_this_user_may_not_read(flag: str, where: str, shared: Path) -> None:
    for suffix in (".onnx", ".py", ".npz", ".npy"):
        (shared / f"{where}{suffix}").write_bytes(b"x")
        (shared / f"{where}{suffix}").chmod(0)
    ran = as_nobody(
        *(sys.executable, "-m", "whet", *line(flag, PLACES[flag].format(where))), folder=shared
    )
    assert ran.returncode == CODES.get(flag, 3), ran.stderr
    assert "Permission denied" in ran.stderr
    assert "Several things" not in ran.stderr

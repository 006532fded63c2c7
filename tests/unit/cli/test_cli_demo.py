from __future__ import annotations

import argparse
import io
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from fake_api import FakeApi

from whet.cli import demo
from whet.cli.console import Console
from whet.cli.main import main
from whet.core.contract import Contract, Drop


def train(where: Path) -> str:
    """Pictures whose first pixel is their label, which the fake bundle answers."""
    labels = np.arange(20) % 10
    pictures = np.zeros((20, 1, 8, 8), np.float32)
    pictures[:, 0, 0, 0] = labels
    pictures[1, 0, 0, 0] = 7
    np.savez(where / "samples.npz", input=pictures, labels=labels)
    return "top-1 99.0% on 20 held-out digits"


def run(where: Path, api: FakeApi, **changes: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    given = {"out": str(where), "budget": "60s", "seed": 3, "quiet": False, **changes}
    args = argparse.Namespace(**given)
    console = Console(out=out, err=err, environment={})
    code = demo.run(args, console, lambda: api, train=train)
    return code, out.getvalue(), err.getvalue()


def test_the_demo_does_what_a_user_would(tmp_path: Path) -> None:
    api = FakeApi()
    where = tmp_path / "demo"
    code, out, err = run(where, api)
    assert code == 0
    (verb, args, options), (loaded, bundle, _) = api.calls
    assert (verb, loaded) == ("optimize", "load")
    assert args[0] == f"{where / 'digits_net.py'}:build"
    assert args[2] == Contract(metric="top1", max_drop=Drop(0.01))
    assert options["weights"] == where / "digits.safetensors"
    assert options["budget_s"] == 60.0
    assert options["command"].startswith("whet optimize ")
    assert "--max-drop 1pt" in options["command"]
    assert "--budget 60s" in options["command"]
    assert bundle[0] == where / "digits.whet"
    assert (where / "digits_net.py").read_text().count("def build") == 1
    assert "top-1 99.0%" in err
    assert "Contract kept" in out
    assert out.count("right") == 7
    assert out.count("wrong") == 1


def test_json_has_one_document(tmp_path: Path) -> None:
    out, err = io.StringIO(), io.StringIO()
    args = argparse.Namespace(out=str(tmp_path), budget="60s", seed=0, quiet=True)
    demo.run(args, Console(out=out, err=err, environment={}, json=True), FakeApi, train=train)
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().startswith("{")


def test_a_folder_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    out, err = io.StringIO(), io.StringIO()
    code = main(
        ["demo", "--out", str(tmp_path / "file" / "demo")],
        console=Console(out=out, err=err, environment={}),
        api=FakeApi,
    )
    assert code == 6
    assert "can't be written" in err.getvalue()


def test_its_files_are_shipped() -> None:
    for name in ("digits_net.py", "train_digits.py"):
        assert files("whet.cli").joinpath("demo_files", name).is_file()


@pytest.mark.slow
def test_the_network_learns_the_digits(tmp_path: Path) -> None:
    demo._copy_files(tmp_path)
    said = demo._train(tmp_path)
    assert float(said.split()[1].rstrip("%")) >= 97.0
    with np.load(tmp_path / "samples.npz") as held:
        assert held["input"].shape == (1000, 1, 16, 16)
        assert held["labels"].shape == (1000,)

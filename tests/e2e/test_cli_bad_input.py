"""Typical mistakes at the command line: one clear sentence, a remedy, the documented exit code."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stripes import Job

from whet.cli.main import main
from whet.search.ledger import Ledger

BAD_INPUT, BUNDLE_REFUSED, STORAGE = 3, 5, 6

Change = Callable[[Path, Job], list[str]]


def whet(*args: str) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(list(args))
        except SystemExit as ended:
            code = int(ended.code or 0)
    return code, out.getvalue() + err.getvalue()


def optimise(job: Job, **changes: str) -> list[str]:
    given = {
        "network": job.network,
        "--weights": str(job.weights),
        "--samples": str(job.samples),
        "--budget": "60s",
        **changes,
    }
    network = given.pop("network")
    flags = [part for name, value in given.items() if value for part in (name, value)]
    return ["optimize", network, *flags]


def _saved(place: Path, name: str, **arrays: np.ndarray) -> str:
    np.savez(place / name, **arrays)  # type: ignore[arg-type]
    return str(place / name)


def _data(job: Job) -> tuple[np.ndarray, np.ndarray]:
    data = np.load(job.samples)
    return data["images"], data["labels"]


def _missing_network(place: Path, job: Job) -> list[str]:
    return optimise(job, network=str(place / "nothing.py") + ":build")


def _missing_samples(place: Path, job: Job) -> list[str]:
    return optimise(job, **{"--samples": str(place / "nothing.npz")})


def _wrong_shape(place: Path, job: Job) -> list[str]:
    file = _saved(place, "flat.npz", images=np.zeros((50, 7), np.float32))
    return optimise(job, **{"--samples": file, "--metric": "cosine"})


def _nan(place: Path, job: Job) -> list[str]:
    images, labels = _data(job)
    images[7] = np.nan
    return optimise(job, **{"--samples": _saved(place, "nan.npz", images=images, labels=labels)})


def _labels_out_of_range(place: Path, job: Job) -> list[str]:
    images, labels = _data(job)
    file = _saved(place, "labels.npz", images=images, labels=labels + 9)
    return optimise(job, **{"--samples": file, "--metric": "top1"})


def _no_labels(place: Path, job: Job) -> list[str]:
    images, _ = _data(job)
    file = _saved(place, "bare.npz", images=images)
    return optimise(job, **{"--samples": file, "--metric": "top1"})


def _bad_contract(place: Path, job: Job) -> list[str]:
    return optimise(job, **{"--p99": "soon", "--max-drop": "lots"})


def _unexportable(place: Path, job: Job) -> list[str]:
    (place / "odd.py").write_text(
        "import torch\n"
        "class Odd(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return x * 2 if float(x.sum()) > 0 else x.reshape(-1)\n"
        "def build():\n"
        "    return Odd()\n"
    )
    return optimise(job, **{"network": f"{place / 'odd.py'}:build", "--weights": ""})


def _unknown_runtime(place: Path, job: Job) -> list[str]:
    return optimise(job, **{"--runtimes": "warp"})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_missing_network, "nothing.py"),
        (_missing_samples, "nothing.npz"),
        (_wrong_shape, "conv2d"),
        (_nan, "NaN"),
        (_labels_out_of_range, "out of range"),
        (_no_labels, "needs labels"),
        (_bad_contract, "soon"),
        (_unexportable, "export"),
        (_unknown_runtime, "warp"),
    ],
)
def test_one_clear_sentence_and_exit_3(
    make: Change, words: str, tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHET_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    code, said = whet(*make(tmp_path, job))
    assert code == BAD_INPUT, said
    assert words in said
    assert "Traceback" not in said
    assert not list(tmp_path.glob("*.whet"))


def test_two_searches_on_one_ledger(
    tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHET_CACHE", str(tmp_path / "cache"))
    with Ledger.open(tmp_path / "ledger.sqlite", "somebody else"):
        code, said = whet(*optimise(job, **{"--ledger": str(tmp_path / "ledger.sqlite")}))
    assert code == STORAGE, said
    assert "ledger" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("verb", ["verify", "inspect", "bench", "report"])
def test_what_is_no_bundle_is_refused(verb: str, tmp_path: Path) -> None:
    (tmp_path / "thing").mkdir()
    code, said = whet(verb, str(tmp_path / "thing"))
    assert code == BUNDLE_REFUSED, said
    assert "Traceback" not in said

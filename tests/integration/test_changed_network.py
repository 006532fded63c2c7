"""A network that was trained again between two equal commands is the one that is packed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import whet
from whet.core.contract import Contract, Drop
from whet.search.ledger.reuse import REUSED

torch = pytest.importorskip("torch")

_FACTORY = """
from pathlib import Path
import torch
from torch import nn

def build():
    made = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    made.load_state_dict(torch.load(Path(__file__).with_name("w.pth")))
    return made
"""


def train(file: Path, seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    made = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    torch.save(made.state_dict(), file)
    return made.eval()


def test_the_bundle_is_of_the_network_that_is_on_disk_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHET_CACHE", str(tmp_path / "cache"))
    x = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    (tmp_path / "f.py").write_text(_FACTORY)

    def optimised() -> tuple[np.ndarray, bool]:
        out = tmp_path / "out.whet"
        found = whet.optimize(
            f"{tmp_path / 'f.py'}:build",
            str(tmp_path / "x.npz"),
            Contract(metric="agreement", max_drop=Drop(0.05)),
            out=out,
            runtimes=("onnxruntime",),
            budget_s=15.0,
        )
        with whet.load(out) as bundle:
            answers = np.concatenate(
                [next(iter(bundle.run({"x": x[i : i + 1]}).values())) for i in range(50)]
            )
        reused = any(n.where == REUSED for t in found.evidence.trials for n in t.notes)
        return answers, reused

    seen = []
    for seed in (1, 2):
        network = train(tmp_path / "w.pth", seed)
        with torch.no_grad():
            want = network(torch.from_numpy(x[:50])).numpy()
        have, reused = optimised()
        assert not reused
        assert np.abs(have - want).max() < 0.1 * np.abs(want).max()
        seen.append(want)
    assert np.abs(seen[0] - seen[1]).max() > 0.5 * np.abs(seen[0]).max()

"""Where only what runs a bundle is installed, a missing package is never blamed on the user."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

# Blocks packages as if they weren't there, for `find_spec` and for `import`.
_RUN = """
import sys
blocked = set(sys.argv[1].split(","))
class Blocker:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
for name in blocked:
    sys.modules[name] = None
sys.meta_path.insert(0, Blocker)
from whet.cli.main import main
sys.exit(main(sys.argv[2:]))
"""
_EXTRA = "torch,onnx,onnxscript,onnxslim,nncf,optuna,scipy,safetensors,transformers,sklearn"


def whet(folder: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", _RUN, _EXTRA, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("network", ["net.py:build", "net.onnx", "net.pt2", "net"])
def test_optimize_names_the_extra(tmp_path: Path, network: str) -> None:
    (tmp_path / "net.py").write_text("import torch\n\ndef build(): return torch.nn.Linear(3, 2)\n")
    (tmp_path / "metric.py").write_text("import scipy\n\ndef f(outputs, labels, ref): return 1.0\n")
    (tmp_path / "net.onnx").write_bytes(b"")
    (tmp_path / "net.pt2").write_bytes(b"")
    (tmp_path / "net").mkdir()
    np.savez(tmp_path / "s.npz", x=np.zeros((9, 3), np.float32))
    code, said = whet(tmp_path, "optimize", network, "--data", "s.npz", "--metric", "metric.py:f")
    assert code == 4, said
    assert "pip install 'whet[optimize]'" in said
    assert "No module named" not in said
    assert "metric.py" not in said


@pytest.mark.parametrize("step", ["narrow: {share: 0.5}", "cast"])
def test_apply_names_the_extra(tmp_path: Path, step: str) -> None:
    (tmp_path / "r.yaml").write_text(f"kind: whet-recipe\nversion: 1\nsteps:\n- {step}\n")
    code, said = whet(tmp_path, "apply", "r.yaml", "net.onnx", "--data", "s.npz")
    assert code == 4, said
    assert "pip install 'whet[optimize]'" in said
    assert "No module named" not in said


def test_the_demo_names_its_own(tmp_path: Path) -> None:
    code, said = whet(tmp_path, "demo")
    assert code == 4, said
    assert "torch, sklearn, safetensors, onnx, which are not installed" in said
    assert "pip install 'whet[demo]'" in said

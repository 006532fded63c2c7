"""Passes by hand, from Python and from a file: the same bytes each time, and sound answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from stripes import Job, stripes, train

import whet
from whet.errors import StorageError
from whet.search.applied import Applied

ort = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")

NETWORK = """
import torch
from torch import nn


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.part = nn.Sequential(
            nn.Conv2d(16, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 16, 3, padding=1)
        )
        self.head = nn.Linear(16, 4)

    def forward(self, images):
        y = torch.relu(self.stem(images))
        return self.head(torch.relu(y + self.part(y)).mean((2, 3)))


def build():
    return Residual()
"""

SURGERY = whet.Pipeline([whet.Narrow(0.5), whet.Repair(), whet.QuantizeNncf(subset_size=64)])


def applied(job: Job, out: Path, *passes: object, **options: object) -> Applied:
    given = whet.Pipeline(passes) if passes else SURGERY  # type: ignore[arg-type]
    return whet.apply(given, job.network, job.samples, weights=job.weights, out=out, **options)  # type: ignore[arg-type]


def answers(graph: Path, images: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})[0]


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A network whose one block is wider inside than four kinds of stripes need."""
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("residual")
    (folder / "net.py").write_text(NETWORK)
    scope: dict[str, object] = {}
    exec(compile(NETWORK, "net.py", "exec"), scope)
    images, labels = stripes(np.random.default_rng(0), 1000)
    torch.manual_seed(0)
    network = scope["build"]()  # type: ignore[operator]
    train(network, images[:400], labels[:400])
    save_file(network.state_dict(), folder / "net.safetensors")
    np.savez(folder / "samples.npz", images=images[400:], labels=labels[400:])
    return Job(
        f"{folder / 'net.py'}:build", folder / "net.safetensors", folder / "samples.npz", 600
    )


@pytest.fixture(scope="module")
def made(job: Job, caches: Path, tmp_path_factory: pytest.TempPathFactory) -> Applied:
    return applied(job, tmp_path_factory.mktemp("by-hand") / "first", threads=1)


@pytest.fixture(scope="module")
def plain(job: Job, caches: Path, tmp_path_factory: pytest.TempPathFactory) -> Applied:
    """A pass that finds nothing to do."""
    return applied(job, tmp_path_factory.mktemp("plain") / "out", whet.Tidy())


def test_a_network_becomes_narrower_and_int8_and_still_answers(
    made: Applied, plain: Applied
) -> None:
    assert [s.name for s in made.recipe.steps] == ["narrow", "repair", "to-graph", "quantize-nncf"]
    assert made.changed
    assert not made.notes
    # Of the 64 channels inside the block 32 stay; int8 has a scale and a zero a tensor besides.
    outside, each = 16 * 9 + 16 + 16 * 4 + 4 + 16, 2 * 16 * 9 + 1
    assert made.before.parameters == outside + 64 * each
    assert outside + 32 * each <= made.after.parameters < outside + 32 * each + 250
    assert made.before.macs == 144 * (16 * 9 + 64 * 2 * 16 * 9) + 64
    assert made.after.macs == 144 * (16 * 9 + 32 * 2 * 16 * 9) + 64
    assert made.after.size_bytes < made.before.size_bytes / 3
    images, labels = stripes(np.random.default_rng(5), 400)
    own = (answers(made.graph, images).argmax(1) == labels).mean()
    whole = (answers(plain.graph, images).argmax(1) == labels).mean()
    assert whole > 0.9
    assert own > whole - 0.05


def test_how_far_it_is_off_is_what_a_look_at_those_samples_shows(
    made: Applied, plain: Applied, job: Job
) -> None:
    """Over all samples, the largest difference is no smaller than over those that were asked."""
    with np.load(job.samples) as data:
        images = data["images"]
    apart = np.abs(answers(made.graph, images) - answers(plain.graph, images))
    assert np.median(apart) < made.max_deviation < 1.05 * apart.max()
    assert made.rows < len(images)
    assert plain.max_deviation < 1e-4
    assert not plain.changed


def test_the_file_makes_the_same_graph_in_another_process(
    made: Applied, job: Job, tmp_path: Path
) -> None:
    """With nothing kept of the first time, and another order of Python's sets."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "whet", "apply", str(made.graph.parent / "recipe.yaml")),
            *(job.network, "--weights", str(job.weights), "--data", str(job.samples)),
            *("--out", str(tmp_path / "again"), "--quiet"),
        ],
        env={**os.environ, "WHET_CACHE": str(tmp_path / "cache"), "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "again") == files(made.graph.parent)
    assert "before" in done.stdout


def test_another_seed_makes_another_graph(made: Applied, job: Job, tmp_path: Path) -> None:
    other = applied(job, tmp_path / "other", threads=1, seed=1)
    assert other.recipe.seed == 1
    assert other.graph.read_bytes() != made.graph.read_bytes()


def test_gradients_and_openvino_are_the_same_twice(job: Job, caches: Path, tmp_path: Path) -> None:
    first = applied(
        *(job, tmp_path / "a", whet.Narrow(0.5), whet.Repair(steps=3)),
        *(whet.ConvertIr(), whet.QuantizeNncfIr(subset_size=32)),
    )
    recipe = first.graph.parent / "recipe.yaml"
    whet.apply(recipe, job.network, job.samples, weights=job.weights, out=tmp_path / "b")
    assert set(files(tmp_path / "a")) == {"model.xml", "model.bin", "recipe.yaml"}
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_folder_of_others_is_left_alone(job: Job, caches: Path, tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(StorageError, match="diary"):
        applied(job, tmp_path)

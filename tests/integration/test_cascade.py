"""A weak quick engine in front of the original: certified, packed, loaded and timed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stripes import stripes

import whet
from whet.bundle.read import read_bundle
from whet.core.contract import Contract, Drop
from whet.core.evidence import Evidence, Feasibility, Verdict
from whet.core.recipe import Recipe, Step
from whet.core.settings import Settings
from whet.core.standing import Standing
from whet.optimize.network.structure.blocks import blocks_of
from whet.optimize.network.structure.layers import with_layers
from whet.search import run
from whet.search.ladder.climb import Climbed

torch = pytest.importorskip("torch")


class Residual(torch.nn.Module):
    """Heavy blocks that refine what a light stem says."""

    def __init__(self) -> None:
        super().__init__()
        nn = torch.nn
        self.stem = nn.Conv2d(1, 32, 5, padding=2)
        self.parts = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(32, 64, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(64, 32, 3, padding=1),
            )
            for _ in range(3)
        )
        self.head = nn.Linear(32, 4)

    def forward(self, x: torch.Tensor, whole: bool = True) -> torch.Tensor:
        y = torch.relu(self.stem(x))
        for part in self.parts if whole else ():
            y = torch.relu(y + part(y))
        return self.head(y.mean((2, 3)))


def noisy(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Stripes, a third of which hardly show."""
    rng = np.random.default_rng(seed)
    images, labels = stripes(rng, count)
    hard = rng.random(count) < 1 / 3
    images[hard] += rng.normal(0, 1.6, images[hard].shape).astype(np.float32)
    return images, labels


def trained() -> torch.nn.Module:
    """Both with its blocks and without them, so that the stem alone is right where it is easy."""
    torch.manual_seed(0)
    network = Residual()
    images, labels = (torch.from_numpy(a) for a in noisy(0, 600))
    optimiser = torch.optim.Adam(network.parameters(), 0.003)
    for step in range(50):
        rows = slice(100 * (step % 6), 100 * (step % 6) + 100)
        optimiser.zero_grad()
        for whole in (True, False):
            answers = network(images[rows], whole)
            torch.nn.functional.cross_entropy(answers, labels[rows]).backward()
        optimiser.step()
    return network.eval()


def two_trials(setup: Any, trials: Any) -> Climbed:
    """The original on one runtime, and the same without its blocks."""
    settings = Settings(threads=1, fixed={setup.graph.signature.batch_symbol: 1})
    original = trials.attempt(Recipe((), "onnxruntime", settings), 1, judge=False, must=True)
    module = with_layers(torch.export.load(setup.program.path))
    heavy = [block.name for block in blocks_of(module).blocks if "parts" in block.name]
    short = (Step("drop", {"blocks": heavy, "bridge": False}), Step("to-graph"))
    weak = trials.attempt(Recipe(short, "onnxruntime", settings), 3, must=True)
    trials.judge(weak)
    return Climbed(original, Feasibility(None, "Not asked."), None, 0)


@pytest.fixture(scope="module")
def found(caches: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Evidence, Path]:
    patch = pytest.MonkeyPatch()
    patch.setattr(run, "climb", two_trials)
    out = tmp_path_factory.mktemp("cascade") / "out.whet"
    images, labels = noisy(1, 1800)
    try:
        outcome = whet.optimize(
            trained(),
            {"x": images},
            Contract(metric="top1", max_drop=Drop(0.05), threads=1),
            labels=labels,
            runtimes=("onnxruntime",),
            budget_s=150.0,
            out=out,
        )
    finally:
        patch.undo()
    return outcome.evidence, out


def test_it_is_certified_and_quicker_in_the_mean(found: tuple[Evidence, Path]) -> None:
    evidence, _ = found
    cascade = evidence.cascade
    assert cascade is not None, evidence.notes
    assert cascade.certify is not None, cascade.lost
    assert cascade.certify.verdict is Verdict.PASSED
    assert cascade.lost == ""
    assert cascade.means is not None
    assert cascade.means.gain_low > 1
    assert cascade.means.cascade_ms < cascade.means.original_ms
    assert sum(s.exit_share for s in cascade.stages) == pytest.approx(1)
    assert 0.2 < cascade.stages[0].exit_share < 1
    slow = next(t for t in evidence.trials if t.id == cascade.stages[-1].trial)
    assert cascade.tail is not None
    assert slow.latency is not None
    last = slow.latency.at(cascade.tail.q)
    assert last is not None
    assert cascade.tail.ms > last.value_ms


def test_the_default_is_what_the_percentile_chose(found: tuple[Evidence, Path]) -> None:
    evidence, out = found
    manifest = read_bundle(out).manifest
    assert manifest.default in {v.name for v in manifest.variants}
    assert [c.name for c in manifest.cascades] == ["cascade"]
    weak = manifest.variant(manifest.cascades[0].stages[0].variant)
    assert weak is not None
    assert weak.quality is not None
    assert weak.quality.verdict is not Verdict.PASSED
    assert "Packed as" in (out / "report.html").read_text("utf-8")
    assert evidence.chosen == evidence.baseline


def test_the_bundle_answers_as_it_was_certified(found: tuple[Evidence, Path]) -> None:
    evidence, out = found
    images, labels = noisy(7, 400)
    right = {}
    for name in ("cascade", None):
        with whet.load(out, name) as bundle:
            answers = next(iter(bundle.run({"x": images}).values()))
            left = bundle.left
        right[name] = float((answers.argmax(1) == labels).mean())
    assert right[None] - right["cascade"] <= evidence.contract.max_drop.value + 0.02
    assert left == ()
    checks = whet.verify(out, quick=True).checks
    assert all(check.standing is Standing.HOLDS for check in checks), checks
    assert checks[-1].variant == "cascade"

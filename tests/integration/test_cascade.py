"""An end of the network in front of the original: tried, certified, packed, loaded and timed."""

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
from whet.core.recipe import Recipe
from whet.core.settings import Settings
from whet.core.standing import Standing
from whet.search import run
from whet.search.budget import budget
from whet.search.ladder.climb import Climbed
from whet.search.ladder.exits import end_early

torch = pytest.importorskip("torch")


class Residual(torch.nn.Module):
    """A heavy block that refines what a light stem sees."""

    def __init__(self) -> None:
        super().__init__()
        nn = torch.nn
        self.stem = nn.Conv2d(1, 6, 3, padding=1)
        self.part = nn.Sequential(
            nn.Conv2d(6, 256, 5, padding=2), nn.ReLU(), nn.Conv2d(256, 6, 3, padding=1)
        )
        self.head = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.stem(x))
        return self.head(torch.relu(y + self.part(y)).mean((2, 3)))


def noisy(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Stripes that begin anywhere, half of which hardly show."""
    rng = np.random.default_rng(seed)
    images, labels = stripes(rng, count)
    for image, shift in zip(images, rng.integers(0, 12, (count, 2)), strict=True):
        image[0] = np.roll(image[0], shift, (0, 1))
    hard = rng.random(count) < 1 / 2
    images[hard] += rng.normal(0, 2.2, images[hard].shape).astype(np.float32)
    return images, labels


def trained() -> torch.nn.Module:
    torch.manual_seed(0)
    network = Residual()
    images, labels = (torch.from_numpy(a) for a in noisy(0, 600))
    optimiser = torch.optim.Adam(network.parameters(), 0.005)
    for step in range(50):
        rows = slice(100 * (step % 6), 100 * (step % 6) + 100)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(images[rows]), labels[rows]).backward()
        optimiser.step()
    return network.eval()


def one_end(setup: Any, trials: Any) -> Climbed:
    """The original on one runtime, and the same ended behind its stem: there is no other place."""
    settings = Settings(threads=1, fixed={setup.graph.signature.batch_symbol: 1})
    original = trials.attempt(Recipe((), "onnxruntime", settings), 1, judge=False, must=True)
    assert end_early(setup, trials, {}, share=1.0, last=True)
    return Climbed(original, Feasibility(None, "Not asked."), None, 0)


@pytest.fixture(scope="module")
def found(caches: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Evidence, Path]:
    patch = pytest.MonkeyPatch()
    patch.setattr(run, "climb", one_end)
    patch.setattr(budget, "_CONTENDER_S", 4.0)  # a last race that tells three engines apart
    out = tmp_path_factory.mktemp("cascade") / "out.whet"
    images, labels = noisy(1, 1800)
    try:
        outcome = whet.optimize(
            trained(),
            {"x": images},
            Contract(metric="top1", max_drop=Drop(0.05), threads=1),
            labels=labels,
            runtimes=("onnxruntime",),
            budget_s=600.0,
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


def test_its_early_stage_is_an_end_of_the_network_and_is_told_as_such(
    found: tuple[Evidence, Path],
) -> None:
    evidence, out = found
    assert evidence.cascade is not None
    (end,) = (t for t in evidence.trials if t.recipe.ends_early)
    assert end.id == evidence.cascade.stages[0].trial
    assert end.rung == 6
    assert end.name == "onnxruntime exit after module.stem, fp32"
    assert any("an early stage for a cascade" in note.reason for note in end.notes)
    assert ">ends early<" in (out / "report.html").read_text("utf-8")


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

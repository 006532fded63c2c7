"""A network with more channels than it needs comes out narrower, proven and faster."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest
from stripes import stripes, train

import whet
from whet.core.contract import Contract, Drop
from whet.core.evidence import Evidence, Status, Trial, Verdict
from whet.core.recipe import Recipe
from whet.search.events import Event, TrialDone
from whet.search.workers.built import BuiltGraph

torch = pytest.importorskip("torch")


class Wide(torch.nn.Module):
    """Two residual blocks that are far too wide for four kinds of stripes."""

    def __init__(self) -> None:
        super().__init__()
        nn = torch.nn
        self.stem = nn.Conv2d(1, 32, 3, padding=1)
        self.parts = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(),
                nn.Conv2d(64, 32, 3, padding=1),
            )
            for _ in range(2)
        )  # fmt: skip
        self.head = nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.stem(x))
        for part in self.parts:
            y = torch.relu(y + part(y))
        return self.head(y.mean((2, 3)))


@pytest.fixture(scope="module")
def found(
    caches: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Evidence, torch.nn.Module, Path]:
    images, labels = stripes(np.random.default_rng(0), 1400)
    torch.manual_seed(0)
    network = Wide()
    train(network, images[:600], labels[:600])
    out = tmp_path_factory.mktemp("wide") / "out.whet"
    enough, done = threading.Event(), list[Trial]()

    def look(event: Event) -> None:
        """Stop once a few of them are known: what was found by then is certified and packed."""
        if isinstance(event, TrialDone) and event.trial.rung == 3:
            done.append(event.trial)
        if len(done) == 3:
            enough.set()

    outcome = whet.optimize(
        network.eval(),
        {"x": images[600:]},
        Contract(metric="top1", max_drop=Drop(0.02)),
        labels=labels[600:],
        runtimes=("onnxruntime",),
        budget_s=400.0,
        on_event=look,
        cancel=enough,
        out=out,
    )
    return outcome.evidence, network, out


def by_surgery(evidence: Evidence) -> list[Trial]:
    return [t for t in evidence.trials if t.rung == 3]


def test_narrower_candidates_are_built_timed_and_judged(
    found: tuple[Evidence, torch.nn.Module, Path],
) -> None:
    evidence, network, _ = found
    tried = by_surgery(evidence)
    assert tried, [n.reason for n in evidence.notes]
    assert all(t.status is Status.OK for t in tried), [t.notes for t in tried]
    whole = sum(p.numel() for p in network.parameters())
    for trial in tried:
        assert trial.footprint is not None
        assert trial.footprint.parameters is not None
        assert trial.footprint.parameters < 0.95 * whole
    assert any(t.select is not None for t in tried)
    assert any(note.where == "prediction" for t in tried for note in t.notes)


def test_one_of_them_is_proven_and_chosen_for_its_speed(
    found: tuple[Evidence, torch.nn.Module, Path],
) -> None:
    evidence, _, _ = found
    chosen = next(t for t in evidence.trials if t.id == evidence.chosen)
    assert chosen.rung == 3, evidence.sentence
    assert chosen.certify is not None
    assert chosen.certify.verdict is Verdict.PASSED
    assert chosen.speedup is not None
    assert chosen.speedup.low > 1.3


def test_the_bundle_answers_as_the_narrower_network(
    found: tuple[Evidence, torch.nn.Module, Path],
) -> None:
    evidence, network, out = found
    images, labels = stripes(np.random.default_rng(7), 200)
    with whet.load(out) as bundle:
        answers = np.concatenate(
            [next(iter(bundle.run({"x": images[i : i + 1]}).values())) for i in range(200)]
        )
    with torch.no_grad():
        wanted = network(torch.from_numpy(images)).numpy()
    allowed = evidence.contract.max_drop.value + 0.02
    lost = (wanted.argmax(1) == labels).mean() - (answers.argmax(1) == labels).mean()
    assert lost <= allowed
    assert np.abs(answers - wanted).max() > 0, "it isn't the original"


def test_the_bundles_recipe_makes_the_very_same_graph_again(
    found: tuple[Evidence, torch.nn.Module, Path], caches: Path, tmp_path: Path
) -> None:
    evidence, network, out = found
    chosen = next(t for t in evidence.trials if t.id == evidence.chosen)
    recipe = whet.recipe_of(out)
    assert recipe.steps == chosen.recipe.steps
    whet.write_recipe(recipe, tmp_path / "r.yaml")
    images, labels = stripes(np.random.default_rng(0), 1400)
    made = whet.apply(
        tmp_path / "r.yaml",
        network,
        {"x": images[600:]},
        labels=labels[600:],
        out=tmp_path / "again",
    )
    (kept,) = caches.glob(f"searches/*/built/{chosen.recipe.build_digest()}/built.json")
    graph = msgspec.json.decode(kept.read_bytes(), type=BuiltGraph).graph
    assert made.graph.read_bytes() == graph.file.read_bytes()
    assert chosen.footprint is not None
    if [s.name for s in recipe.steps][-1] == "to-graph":
        assert made.after.parameters == chosen.footprint.parameters


def test_the_recipe_says_how_to_make_it_again(
    found: tuple[Evidence, torch.nn.Module, Path],
) -> None:
    recipes = [t.recipe for t in by_surgery(found[0])]
    assert all(isinstance(r, Recipe) for r in recipes)
    names = [[s.name for s in r.steps] for r in recipes]
    assert all(
        n[0] in {"resize", "slim", "narrow", "factor", "separate", "drop"}
        and "repair" in n
        and "to-graph" in n
        for n in names
    )

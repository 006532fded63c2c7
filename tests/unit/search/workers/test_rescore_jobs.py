"""Plans scored together, as a worker does it: within bounds, and going on where it ended."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from whet.core.spec import TensorSpec
from whet.data.readers import open_samples
from whet.data.store import write_store
from whet.optimize.export import export
from whet.optimize.intake.live import load_module
from whet.optimize.network.menus import choices as making
from whet.optimize.network.menus.menu import Choices, MenuPlan, Rescored, Scored
from whet.search.workers import rescore_jobs
from whet.search.workers.ground import Ground
from whet.search.workers.isolate import run_isolated
from whet.search.workers.rescore_jobs import RescoreJob, rescored_network
from whet.search.workers.surgery_jobs import MenusJob, network_menus

PLAN = MenuPlan(stay=(0.5,), low_rank=(0.5,), separable=(), tile=4, classes=True, rows=1, judged=16)


class Part(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Conv2d(8, 24, 3, padding=1), nn.Conv2d(24, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.relu(self.up(x)))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two = nn.Conv2d(3, 8, 3, padding=1), Part(), Part()
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.two(self.one(torch.relu(self.stem(x)))).mean((2, 3)))


@pytest.fixture(scope="module")
def menus(tmp_path_factory: pytest.TempPathFactory) -> tuple[MenusJob, Choices]:
    folder = tmp_path_factory.mktemp("network")
    torch.manual_seed(0)
    rows = np.random.default_rng(0).normal(size=(64, 3, 12, 12)).astype(np.float32)
    spec = TensorSpec("x", "float32", ("batch", 3, 12, 12))
    made = export(load_module(Network().eval()), (spec,), {"x": rows[:4]}, folder / "export")
    store = write_store(open_samples({"x": rows}), folder / "samples", limit=64, seed=0)
    ground = Ground(made.graph, made.program, store.ref(), threads=1, seed=0)
    job = MenusJob(ground, PLAN, str(folder / "surgery"), str(folder / "built"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "add_up", lambda _: False)
        return job, network_menus(job)


def asked(menus: tuple[MenusJob, Choices], *, seconds: float = 600, looks: int = 900) -> RescoreJob:
    job, choices = menus
    sizes = tuple(tuple(c.size_bytes / 1e3 for c in menu) for menu in choices.menus)
    return RescoreJob(job.ground, job.plan, job.workdir, job.shelf, sizes, seconds, looks)


def test_it_goes_on_where_it_ended_and_is_asked_nothing_twice(
    menus: tuple[MenusJob, Choices], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = rescored_network(asked(menus, looks=2))
    assert (few.looks, few.whole) == (2, False)
    none = rescored_network(asked(menus, seconds=0.0))
    assert (none.looks, none.whole) == (2, False), "what was looked at before counts"
    assert none.scored == few.scored
    whole = run_isolated(
        "whet.search.workers.rescore_jobs:rescored_network",
        asked(menus),
        Rescored,
        timeout_s=300,
        memory_bytes=None,
    ).value
    assert whole.whole
    assert whole.looks > 2
    assert whole.scored[: len(few.scored)] == few.scored
    monkeypatch.setattr(rescore_jobs, "_together", None)  # nothing is opened any more
    assert rescored_network(asked(menus)) == whole


def test_the_last_plan_is_the_fastest_and_choices_alone_are_as_on_their_menus(
    menus: tuple[MenusJob, Choices],
) -> None:
    job = asked(menus)
    found = {s.picks: s.damage for s in rescored_network(job).scored}
    fastest = tuple(int(np.argmin(ms)) for ms in job.ms)
    assert sum(place > 0 for place in fastest) >= 3
    assert found[fastest] > 0
    choices = menus[1].menus
    assert found[0, 1, 0, 0] == choices[1][1].damage
    kept = Path(job.workdir) / "looks.json"
    looked = msgspec.json.decode(kept.read_bytes(), type=list[Scored])
    assert all(sum(place > 0 for place in s.picks) > 1 for s in looked)
    assert {s.picks: s.damage for s in looked}.items() <= found.items()

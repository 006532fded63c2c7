"""Menus and block costs, as a worker makes them."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from whet.core.artifact import Artifact
from whet.core.recipe import Step
from whet.core.settings import Settings
from whet.core.spec import TensorSpec
from whet.data.readers import open_samples
from whet.data.store import StoreRef, write_store
from whet.optimize.export import export
from whet.optimize.graph.facts import facts
from whet.optimize.intake.live import load_module
from whet.optimize.network.menus.menu import Choices, MenuPlan, WholePlan, Wholes
from whet.search.workers.ground import Ground
from whet.search.workers.jobs import MakeJob, make_engine
from whet.search.workers.surgery_jobs import (
    CostsJob,
    ExitsJob,
    MenusJob,
    PaceJob,
    WholesJob,
    block_costs,
    learning_pace,
    network_exits,
    network_menus,
    network_wholes,
)

PLAN = MenuPlan(stay=(0.5,), low_rank=(0.5,), separable=(), tile=8, classes=True, rows=1, judged=16)


class Part(nn.Module):
    """A residual block, most of whose work lies within."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Conv2d(16, 96, 3, padding=1), nn.Conv2d(96, 16, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.relu(self.up(x)))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two = nn.Conv2d(3, 16, 3, padding=1), Part(), Part()
        self.head = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.two(self.one(torch.relu(self.stem(x)))).mean((2, 3)))


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Artifact, Artifact, StoreRef]:
    folder = tmp_path_factory.mktemp("network")
    torch.manual_seed(0)
    rows = np.random.default_rng(0).normal(size=(64, 3, 16, 16)).astype(np.float32)
    spec = TensorSpec("x", "float32", ("batch", 3, 16, 16))
    made = export(load_module(Network().eval()), (spec,), {"x": rows[:4]}, folder / "export")
    store = write_store(open_samples({"x": rows}), folder / "samples", limit=64, seed=0)
    assert made.program is not None
    return folder, made.graph, made.program, store.ref()


def menus(given: tuple[Path, Artifact, Artifact, StoreRef], plan: MenuPlan = PLAN) -> Choices:
    folder, graph, program, repair = given
    job = MenusJob(
        ground=Ground(graph, program, repair, threads=2, seed=0),
        plan=plan,
        workdir=str(folder / "surgery" / plan.digest()),
        shelf=str(folder / "built"),
    )
    return network_menus(job)


def test_menus_are_kept_by_what_was_asked_for(
    given: tuple[Path, Artifact, Artifact, StoreRef],
) -> None:
    first = menus(given)
    written = {f: f.stat().st_mtime_ns for f in (given[0] / "surgery").rglob("*.onnx")}
    assert menus(given) == first
    assert all(f.stat().st_mtime_ns == when for f, when in written.items()), "taken from there"
    other = menus(given, msgspec.structs.replace(PLAN, rows=4))
    request = np.load(Path(other.menus[1][0].graph.path).with_name("request.npz"))
    assert next(iter(request.values())).shape[0] == 4


@pytest.mark.parametrize(
    "steps", [(), (Step("quantize-ort", {"calibration": "minmax"}),)], ids=["float", "int8"]
)
def test_a_narrower_block_takes_less_and_none_the_least(
    given: tuple[Path, Artifact, Artifact, StoreRef], steps: tuple[Step, ...]
) -> None:
    job = CostsJob(
        graphs=tuple(c.graph for c in menus(given).menus[1]),
        steps=steps,
        runtime="onnxruntime",
        settings=Settings(),
        cache=str(given[0] / "cache"),
        threads=1,
        seed=0,
    )
    whole, narrow, low, bridge = block_costs(job).ms
    assert bridge < narrow < whole
    assert bridge < low  # two small products may take longer than the one in their place


def test_candidates_take_the_order_that_the_menus_found(
    given: tuple[Path, Artifact, Artifact, StoreRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, graph, program, repair = given
    choices = menus(given)
    one, two = choices.menus[1][1], choices.menus[2][2]
    assert [step.name for step in (*one.steps, *two.steps)] == ["narrow", "factor"]
    steps = (
        *one.steps,
        *two.steps,
        Step("repair"),
        Step("to-graph"),
    )
    narrow = sys.modules["whet.optimize.network.narrow"]
    monkeypatch.setattr(narrow, "removal_order", None)  # nobody may look for it again
    made = make_engine(
        MakeJob(
            steps=steps,
            ground=Ground(graph, program, repair, threads=2, seed=0),
            runtime="onnxruntime",
            settings=Settings(),
            cache=str(folder / "cache"),
            workdir=str(folder / "built" / "one"),
            shelf=str(folder / "built"),
        )
    )
    assert made.counts is not None
    whole = sum(p.numel() for p in Network().parameters())
    assert made.counts.parameters < 0.6 * whole, "one block narrower, the other of low rank"


def test_a_network_that_learns_in_int8_becomes_an_engine(
    given: tuple[Path, Artifact, Artifact, StoreRef],
) -> None:
    folder, graph, program, repair = given
    made = make_engine(
        MakeJob(
            steps=(Step("learn-int8", {"steps": 4, "batch": 8}), Step("to-graph")),
            ground=Ground(graph, program, repair, threads=2, seed=0),
            runtime="onnxruntime",
            settings=Settings(),
            cache=str(folder / "cache"),
            workdir=str(folder / "built" / "learnt"),
            shelf=str(folder / "built"),
        )
    )
    untouched = facts(graph)
    assert made.counts is not None
    assert made.counts.macs == untouched.macs
    assert made.graph.size_bytes() < graph.size_bytes() / 2
    assert made.traffic is not None
    assert made.traffic.bytes_moved < untouched.bytes_moved / 2


def test_it_is_told_how_fast_a_network_learns(
    given: tuple[Path, Artifact, Artifact, StoreRef],
) -> None:
    folder, graph, program, repair = given
    job = PaceJob(
        ground=Ground(graph, program, repair, threads=1, seed=0, train=repair),
        steps=(Step("narrow", {"share": 0.5}),),
        batch=8,
        workdir=str(folder / "surgery"),
        shelf=str(folder / "built"),
    )
    assert 0 < learning_pace(job).step_s < 30
    untouched = msgspec.structs.replace(job, steps=(), rounded=True)
    assert 0 < learning_pace(untouched).step_s < 30


WHOLE = WholePlan(
    stream=(0.5,),
    pictures=(0.5, 0.75),
    tokens=(0.5, 0.75),
    tile=4,
    classes=True,
    rows=1,
    judged=16,
)


def wholes(
    given: tuple[Path, Artifact, Artifact, StoreRef], seconds: float = 600.0, name: str = "wholes"
) -> Wholes:
    folder, graph, program, repair = given
    job = WholesJob(
        ground=Ground(graph, program, repair, threads=2, seed=0),
        plan=WHOLE,
        workdir=str(folder / name),
        shelf=str(folder / "built"),
        seconds=seconds,
    )
    return network_wholes(job)


def test_the_whole_gets_a_slimmer_stream_and_smaller_pictures(
    given: tuple[Path, Artifact, Artifact, StoreRef],
) -> None:
    found = wholes(given)
    assert [entry.step for entry in found.entries] == [
        Step("slim", {"channels": {"module.stem": 8}}),
        Step("resize", {"size": 8}),
        Step("resize", {"size": 12}),
    ]
    assert [entry.stays for entry in found.entries] == [0.5, 1.0, 1.0]
    assert all(entry.damage > 0 for entry in found.entries)
    assert wholes(given) == found, "taken from where they are kept"
    assert len(wholes(given, seconds=0.0, name="brief").entries) == 1
    job = CostsJob(
        graphs=(found.untouched, *(entry.graph for entry in found.entries)),
        steps=(),
        runtime="onnxruntime",
        settings=Settings(),
        cache=str(given[0] / "cache"),
        threads=1,
        seed=0,
    )
    untouched, slim, small, less_small = block_costs(job).ms
    assert slim < untouched
    assert small < less_small < untouched
    (alone,) = block_costs(msgspec.structs.replace(job, seconds=0.0)).ms
    assert alone > 0, "the first in any case"
    assert len(block_costs(msgspec.structs.replace(job, seconds=600.0)).ms) == 4


def test_a_network_says_where_it_can_end(
    given: tuple[Path, Artifact, Artifact, StoreRef],
) -> None:
    folder, graph, program, repair = given
    ground = Ground(graph, program, repair, threads=2, seed=0)
    job = ExitsJob(ground=ground, workdir=str(folder / "surgery"), shelf=str(folder / "built"))
    found = network_exits(job).points
    assert [point.block for point in found] == ["module.stem", "module.one"]
    assert 0 < found[0].share < found[1].share < 0.6


class Attending(nn.Module):
    """A transformer over patches, most of whose work is done for each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.head = nn.Conv2d(3, 32, 2, 2), nn.Linear(32, 4)
        self.layers = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(32, 4, 512, 0.0, batch_first=True, norm_first=True)
                for _ in range(3)
            )
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(self.patches(x).flatten(2).mT).mean(1))


def test_a_vision_transformer_gets_fewer_tokens(tmp_path: Path) -> None:
    torch.manual_seed(0)
    rows = np.random.default_rng(0).normal(size=(64, 3, 32, 32)).astype(np.float32)
    spec = TensorSpec("x", "float32", ("batch", 3, 32, 32))
    made = export(load_module(Attending().eval()), (spec,), {"x": rows[:4]}, tmp_path / "export")
    store = write_store(open_samples({"x": rows}), tmp_path / "samples", limit=64, seed=0)
    assert made.program is not None
    plan = msgspec.structs.replace(WHOLE, stream=(), pictures=())
    job = WholesJob(
        ground=Ground(made.graph, made.program, store.ref(), threads=1, seed=0),
        plan=plan,
        workdir=str(tmp_path / "wholes"),
        shelf=str(tmp_path / "built"),
        seconds=600.0,
    )
    found = network_wholes(job)
    assert found.notes == ()
    assert [entry.step for entry in found.entries] == [
        Step("merge-tokens", {"share": share}) for share in (0.5, 0.75)
    ]
    half, most = found.entries
    assert 0 < half.damage < most.damage
    costs = CostsJob(
        graphs=(found.untouched, half.graph, most.graph),
        steps=(),
        runtime="onnxruntime",
        settings=Settings(),
        cache=str(tmp_path / "cache"),
        threads=1,
        seed=0,
    )
    # So few tokens may cost less than merging them does, which is what the clock is for.
    assert all(ms > 0 for ms in block_costs(costs).ms)

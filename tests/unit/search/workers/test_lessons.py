"""How far a network that learns has come, from a real worker to whoever listens."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from whet.core.lesson import Lesson
from whet.core.recipe import Step
from whet.core.settings import Settings
from whet.core.spec import TensorSpec
from whet.data.readers import open_samples
from whet.data.store import write_store
from whet.optimize.export import export
from whet.optimize.intake.live import load_module
from whet.search.events import Stopped
from whet.search.workers.ground import Ground
from whet.search.workers.isolate import run_isolated
from whet.search.workers.jobs import Made, MakeJob
from whet.search.workers.lessons import Written, read
from whet.search.workers.recipe_jobs import CarriedOut, CarryOutJob


def test_one_is_written_now_and_then_and_the_last_always(tmp_path: Path) -> None:
    now, file = [50.0], tmp_path / "lesson.json"
    write = Written(file, clock=lambda: now[0])
    assert read(file) is None
    seen = []
    for done in range(101):
        write(Lesson(done, 100, 0, 1.0))
        seen.append(read(file))
        now[0] += 0.1
    shown = {lesson.done for lesson in seen if lesson is not None}
    assert min(shown) == 0
    assert max(shown) == 100
    assert len(shown) == 1 + 100 // 20, "in ten seconds one each two"
    assert seen[-1] == Lesson(100, 100, 0, 1.0)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[1]", b'{"done": "x"}', b"{}" * 9000], ids=lambda text: text[:9].decode()
)
def test_what_is_no_lesson_is_not_heard(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "lesson.json").write_bytes(text)
    assert read(tmp_path / "lesson.json") is None


def test_a_place_that_takes_nothing_stops_no_learning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Written(tmp_path / "gone" / "lesson.json")(Lesson(0, 1, 0, 1.0))
    assert "can't be written" in capsys.readouterr().out


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(12, 12), nn.Linear(12, 3)
        self.up, self.down = nn.Linear(12, 32), nn.Linear(32, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        return self.head(x + self.down(torch.relu(self.up(x))))


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    folder = tmp_path_factory.mktemp("network")
    torch.manual_seed(0)
    rows = np.random.default_rng(0).normal(size=(96, 12)).astype(np.float32)
    spec = TensorSpec("x", "float32", ("batch", 12))
    made = export(load_module(Network().eval()), (spec,), {"x": rows[:4]}, folder / "export")
    store = write_store(open_samples({"x": rows}), folder / "samples", limit=96, seed=0)
    return Ground(made.graph, made.program, store.ref(), threads=1, seed=0)


def learning(steps: int) -> tuple[Step, ...]:
    narrow = Step("narrow", {"share": 0.5})
    return narrow, Step("distill", {"steps": steps, "batch": 8}), Step("to-graph")


def test_a_killed_worker_goes_on_and_says_from_where(ground: Ground, tmp_path: Path) -> None:
    job = MakeJob(
        steps=learning(1500),
        ground=ground,
        runtime="onnxruntime",
        settings=Settings(threads=1),
        cache=str(tmp_path / "cache"),
        workdir=str(tmp_path / "built" / "own"),
        shelf=str(tmp_path / "built"),
    )

    def work(cancel: threading.Event) -> tuple[Made | None, list[Lesson]]:
        heard: list[Lesson] = []
        try:
            made = run_isolated(
                "whet.search.workers.jobs:make_engine",
                job,
                Made,
                timeout_s=300,
                memory_bytes=None,
                cancel=cancel,
                heard=heard.append,
            ).value
        except Stopped:
            return None, heard
        return made, heard

    cut = threading.Event()
    cutting = threading.Thread(target=at_a_checkpoint, args=(tmp_path, cut), daemon=True)
    cutting.start()
    made, first = work(cut)
    cutting.join()
    assert made is None, "it was killed"
    assert first[0] == Lesson(0, 1500, 0, 1.0)
    assert first[-1].done < 1500
    made, rest = work(threading.Event())
    assert made is not None
    assert rest[0].done == rest[0].begun > 0
    assert rest[0].begun % 150 == 0, "a checkpoint is kept at every tenth part"
    assert rest[-1].done == 1500
    shares = [lesson.loss_share for lesson in (*first, *rest)]
    assert 0 < shares[-1] < 1, "it learnt something"
    assert shares == sorted(shares, reverse=True)


def at_a_checkpoint(folder: Path, cut: threading.Event) -> None:
    end = time.monotonic() + 200
    while time.monotonic() < end and not any(folder.rglob("distilling.pt")):
        time.sleep(0.02)
    cut.set()


def test_what_is_carried_out_by_hand_says_it_too(ground: Ground, tmp_path: Path) -> None:
    heard: list[Lesson] = []
    run_isolated(
        "whet.search.workers.recipe_jobs:carry_out",
        CarryOutJob(learning(20), ground, str(tmp_path)),
        CarriedOut,
        timeout_s=300,
        memory_bytes=None,
        heard=heard.append,
    )
    assert heard[-1].done == heard[-1].steps == 20

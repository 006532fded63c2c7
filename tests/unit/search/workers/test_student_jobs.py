"""Students sized and timed in a worker, beside a candidate that they are to beat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from whet.core.recipe import Step, digest_of
from whet.core.settings import Settings
from whet.core.spec import TensorSpec
from whet.data.readers import open_samples
from whet.data.store import write_store
from whet.errors import RequirementError
from whet.optimize.export import export
from whet.optimize.intake.live import load_module
from whet.optimize.network.students.zoo import Student
from whet.search.workers.ground import Ground
from whet.search.workers.student_jobs import (
    FittingJob,
    SharesJob,
    fitting_students,
    student_shares,
)


class Plain(nn.Module):
    """Far more work than its pictures need."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 64, 3, padding=1), nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(64, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(x).mean((2, 3)))


class Maps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(1, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.one(x)


def ground(network: nn.Module, folder: Path) -> Ground:
    torch.manual_seed(0)
    rows = np.random.default_rng(0).normal(size=(64, 1, 32, 32)).astype(np.float32)
    spec = TensorSpec("x", "float32", ("batch", 1, 32, 32))
    made = export(load_module(network.eval()), (spec,), {"x": rows[:4]}, folder / "export")
    store = write_store(open_samples({"x": rows}), folder / "samples", limit=64, seed=0)
    return Ground(made.graph, made.program, store.ref(), threads=1, seed=0, train=store.ref())


@pytest.mark.parametrize(
    "tail", [(), (Step("quantize-ort", {"calibration": "minmax"}),)], ids=["float", "int8"]
)
def test_small_students_take_less_than_large_ones(tail: tuple[Step, ...], tmp_path: Path) -> None:
    students = (Student("resnet", 0.125, 0.5, 0.7), Student("resnet", 1.0))
    job = SharesJob(
        ground=ground(Plain(), tmp_path),
        students=students,
        base=tail,
        base_dir=str(tmp_path / "built" / digest_of(tail)),
        tail=tail,
        runtime="onnxruntime",
        settings=Settings(),
        cache=str(tmp_path / "cache"),
        rows=1,
        shelf=str(tmp_path / "built"),
    )
    small, large = student_shares(job).shares
    assert 0 < small < 1
    assert small < large


def test_a_network_that_nothing_of_the_zoo_can_stand_for_is_refused(tmp_path: Path) -> None:
    job = FittingJob(ground=ground(Maps(), tmp_path), workdir=str(tmp_path / "students"))
    with pytest.raises(RequirementError, match="No student of the zoo fits"):
        fitting_students(job)

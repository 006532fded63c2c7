"""One network taught by another: the loop, its schedule, its checkpoints.

Adam, with a step for each tensor of weights in proportion to their size, that rises for a tenth of
the time and falls to nothing after it (Smith and Topin 2019). Batch norms keep their statistics,
which were estimated on more samples than a batch has, unless the network is a new one: what it gives
changes by far more than they could follow then, so they take those of each batch. Some rows are never
learnt from; the weights that did best on those are kept, those from before among them, so that
nothing gets worse by it.

What is drawn depends on the seed and the step alone, so a run that goes on from a checkpoint ends
where it would have ended.
"""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from whet.core.lesson import Lesson, Tell, untold
from whet.errors import StorageError
from whet.optimize.network.learning.adam import adam, trainable
from whet.optimize.network.learning.place import Place, place
from whet.optimize.network.learning.right import Right
from whet.optimize.network.learning.views import View, seen_anew
from whet.optimize.network.structure.net import Rows

__all__ = ["Schedule", "pace", "train"]

_LOOKS = 10  # at what is held out, each with a checkpoint
_HELD, _MOST_HELD = 8, 256  # one row of so many is held out, and so many at most
_RISING = 0.1  # share of the steps
_PACED = 3  # steps that tell how long one takes, after a first one


@dataclass(frozen=True)
class Schedule:
    """How long and how fast is learnt.

    Attributes:
        steps: one batch each.
        batch: rows of one.
        rate: at its highest, as a share of a weight tensor's root mean square.
        seed: of all that is drawn.
        norms: whether batch norms learn statistics.
        single: whether what learns is run in single precision even where bfloat16 is faster, whose
            numbers have no more digits than integers of 8 bits.
    """

    steps: int
    batch: int
    rate: float
    seed: int
    norms: bool = False
    single: bool = False


def train(
    student: nn.Module,
    teacher: nn.Module,
    rows: Rows,
    schedule: Schedule,
    checkpoint: Path,
    *,
    right: Right | None = None,
    sparse: Collection[str] = (),
    tell: Tell = untold,
) -> bool:
    """Change a network's weights in place until it gives what another does.

    Args:
        student: gives its answers and what flows between its blocks, each a tuple of tensors.
        teacher: gives as many of the same shapes; it stays as it is.
        rows: that both take.
        schedule: of it.
        checkpoint: the file to go on from, and to keep up to date.
        right: the right classes of the rows, to be learnt too.
        sparse: the student's layers whose zeros stay.
        tell: told at the beginning and after each step how far it has come.

    Returns:
        Whether anything got better.

    Raises:
        StorageError: the checkpoint can't be written.
    """
    here = place()
    order = np.random.default_rng(schedule.seed).permutation(len(rows))
    held, learnt = _parted(order)
    with _on(here, student, teacher), trainable(student, sparse):
        run = _Run(student, teacher, here, schedule, right)
        begin = run.resumed(checkpoint)
        looked_at = [run.shown(rows, part) for part in _in_batches(held, schedule.batch)]
        if not begin:
            run.look(looked_at)
        tell(run.lesson(begin, begin))
        every = max(1, schedule.steps // _LOOKS)
        for step in range(begin, schedule.steps):
            random = torch.Generator().manual_seed(schedule.seed * 1_000_003 + step)
            drawn = torch.randint(len(learnt), (schedule.batch,), generator=random).numpy()
            run.learn(run.shown(rows, learnt[drawn], random))
            if (step + 1) % every == 0 or step + 1 == schedule.steps:
                run.look(looked_at)
                run.save(checkpoint, step + 1)
            tell(run.lesson(step + 1, begin))
        return run.settle()


def pace(
    student: nn.Module, teacher: nn.Module, rows: Rows, batch: int, *, single: bool = False
) -> float:
    """Seconds that one step takes; the student's weights are changed by it.

    Args:
        student: as for `train`.
        teacher: as for `train`.
        rows: that both take.
        batch: rows of a step.
        single: as of a schedule.
    """
    here, taken = place(), _Shown(View(rows.take(np.arange(batch) % len(rows))))
    with _on(here, student, teacher), trainable(student):
        run = _Run(student, teacher, here, Schedule(_PACED + 1, batch, 1e-6, 0, single=single))
        run.learn(taken)
        began = time.perf_counter()
        for _ in range(_PACED):
            run.learn(taken)
            here.wait()
        return (time.perf_counter() - began) / _PACED


@dataclass(frozen=True)
class _Shown:
    """A batch with its right classes, where they are known."""

    view: View
    classes: torch.Tensor | None = None


class _Run:
    """A student, what teaches it, and the best weights so far."""

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        here: Place,
        schedule: Schedule,
        right: Right | None = None,
    ) -> None:
        self.student, self.teacher, self.here, self.right = student, teacher, here, right
        self.single = schedule.single
        self.steps = schedule.steps
        self.optimiser = adam(student, schedule.rate)
        self.rates = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser,
            [group["lr"] for group in self.optimiser.param_groups],
            total_steps=schedule.steps + 1,  # the last one would be of no length
            pct_start=_RISING,
        )
        self.best, self.at_first = float("inf"), float("inf")
        self.kept = copy.deepcopy(student.state_dict())
        norms = (m for m in student.modules() if isinstance(m, _BatchNorm))
        self.norms = [m for m in norms if m.track_running_stats] if schedule.norms else []

    def shown(
        self, rows: Rows, places: np.ndarray, random: torch.Generator | None = None
    ) -> _Shown:
        """Some rows as they are, or seen anew."""
        inputs = rows.take(places)
        view = View(inputs) if random is None else seen_anew(inputs, random)
        return _Shown(view, None if self.right is None else self.right.at(places))

    def learn(self, batch: _Shown) -> None:
        """One step."""
        self.optimiser.zero_grad()
        with self._norms_learning():
            self._distance(batch).backward()
        self.optimiser.step()
        self.rates.step()

    @contextlib.contextmanager
    def _norms_learning(self) -> Iterator[None]:
        for norm in self.norms:
            norm.train()
        try:
            yield
        finally:
            for norm in self.norms:
                norm.eval()

    def look(self, held: Sequence[_Shown]) -> None:
        """Keep the weights if they are the best so far."""
        with torch.no_grad():
            found = sum(float(self._distance(batch)) for batch in held) / len(held)
        if self.at_first == float("inf"):
            self.at_first = found
        if found < self.best:
            self.best, self.kept = found, copy.deepcopy(self.student.state_dict())

    def lesson(self, done: int, begun: int) -> Lesson:
        """How far it has come by the last look at what is held out."""
        share = self.best / self.at_first if self.at_first > 0 else 1.0
        return Lesson(done, self.steps, begun, share if math.isfinite(share) else 1.0)

    def settle(self) -> bool:
        """End with the best weights; whether they are others than at the beginning."""
        self.student.load_state_dict(self.kept)
        return self.best < self.at_first

    def save(self, file: Path, done: int) -> None:
        """Written beside and renamed, so that a run that is cut off leaves the one before."""
        state = {
            "done": done,
            "best": self.best,
            "at_first": self.at_first,
            "kept": self.kept,
            "student": self.student.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "rates": self.rates.state_dict(),
        }
        beside = file.with_suffix(".part")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.save(state, beside)
            beside.replace(file)
        except (OSError, RuntimeError) as error:  # torch says that a disk is full in its own way
            raise StorageError(
                f"The checkpoint {file} can't be written ({error}).", "Make room for it."
            ) from error

    def resumed(self, file: Path) -> int:
        """Go on from a checkpoint; the steps that were done."""
        if not file.exists():
            return 0
        state = torch.load(file, map_location=self.here.device, weights_only=True)
        self.best, self.at_first, self.kept = state["best"], state["at_first"], state["kept"]
        self.student.load_state_dict(state["student"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.rates.load_state_dict(state["rates"])
        return int(state["done"])

    def _distance(self, batch: _Shown) -> torch.Tensor:
        """Squared, as a share of what is wanted; the answers count as much as all between blocks.

        To it comes how far the answers are from what is right, where that is known.
        """
        given = [each.to(self.here.device) for each in batch.view.inputs]
        with self.here.arithmetic(), torch.no_grad():
            wanted = self.teacher(*given)
        with contextlib.nullcontext() if self.single else self.here.arithmetic():
            found = self.student(*given)
        off = [_shares(a, b) for a, b in zip(found, wanted, strict=True)]
        if self.right is not None and batch.classes is not None:
            scores = found[0][self.right.place]
            off.append(self.right.off(scores, batch.classes.to(scores.device), batch.view.own))
        return torch.stack(off).sum()


def _shares(found: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]) -> torch.Tensor:
    """The mean over some values that hold numbers."""
    pairs = [(a, b) for a, b in zip(found, wanted, strict=True) if b.is_floating_point()]
    each = [
        (a.float() - b.float()).square().mean() / b.float().square().mean().clamp_min(1e-30)
        for a, b in pairs
    ]
    return torch.stack(each).mean() if each else torch.zeros(())


def _parted(order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are held out, and the others; all of them are both where there is only one."""
    count = min(_MOST_HELD, -(-len(order) // _HELD))
    return (order[:count], order[count:]) if len(order) > count else (order, order)


def _in_batches(places: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(places), size):
        yield places[start : start + size]


@contextlib.contextmanager
def _on(here: Place, *modules: nn.Module) -> Iterator[None]:
    """The networks where they learn, and back at the end."""
    try:
        for module in modules:
            module.to(here.device)
        yield
    finally:
        for module in modules:
            module.to("cpu")

"""What runs in a worker process where damages of single blocks don't add up: plans scored together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from whet.optimize.network.menus.menu import Choices, MenuPlan, Rescored, Scored
from whet.search.solver.menu import Entry, Menu
from whet.search.solver.proposals import summed
from whet.search.solver.rescoring import rescored, spread
from whet.search.workers.built import keep
from whet.search.workers.ground import Ground
from whet.search.workers.surgery_jobs import MENUS

__all__ = ["RescoreJob", "rescored_network"]

_SUMMED = 32  # plans of the solver of sums that are looked at first
_LOOKS = "looks.json"  # beside the menus: what was looked at so far


class RescoreJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Menus of which plans are to be scored together.

    Attributes:
        plan: that the menus were made by.
        workdir: where they lie.
        shelf: see `whet.core.context.Context`.
        ms: what each choice of each menu takes.
        seconds: after which no further look is begun, as far as the longest so far tells.
        looks: at most, those that were done before among them.
    """

    ground: Ground
    plan: MenuPlan
    workdir: str
    shelf: str
    ms: tuple[tuple[float, ...], ...]
    seconds: float
    looks: int


def rescored_network(job: RescoreJob) -> Rescored:
    """Score plans together; every look is kept, so that another run goes on where this one ends.

    Raises:
        RequirementError: the changed blocks weren't kept.
        ExportError: the program can't be put back into layers.
    """
    began, folder = time.monotonic(), Path(job.workdir)
    choices = msgspec.json.decode((folder / MENUS).read_bytes(), type=Choices)
    looks = _Looks(folder / _LOOKS, lambda: _together(job, choices.menus), job, began)
    menus = [
        Menu(menu[0].block, tuple(map(_entry, range(len(menu)), ms, (c.damage for c in menu))))
        for menu, ms in zip(choices.menus, job.ms, strict=True)
    ]
    begin = spread(summed(menus, choices.entries), _SUMMED)
    return Rescored(tuple(rescored(menus, looks, begin)), looks.count, not looks.ended)


def _entry(place: int, ms: float, damage: float) -> Entry:
    return Entry(str(place), ms, damage)


def _together(job: RescoreJob, menus: Sequence[Sequence[object]]) -> Callable[..., float]:
    from whet._optional import require

    network = require("whet.optimize.network.structure.net", "change a network")
    make = require("whet.optimize.network.menus.together", "change a network")
    ctx = job.ground.context(job.workdir, job.shelf)
    found: Callable[..., float] = make.Together(network.opened(ctx.program), ctx, job.plan, menus)
    return found


class _Looks:
    """Looks at plans within what is allowed, remembering all of them.

    Attributes:
        count: of this run, with those that were remembered.
        ended: whether one was asked for that isn't allowed any more.
    """

    def __init__(
        self,
        file: Path,
        opened: Callable[[], Callable[..., float]],
        job: RescoreJob,
        began: float,
    ) -> None:
        self._file, self._opened, self._job, self._began = file, opened, job, began
        self._look: Callable[..., float] | None = None
        self._longest = 0.0
        self.count, self.ended = 0, False
        kept = msgspec.json.decode(file.read_bytes(), type=list[Scored]) if file.exists() else []
        self._known = {each.picks: each.damage for each in kept}

    def __call__(self, picks: tuple[int, ...]) -> float | None:
        self.ended = self.count == self._job.looks
        if picks not in self._known and not self.ended:
            self._look = self._look or self._opened()
            now = time.monotonic()
            self.ended = now - self._began + self._longest > self._job.seconds
            if not self.ended:
                self._known[picks] = self._look(picks)
                self._longest = max(self._longest, time.monotonic() - now)
                keep(self._file, [Scored(*each) for each in self._known.items()])
        self.count += not self.ended
        return None if self.ended else self._known[picks]

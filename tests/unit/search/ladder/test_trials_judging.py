"""What limits or time kept from being judged is judged by a later search that has neither."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import msgspec
from trial_factory import quality, trial

from whet.core.contract import Contract
from whet.core.evidence import Quality, Trial
from whet.search.budget.budget import Budget
from whet.search.ladder.trials import Trials
from whet.search.ledger.ledger import Ledger
from whet.search.ledger.reuse import Kept
from whet.search.stop import Stop
from whet.search.teller import Teller
from whet.search.workers.jobs import Made

BASE = trial("base", 1.0, untouched=True, disk=1000)
SMALL = trial("small", 1.5, select=quality(0.0), disk=400)
FAST = trial("fast", 4.0, select=quality(0.0), disk=900)
FIGURES = {t.id: t for t in (BASE, SMALL, FAST)}


class Certify(tuple[int, ...]):
    samples = 1000


class Told(Trials):
    """Measuring and judging give the figures above."""

    def _compared(self, trial: Trial) -> Trial:
        return trial

    def _select(self, trial: Trial, make: Callable[[], Made]) -> Quality:
        found = FIGURES[trial.id].select
        assert found is not None
        return found

    def _measured(self, trial: Trial, judge: bool) -> Trial:
        known = FIGURES[trial.id]
        anchor = self.anchor.name if self.anchor is not None else trial.name
        speedup = known.speedup and msgspec.structs.replace(known.speedup, against=anchor)
        select = known.select if trial.recipe.untouched else None
        found = msgspec.structs.replace(
            known, name=trial.name, speedup=speedup, select=select, certify=None
        )
        if judge and not trial.recipe.untouched and self._worth_judging(found):
            return msgspec.structs.replace(found, select=known.select)
        return found


def search(book: Ledger, *, left_s: float = 600.0, past: dict[str, Kept] | None = None) -> Told:
    budget = Budget(time.monotonic() - 600.0 + left_s, 600.0)
    setup = SimpleNamespace(
        contract=Contract(),
        repair=(),
        certify=Certify(),
        original_ms=1.0,
        values=10,
        workdir=Path("nowhere"),
    )
    return Told(setup, book, budget, Teller(lambda _: None, budget), Stop(), past=past or {})


def judged(trials: Told) -> set[str]:
    for known, judge in ((BASE, False), (SMALL, True), (FAST, True)):
        trials.attempt(known.recipe, 1, judge=judge, must=known is BASE)
    by_id = {t.id: t.select is not None for t in trials.all.values()}
    return {t.name for t in (SMALL, FAST) if by_id.get(t.id)}


def test_a_limit_that_is_dropped_keeps_nothing_from_being_judged(tmp_path: Path) -> None:
    """Limits are no part of what makes two searches one."""
    with Ledger.open(tmp_path / "ledger.sqlite", "key") as book:
        limited = search(book)
        limited.setup.contract = Contract(max_bytes=500)
        assert judged(limited) == {"small"}
    with Ledger.open(tmp_path / "ledger.sqlite", "key") as book:
        assert judged(search(book)) == {"small", "fast"}
    with Ledger.open(tmp_path / "ledger.sqlite", "key") as book:
        kept = book.find(FAST.recipe.digest())
    assert kept is not None
    assert kept.select == FAST.select


def test_what_was_short_of_time_is_judged_where_there_is_some(tmp_path: Path) -> None:
    other = msgspec.structs.replace(FAST, select=None)
    past = {FAST.recipe.digest(): Kept(other, BASE.recipe.digest())}
    with Ledger.open(tmp_path / "ledger.sqlite", "key") as book:
        assert "fast" not in judged(search(book, left_s=1.0, past=past))
    with Ledger.open(tmp_path / "ledger.sqlite", "key") as book:
        assert "fast" in judged(search(book, past=past))

"""Where the cascade stands in the order of the finalists, and what becomes of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from trial_factory import latency, quality, trial

from whet.core.cascade import Confidence, Gate, Measure
from whet.core.evidence import CascadeTrial, Quality, StageTrial, Status, Trial
from whet.errors import EngineError
from whet.search.closing import cascade_proof
from whet.search.closing.cascade import Proposed, stage_records
from whet.search.closing.cascade_proof import certified_with, staged
from whet.search.closing.mean_race import means_of

GOOD, BAD = quality(0.0), quality(0.5)
FIRST = trial("sure", 2.0, select=quality(0.0))
LAST = trial("bold", 5.0, select=quality(0.0095))
SETUP: Any = SimpleNamespace(
    certify=SimpleNamespace(samples=2000),
    contract=SimpleNamespace(percentile=99.0, batch=1),
)
STAGES = trial("weak", 9.0, p99_ms=1.0), trial("original", 1.0, untouched=True, p99_ms=8.0)


def proposed(chance: float) -> Proposed:
    gates = (Gate(0.5, 1.0),)
    rule = Confidence("y", Measure.TOP)
    record = CascadeTrial("cascade", stage_records(STAGES, gates, (0, 0)), rule, GOOD)
    return Proposed(STAGES, gates, rule, 2.0, chance, record)


class Certifying:
    """What the certify samples will say, and who was asked in which order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **says: Quality | EngineError) -> None:
        self.asked, self.says = list[str](), says
        monkeypatch.setattr(cascade_proof, "certified_in_turn", self.in_turn)
        monkeypatch.setattr(cascade_proof, "_executed", self.executed)

    def in_turn(self, setup: Any, trials: Any, order: Any, untouched_ms: Any) -> list[Trial]:
        done = []
        for each in order:
            self.asked.append(each.name)
            done.append(msgspec.structs.replace(each, certify=self.says.get(each.name, GOOD)))
            if done[-1].certify is not GOOD:
                break
        return done

    def executed(self, setup: Any, trials: Any, given: Any) -> tuple[Quality, tuple[int, ...]]:
        self.asked.append("cascade")
        says = self.says.get("cascade", GOOD)
        if isinstance(says, EngineError):
            raise says
        return says, (1500, 500)


def certified(search: Certifying, chance: float | None) -> tuple[list[str], Proposed | None]:
    given = proposed(chance) if chance is not None else None
    done, found = certified_with(SETUP, SimpleNamespace(), [FIRST, LAST], 1.0, given)
    return [t.name for t in done], found


def test_it_stands_before_the_first_that_is_less_likely(monkeypatch: pytest.MonkeyPatch) -> None:
    search = Certifying(monkeypatch)
    names, found = certified(search, 0.9)
    assert search.asked == ["sure", "cascade", "bold"]
    assert names == ["sure", "bold"]
    assert found is not None
    assert found.proven
    assert [s.exit_share for s in found.record.stages] == [0.75, 0.25]
    search = Certifying(monkeypatch)
    certified(search, 1e-9)
    assert search.asked == ["sure", "bold", "cascade"]
    search = Certifying(monkeypatch)
    assert certified(search, None) == (["sure", "bold"], None)


def test_behind_one_that_did_not_pass_it_is_not_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    search = Certifying(monkeypatch, sure=BAD)
    _, found = certified(search, 0.9)
    assert search.asked == ["sure"]
    assert found is not None
    assert not found.proven
    assert "not tested" in found.record.lost


def test_where_it_does_not_pass_the_sequence_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    search = Certifying(monkeypatch, cascade=BAD)
    names, found = certified(search, 0.9)
    assert (search.asked, names) == (["sure", "cascade"], ["sure"])
    assert found is not None
    assert "certify samples: failed" in found.record.lost
    assert staged(SETUP, SimpleNamespace(), found, {}, []) == found.record
    assert staged(SETUP, SimpleNamespace(), None, {}, []) is None


def test_one_that_crashed_was_not_tested_and_hides_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    search = Certifying(monkeypatch, cascade=EngineError("It burst.", "Mend it."))
    names, found = certified(search, 0.9)
    assert names == ["sure", "bold"]
    assert found is not None
    assert found.record.lost == "it was not certified: It burst."


def test_a_stage_that_failed_in_the_last_race_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    _, found = certified(Certifying(monkeypatch), 0.9)
    now = {t.id: t for t in STAGES}
    now[STAGES[0].id] = msgspec.structs.replace(STAGES[0], status=Status.CRASHED)
    record = staged(SETUP, SimpleNamespace(), found, now, [STAGES[1]])
    assert record is not None
    assert "its stage weak failed" in record.lost


def test_the_tail_is_the_sum_of_the_stages() -> None:
    tail = cascade_proof._tail(SETUP, STAGES)
    assert tail is not None
    assert (tail.q, tail.ms) == (99.0, 9.0)
    short = msgspec.structs.replace(latency(5.0), percentiles=latency(5.0).percentiles[:1])
    at_median = msgspec.structs.replace(STAGES[0], latency=short)
    tail = cascade_proof._tail(SETUP, (at_median, STAGES[1]))
    assert tail is not None
    assert tail.q == 50.0
    assert cascade_proof._tail(SETUP, (msgspec.structs.replace(STAGES[0], latency=None),)) is None


def test_means_are_of_all_queries_and_the_gain_is_that_of_the_means() -> None:
    rng = np.random.default_rng(0)
    turned = {
        name: [[rng.normal(ms, 0.1, 40) for _ in range(10)] for _ in range(2)]
        for name, ms in (("cascade", 2.0), ("whole", 8.0), ("int8", 4.0))
    }
    found = means_of(turned, "cascade", "whole", "int8", 1)
    assert (found.queries, found.single) == (400, "int8")
    assert found.cascade_ms == pytest.approx(2.0, rel=0.02)
    assert found.original_ms == pytest.approx(8.0, rel=0.02)
    assert found.gain == pytest.approx(2.0, rel=0.02)
    assert 1.8 < found.gain_low < found.gain < found.gain_high < 2.2
    own = means_of(turned, "cascade", "whole", "whole", 1)
    assert own.single_ms == own.original_ms


def test_shares_of_nothing_are_none() -> None:
    records = stage_records(STAGES, (Gate(0.5, 1.0),), (0, 0))
    assert records == (
        StageTrial(STAGES[0].id, Gate(0.5, 1.0), 0.0),
        StageTrial(STAGES[1].id, None, 0.0),
    )

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from trial_factory import trial

from whet.core.contract import Contract, Drop
from whet.core.evidence import Ceilings, Machine, Trial
from whet.errors import LedgerError, MeasurementError
from whet.search.ledger.identity import SearchInputs, machine_digest
from whet.search.ledger.ledger import Ledger

KEY = "k" * 32
HERE = Path(__file__).parents[1]  # where the factory of trials lies


class Baseline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    ms: float


def inputs(**fields: object) -> SearchInputs:
    given: dict[str, object] = {
        "graph": "g1",
        "samples": "s1",
        "machine": "m1",
        "contract": Contract(),
    }
    return SearchInputs(**(given | fields))  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "ledger.sqlite"


def test_what_is_recorded_is_found_again(file: Path) -> None:
    first, second = trial("a", 1.0), trial("b", 2.0)
    with Ledger.open(file, KEY) as ledger:
        assert ledger.trials() == ()
        assert ledger.find(first.recipe.digest()) is None
        ledger.record(first)
        ledger.record(second)
        assert ledger.find(second.recipe.digest()) == second
    with Ledger.open(file, KEY) as ledger:
        assert ledger.trials() == (first, second)


def test_a_trial_that_is_recorded_again_is_replaced_at_its_place(file: Path) -> None:
    first, second = trial("a", 1.0), trial("b", 2.0)
    with Ledger.open(file, KEY) as ledger:
        ledger.record(first)
        ledger.record(second)
        better = msgspec.structs.replace(first, lost="too slow")
        ledger.record(better)
        assert ledger.trials() == (better, second)


def test_phases(file: Path) -> None:
    with Ledger.open(file, KEY) as ledger:
        assert ledger.get("export") is None
        assert ledger.get_as("export", Baseline) is None
        ledger.put("export", Baseline("x", 1.5))
        ledger.put("raw", b'{"name": "y", "ms": 2}')
        assert ledger.get("export") == b'{"name":"x","ms":1.5}'
        assert ledger.get_as("export", Baseline) == Baseline("x", 1.5)
        assert ledger.get_as("raw", Baseline) == Baseline("y", 2.0)
        ledger.put("export", Baseline("z", 3.0))
        assert ledger.get_as("export", Baseline) == Baseline("z", 3.0)
        with pytest.raises(LedgerError, match="not JSON"):
            ledger.put("bad", b"\x80\x04pickle")
        with pytest.raises(LedgerError, match="damaged"):
            ledger.get_as("export", Trial)


def test_searches_do_not_see_each_other(file: Path) -> None:
    with Ledger.open(file, KEY) as ledger:
        ledger.record(trial("a", 1.0))
        ledger.put("export", Baseline("x", 1.5))
    with Ledger.open(file, "other") as ledger:
        assert ledger.trials() == ()
        assert ledger.get("export") is None


def test_what_another_search_can_reuse(file: Path) -> None:
    mine, yours = trial("mine", 1.0), trial("yours", 2.0)
    with Ledger.open(file, inputs()) as ledger:
        ledger.record(yours)
    with Ledger.open(file, inputs(machine="m2")) as ledger:
        ledger.record(trial("elsewhere", 1.0))
    with Ledger.open(file, "plain key") as ledger:
        ledger.record(trial("anonymous", 1.0))
    with Ledger.open(file, inputs(samples="s2")) as ledger:
        ledger.record(mine)
        (past,) = ledger.reusable("g1", "m1")
        assert past.trial == yours
        assert past.inputs == inputs()
        assert datetime.now(UTC).strftime("%Y") in past.started
        assert ledger.reusable("g9", "m1") == ()
    with Ledger.open(file, inputs()) as ledger:
        assert [p.trial for p in ledger.reusable("g1", "m1")] == [mine]


def test_the_key_stands_for_what_is_measured() -> None:
    base = inputs().key()
    for same in (
        Contract(limit_ms=3.0),
        Contract(max_bytes=1),
        Contract(max_memory_bytes=1),
    ):
        assert inputs(contract=same).key() == base
    others = [
        inputs(graph="x"),
        inputs(samples="x"),
        inputs(machine="x"),
        inputs(seed=1),
        *(
            inputs(contract=c)
            for c in (
                Contract(batch=2),
                Contract(concurrency=2),
                Contract(threads=2),
                Contract(metric="top1"),
                Contract(percentile=50.0),
                Contract(confidence=0.9),
                Contract(max_drop=Drop(0.02)),
            )
        ),
    ]
    assert len({base, *(other.key() for other in others)}) == len(others) + 1


def test_a_machine_is_known_by_what_does_not_vary() -> None:
    machine = Machine("c", "x", "Linux", 2, 8, ("b", "a"), Ceilings(1.0), {"v": "1", "u": "2"})
    varied = msgspec.structs.replace(
        machine, ceilings=Ceilings(2.0), flags=("a", "b"), versions={"u": "2", "v": "1"}
    )
    assert machine_digest(varied) == machine_digest(machine)
    for other in (
        {"cores": 4},
        {"cpu": "d"},
        {"flags": ("a",)},
        {"versions": {"v": "2", "u": "2"}},
    ):
        assert machine_digest(msgspec.structs.replace(machine, **other)) != machine_digest(machine)


def test_figures_that_are_not_finite_are_refused(file: Path) -> None:
    bad = msgspec.structs.replace(trial("a", 1.0), seconds=float("nan"))
    with Ledger.open(file, KEY) as ledger:
        with pytest.raises(MeasurementError, match=r"\$\.seconds"):
            ledger.record(bad)
        assert ledger.trials() == ()


def test_several_threads_may_record(file: Path) -> None:
    trials = [trial(f"t{number}", 1.0) for number in range(40)]
    with Ledger.open(file, KEY) as ledger:
        threads = [
            threading.Thread(target=lambda part=part: [ledger.record(t) for t in part])
            for part in (trials[::2], trials[1::2])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {t.name for t in ledger.trials()} == {t.name for t in trials}


def test_a_closed_ledger_says_so(file: Path) -> None:
    ledger = Ledger.open(file, KEY)
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError, match="has been closed"):
        ledger.trials()

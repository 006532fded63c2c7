"""A ceiling that was measured under load convicts nobody."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from trial_factory import latency, trial

from whet.core.artifact import Artifact, Format
from whet.core.contract import Contract
from whet.core.evidence import Ceilings, Footprint, Machine
from whet.core.spec import Signature
from whet.errors import MeasurementError
from whet.measure.ceiling_looks import Look
from whet.optimize.graph.traffic import Traffic
from whet.search.ladder.second_looks import SecondLooks, unmeasured
from whet.search.setup import Setup
from whet.search.workers.built import Counts
from whet.search.workers.jobs import Made

# What the machine did for the engine: 0.2 GOP in a median of 4.5 ms.
MACS, DID = 10**8, 2e8 / 4.5e-3
FLOAT = Traffic(1000, 1000)
BASE = trial("base", 1.0, untouched=True)
BUSY = "other processes took 60% of the cores' time"


@dataclass(frozen=True)
class Known:
    """What of a `Setup` a footprint needs."""

    machine: Machine
    macs: int = MACS
    parameters: int = 150
    weight_bytes: int = 600
    traffic: Traffic = FLOAT
    contract: Contract = field(default_factory=Contract)
    uncounted: tuple[str, ...] = ()


@dataclass
class Scripted:
    """Looks with these peaks, as shares of what the engine did."""

    shares: list[float | None]
    unrest: str = ""
    seconds: float = 1.0
    taken: int = 0

    def __call__(self, precision: str) -> Look:
        assert precision == "fp32"
        share = self.shares[self.taken]
        self.taken += 1
        peak = None if share is None else share * DID
        return Look(Ceilings(fp32_ops_per_s=peak), self.unrest, self.seconds)


def setup(share: float | None, macs: int = MACS, flags: tuple[str, ...] = ("avx2",)) -> Setup:
    peak = None if share is None else share * DID
    machine = Machine("cpu", "x86_64", "Linux", 2, 1 << 30, flags, Ceilings(peak, None, 1e13), {})
    return cast("Setup", Known(machine, macs))


def completed(
    tmp_path: Path,
    looks: SecondLooks,
    given: Setup,
    median_ms: float = 4.5,
    counts: Counts | None = None,
) -> tuple[Setup, Footprint]:
    file = tmp_path / "model.bin"
    file.write_bytes(b"x")
    made = Made(Artifact(str(file), Format.ONNX, Signature((), ())), "engine", (), counts=counts)
    return looks.complete(given, BASE, made, latency(median_ms / 0.9), Footprint(0))


def test_a_figure_below_the_ceiling_needs_no_second_look(tmp_path: Path) -> None:
    look = Scripted([])
    _, found = completed(tmp_path, SecondLooks(look, {}), setup(2.0))
    assert found.ceiling_share == pytest.approx(0.5)
    assert look.taken == 0


def test_a_ceiling_that_was_too_low_is_raised(tmp_path: Path) -> None:
    look = Scripted([0.7, 1.6], unrest=BUSY)
    after, found = completed(tmp_path, SecondLooks(look, {}), setup(0.7))
    assert found.ceiling_share == pytest.approx(1 / 1.6)
    assert after.machine.ceilings.fp32_ops_per_s == pytest.approx(1.6 * DID)
    assert found.notes == ()


def test_on_a_busy_machine_the_engine_stays_and_the_ceiling_goes(tmp_path: Path) -> None:
    """136 % and 119 % of a peak that was measured under load: both engines were right."""
    look = Scripted([0.73, 0.72, 0.75, 0.70], unrest=BUSY)
    looks = SecondLooks(look, {})
    after, found = completed(tmp_path, looks, setup(0.73))
    assert (found.ceiling_share, found.ceiling) == (None, None)
    (note,) = found.notes
    assert "couldn't be measured (machine busy: other processes took 60%" in note.reason
    assert after.machine.ceilings == Ceilings(None, None, 1e13)
    assert look.taken == 4
    completed(tmp_path, looks, after)
    assert look.taken == 4  # the next one pays for no more of them


def test_looks_that_differ_for_no_reason_to_be_seen_convict_nobody(tmp_path: Path) -> None:
    look = Scripted([0.3, 0.6, 0.45, 0.2])
    _, found = completed(tmp_path, SecondLooks(look, {}), setup(0.73))
    assert "4 looks at it differ by 200%" in found.notes[-1].reason


def test_on_a_quiet_machine_a_figure_above_the_ceiling_is_refused(tmp_path: Path) -> None:
    look = Scripted([0.72, 0.73])
    looks = SecondLooks(look, {})
    with pytest.raises(MeasurementError, match="of the fp32 peak") as caught:
        completed(tmp_path, looks, setup(0.6))
    assert "quiet machine" in caught.value.remedy
    assert look.taken == 2
    # One that the raised ceiling allows is not convicted with it, though the looks are over.
    _, found = completed(tmp_path, looks, setup(0.6), median_ms=4.5 / 0.7)
    assert found.ceiling_share == pytest.approx(0.7 / 0.73)


def test_what_no_such_cpu_can_do_is_refused_however_busy_it_is(tmp_path: Path) -> None:
    look = Scripted([0.73] * 4, unrest=BUSY)
    # 20 TOP/s in fp32 on two cores of AVX2, which end at 0.4.
    with pytest.raises(MeasurementError):
        completed(tmp_path, SecondLooks(look, {}), setup(0.73, macs=450 * MACS))


def test_little_time_is_spent_on_looks(tmp_path: Path) -> None:
    look = Scripted([0.73] * 4, unrest=BUSY, seconds=12.0)
    _, found = completed(tmp_path, SecondLooks(look, {}), setup(0.73))
    assert look.taken == 1
    assert found.ceiling_share is None


def test_a_look_that_failed_settles_nothing(tmp_path: Path) -> None:
    look = Scripted([None] * 4)
    _, found = completed(tmp_path, SecondLooks(look, {}), setup(0.73))
    assert "no time for enough looks" in found.notes[-1].reason
    assert "no time" in unmeasured("fp32", []).reason


def test_a_changed_network_is_held_to_its_own_arithmetic(tmp_path: Path) -> None:
    """Narrower networks are faster than the original could be; that convicts nobody."""
    look = Scripted([0.73] * 4, unrest=BUSY)
    original = setup(0.73, macs=450 * MACS)
    own = Counts(parameters=99, macs=MACS)
    _, found = completed(tmp_path, SecondLooks(look, {}), original, counts=own)
    assert (found.parameters, found.macs) == (99, MACS)
    assert "couldn't be measured" in found.notes[0].reason

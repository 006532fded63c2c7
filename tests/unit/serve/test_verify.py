from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.bundle.draft import VariantDraft
from whet.core.contract import Contract
from whet.core.evidence import Ceilings, Machine
from whet.core.settings import Precision, Settings
from whet.core.standing import Standing
from whet.errors import HostError, OptionError
from whet.measure.cgroup import cores_for
from whet.serve.replay import Check
from whet.serve.timing import tuned_threads
from whet.serve.verify import standing_of, verify
from whet.testing.small_net import SmallNet

Variants = Callable[..., VariantDraft]
Bundles = Callable[..., Path]
MACHINE = Machine("Imaginary CPU", "x86_64", "Linux", 5, 8 << 30, (), Ceilings(), {})
WRONG = {name: array + 1 for name, array in SmallNet().answer(SmallNet().inputs(4)).items()}


def standings(found: tuple[Check, ...]) -> dict[str, Standing]:
    return {check.variant: check.standing for check in found}


def test_all_variants_answer_as_recorded(variant: Variants, bundle_of: Bundles) -> None:
    found = verify(bundle_of(variant("a"), variant("b", "openvino")), quick=True)
    assert found.ok
    assert standings(found.checks) == {"a": Standing.HOLDS, "b": Standing.HOLDS}
    assert all(r.ok for check in found.checks for r in check.results)


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("absent", ["unknown", "openvino"])
def test_a_default_whose_runtime_is_absent_keeps_nobody_from_checking_the_others(
    variant: Variants,
    bundle_of: Bundles,
    monkeypatch: pytest.MonkeyPatch,
    absent: str,
    quick: bool,
) -> None:
    bundle = bundle_of(variant("a", absent), variant("b"))
    monkeypatch.setitem(sys.modules, "openvino", None)  # as where it isn't installed
    found = verify(bundle, quick=quick)
    assert standings(found.checks) == {"a": Standing.UNCHECKED, "b": Standing.HOLDS}
    assert isinstance(found.checks[0].error, HostError)
    assert found.checks[0].error.remedy
    assert found.standing is Standing.UNCHECKED
    assert not found.ok
    assert found.latency is None
    assert [note.where for note in found.notes] == ([] if quick else ["latency"])


def test_a_default_that_this_machine_can_not_run(variant: Variants, bundle_of: Bundles) -> None:
    found = verify(
        bundle_of(variant("a", settings=Settings(precision=Precision.BF16)), variant("b"))
    )
    assert standings(found.checks) == {"a": Standing.FAILS, "b": Standing.HOLDS}
    assert isinstance(found.checks[0].error, OptionError)
    assert found.standing is Standing.FAILS
    assert found.latency is None


def test_a_wrong_answer_counts_against_the_bundle(variant: Variants, bundle_of: Bundles) -> None:
    found = verify(bundle_of(variant("a"), variant("b", goldens=WRONG)), quick=True)
    assert standings(found.checks) == {"a": Standing.HOLDS, "b": Standing.DIFFERS}
    assert found.standing is Standing.DIFFERS


def test_without_goldens_there_is_nothing_to_compare(variant: Variants, bundle_of: Bundles) -> None:
    found = verify(bundle_of(variant("a", goldens=None, tolerance=None), variant("b")), quick=True)
    assert standings(found.checks) == {"a": Standing.UNCHECKED, "b": Standing.HOLDS}


def test_latency_is_that_of_the_default_on_the_cores_it_was_tuned_for(
    variant: Variants, bundle_of: Bundles
) -> None:
    bundle = bundle_of(variant("a"), variant("b", "unknown"))  # its machine has one core
    seen: set[tuple[int, ...]] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            for child in psutil.Process().children():
                with suppress(psutil.Error):
                    seen.add(tuple(child.cpu_affinity()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        found = verify(bundle, seconds=2.0)
    finally:
        done.set()
        watcher.join()
    assert found.ok, "a variant that isn't the default may lack its runtime"
    assert found.latency is not None
    assert found.latency.batch == 2, "the rows per run of its goldens, where it states no latency"
    assert np.isfinite(found.latency.mean_ms)
    assert cores_for(1) in seen


def test_cores_are_those_of_the_contract_or_else_of_the_machine() -> None:
    assert tuned_threads(MACHINE, Contract(threads=3)) == 3
    assert tuned_threads(MACHINE, Contract()) == MACHINE.cores
    assert tuned_threads(MACHINE, None) == MACHINE.cores
    assert len(cores_for(1)) == 1
    allowed = psutil.Process().cpu_affinity()
    assert cores_for(10_000) == tuple(sorted(allowed))


@given(st.lists(st.sampled_from(Standing), min_size=1, max_size=6), st.data())
def test_the_whole_is_the_default_but_for_wrong_answers(
    each: list[Standing], data: st.DataObject
) -> None:
    checks = tuple(Check(str(number), standing) for number, standing in enumerate(each))
    default = data.draw(st.integers(0, len(each) - 1))
    whole = standing_of(checks, str(default))
    assert whole is (Standing.DIFFERS if Standing.DIFFERS in each else each[default])

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.bundle.draft import VariantDraft
from whet.core.settings import Precision, Settings
from whet.core.standing import Standing
from whet.errors import HostError, OptionError
from whet.serve.replay import Check
from whet.serve.verify import standing_of, verify
from whet.testing.small_net import SmallNet

Variants = Callable[..., VariantDraft]
Bundles = Callable[..., Path]
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


def test_latency_is_that_of_the_default(variant: Variants, bundle_of: Bundles) -> None:
    found = verify(bundle_of(variant("a"), variant("b", "unknown")), seconds=2.0)
    assert found.ok, "a variant that isn't the default may lack its runtime"
    assert found.latency is not None
    assert found.latency.batch == 2, "the rows per run of its goldens, where it states no latency"
    assert np.isfinite(found.latency.mean_ms)


@given(st.lists(st.sampled_from(Standing), min_size=1, max_size=6), st.data())
def test_the_whole_is_the_default_but_for_wrong_answers(
    each: list[Standing], data: st.DataObject
) -> None:
    checks = tuple(Check(str(number), standing) for number, standing in enumerate(each))
    default = data.draw(st.integers(0, len(each) - 1))
    whole = standing_of(checks, str(default))
    assert whole is (Standing.DIFFERS if Standing.DIFFERS in each else each[default])

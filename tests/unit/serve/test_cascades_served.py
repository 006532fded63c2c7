"""A cascade of a bundle: loaded, verified and benched like a variant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from whet.bundle.draft import GoldenDraft, VariantDraft
from whet.bundle.manifest import Cascade, CascadeStage
from whet.bundle.read import read_bundle
from whet.core.cascade import Confidence, Gate, Measure
from whet.core.confidence import confidence_of, stages_of
from whet.core.settings import Settings
from whet.core.standing import Standing
from whet.errors import BundleCorruptError, OptionError
from whet.serve.bench import bench
from whet.serve.loaded import load
from whet.serve.verify import verify
from whet.testing.small_net import SmallNet

NET = SmallNet()
INPUTS = NET.inputs(4)
ANSWERS = NET.answer(INPUTS)
RULE = Confidence(next(iter(ANSWERS)), Measure.TOP)
SURE = np.sort(confidence_of(RULE, ANSWERS, 1.0))

Variants = Callable[..., VariantDraft]
Bundles = Callable[..., Path]


def cascade(threshold: float, **fields: Any) -> Cascade:
    stages = (
        CascadeStage("quick", 0.5, Gate(threshold, 1.0)),
        CascadeStage("exact", 0.5),
    )
    return msgspec.structs.replace(Cascade("cascade", RULE, stages), **fields)


@pytest.fixture
def made(variant: Variants, bundle_of: Bundles) -> Callable[..., Path]:
    def write(threshold: float, *, batch: int = 2, **fields: Any) -> Path:
        fixed = {NET.signature.batch_symbol or "": batch}
        return bundle_of(
            variant("exact"),
            variant("quick", "openvino", settings=Settings(fixed=fixed), **fields),
            goldens=GoldenDraft(INPUTS, batch),
            cascades=(cascade(threshold),),
        )

    return write


MIDDLE = float(SURE[1] + SURE[2]) / 2


def test_it_is_loaded_like_a_variant_and_takes_any_number_of_rows(
    made: Callable[..., Path],
) -> None:
    bundle = made(MIDDLE)
    with load(bundle, "cascade") as loaded:
        before = loaded.left
        assert before == (2, 2)  # the goldens
        for count in (1, 2, 4):
            some = {name: array[:count] for name, array in INPUTS.items()}
            for name, array in loaded.run(some).items():
                np.testing.assert_allclose(array, ANSWERS[name][:count], rtol=1e-3, atol=1e-4)
        assert sum(loaded.left) == sum(before) + 7
    with load(bundle) as loaded:
        assert loaded.variant.name == "exact"
        assert loaded.left == ()


def test_a_bundle_with_one_says_so_by_its_version_and_an_unknown_name_names_it(
    made: Callable[..., Path],
) -> None:
    bundle = made(0.5)
    assert read_bundle(bundle).manifest.version == 2
    with pytest.raises(OptionError, match="exact, quick, cascade"):
        load(bundle, "other")


def test_a_bundle_without_any_stays_at_the_version_that_older_readers_take(
    variant: Variants, bundle_of: Bundles
) -> None:
    assert read_bundle(bundle_of(variant("only"))).manifest.version == 1


def test_it_is_verified_with_the_answers_of_its_stages(made: Callable[..., Path]) -> None:
    found = verify(made(MIDDLE), quick=True)
    assert [c.variant for c in found.checks] == ["exact", "quick", "cascade"]
    assert [c.standing for c in found.checks] == [Standing.HOLDS] * 3
    assert found.checks[-1].exits == "50% at 'quick', 50% at 'exact'"
    assert found.checks[0].exits == ""


def test_a_wrong_answer_of_a_stage_shows_where_rows_leave_there(
    made: Callable[..., Path],
) -> None:
    wrong = {name: array + 5 for name, array in ANSWERS.items()}
    bundle = made(0.0, goldens=wrong)
    found = verify(bundle, quick=True)
    assert found.checks[-1].standing is Standing.DIFFERS
    assert found.standing is Standing.DIFFERS
    with pytest.raises(BundleCorruptError, match="'cascade' answers otherwise"):
        load(bundle, "cascade")


def test_rows_that_leave_elsewhere_far_from_the_threshold_are_wrong(
    made: Callable[..., Path],
) -> None:
    """Recorded answers of a stage that was surer: the row should have left, and goes on."""
    surer = dict(ANSWERS)
    scores = surer[RULE.output].copy()
    scores[:] = 0
    scores[:, 0] = 50
    surer[RULE.output] = scores
    check = verify(made(0.5, goldens=surer), quick=True).checks[-1]
    assert check.standing is Standing.DIFFERS
    stages = check.results[0]
    assert (stages.tensor, stages.ok) == ("stages", False)
    assert "from the threshold" in stages.sentence


def test_a_row_at_the_threshold_may_leave_elsewhere(made: Callable[..., Path]) -> None:
    """As another processor rounds: the recorded confidence lies a hair on the other side."""
    nudged = dict(ANSWERS)
    nudged[RULE.output] = ANSWERS[RULE.output] * np.float32(1 + 1e-4)
    sure = np.sort(confidence_of(RULE, nudged, 1.0))
    own = np.sort(confidence_of(RULE, ANSWERS, 1.0))
    threshold = float(sure[0] + own[0]) / 2
    gates = [Gate(threshold, 1.0)]
    assert (
        stages_of([confidence_of(RULE, nudged, 1.0)], gates)
        != stages_of([confidence_of(RULE, ANSWERS, 1.0)], gates)
    ).any()
    assert verify(made(threshold, goldens=nudged), quick=True).checks[-1].standing is Standing.HOLDS


def test_without_goldens_of_a_stage_it_is_not_checked(made: Callable[..., Path]) -> None:
    bundle = made(0.5, goldens=None)
    assert verify(bundle, quick=True).checks[-1].standing is Standing.UNCHECKED
    with load(bundle, "cascade") as loaded:
        assert loaded.self_test() == ()


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream"])
def test_a_bench_tells_where_rows_left(made: Callable[..., Path], scenario: str) -> None:
    found = bench(
        made(MIDDLE),
        variant="cascade",
        scenario=scenario,
        seconds=0.3,
        rate_per_s=None,
        limit_ms=None,
    )
    assert found.variant == "cascade"
    assert found.exits == pytest.approx({"quick": 0.5, "exact": 0.5}, abs=0.1)
    assert found.certified_exits == {"quick": 0.5, "exact": 0.5}
    assert found.rows == (8 if scenario == "multi-stream" else 1)


def test_a_bench_of_a_variant_has_no_exits(made: Callable[..., Path]) -> None:
    found = bench(
        made(0.5),
        variant=None,
        scenario="single-stream",
        seconds=0.2,
        rate_per_s=None,
        limit_ms=None,
    )
    assert found.exits == found.certified_exits == {}

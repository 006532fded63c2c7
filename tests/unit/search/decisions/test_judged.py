from __future__ import annotations

import msgspec
import pytest
from trial_factory import quality

from whet.core.evidence import OutputCheck, Quality, Verdict
from whet.search.decisions.judged import deciding, metric_holds, quality_words, settled_by

OPEN, FAILED, PASSED = Verdict.UNDECIDED, Verdict.FAILED, Verdict.PASSED


def label(verdict: Verdict, *, rule: str = "equality", needed: int | None = 7495) -> OutputCheck:
    loss = 0.032 if verdict is FAILED else 0.00752
    asked = needed if verdict is OPEN else None
    return OutputCheck("label", rule, 798, loss, 0.0148, 0.01, verdict, "test", needed=asked)


def judged(
    verdict: Verdict, *outputs: OutputCheck, drop: float = 0.0012, needed: int | None = None
) -> Quality:
    return msgspec.structs.replace(
        quality(drop), verdict=verdict, outputs=outputs, output="scores", needed=needed
    )


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (judged(PASSED, label(PASSED)), []),
        (judged(OPEN, label(OPEN)), ["label"]),
        (judged(FAILED, label(FAILED)), ["label"]),
        (judged(FAILED, label(FAILED), drop=0.05), []),  # the metric's drop isn't allowed either
        (judged(OPEN, label(OPEN), drop=0.009), []),  # nor proven
        (judged(OPEN, label(OPEN), needed=298), []),  # too few samples to see what is destroyed
        (judged(OPEN, label(PASSED), needed=298), []),
        (judged(FAILED, label(FAILED), drop=0.009), ["label"]),
    ],
)
def test_an_output_decides_where_the_metric_by_itself_did_not(
    found: Quality, names: list[str]
) -> None:
    assert [c.name for c in deciding(found)] == names


def test_the_metric_may_be_proven_whatever_its_outputs_are() -> None:
    assert metric_holds(judged(OPEN, label(OPEN)))
    assert not metric_holds(judged(OPEN, label(OPEN), needed=298))
    assert not metric_holds(judged(FAILED, label(FAILED), drop=0.009))


@pytest.mark.parametrize(
    ("found", "samples"),
    [
        (judged(OPEN, label(OPEN)), 7495),
        (judged(OPEN, label(OPEN), needed=298), 7495),
        (judged(OPEN, label(OPEN, needed=200), needed=298), 298),
        (judged(OPEN, label(OPEN, needed=None), needed=298), None),  # none can say
        (judged(OPEN, label(OPEN), drop=0.009, needed=None), None),
        (judged(OPEN, label(PASSED), needed=298), 298),
        (judged(FAILED, label(FAILED), label(OPEN)), None),  # no samples mend it
        (judged(PASSED), None),
    ],
)
def test_the_samples_that_settle_a_verdict_count_every_output(
    found: Quality, samples: int | None
) -> None:
    assert settled_by(found) == samples


def test_the_output_that_decides_comes_first_with_its_figures() -> None:
    assert quality_words(judged(OPEN, label(OPEN))).startswith(
        "output 'label' is not proven: it differs from the original's in 0.752% of its values,"
        " at most 1.48%; allowed 1% (about 7,495 samples would settle it); top1 drop 0.0012"
    )
    own = label(FAILED, rule="constant")
    assert quality_words(judged(FAILED, own)).startswith(
        "output 'label' itself fails: it is away from the original's by 0.0320, at most 0.0148;"
    )
    metric = judged(OPEN, label(OPEN), drop=0.009)
    assert quality_words(metric).startswith("top1 drop 0.0090")

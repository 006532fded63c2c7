"""What the page says of a cascade."""

from __future__ import annotations

import evidence_factory as factory
import msgspec

from whet.core.cascade import Confidence, Gate, Measure
from whet.core.evidence import CascadeTrial, Evidence, Means, StagedTail, StageTrial
from whet.report.page import render


def with_cascade(**fields: object) -> Evidence:
    made = factory.evidence()
    first, last = made.trials[:2]
    cascade = CascadeTrial(
        "cascade",
        (StageTrial(first.id, Gate(0.8, 1.5), 0.7), StageTrial(last.id, None, 0.3)),
        Confidence("logits", Measure.MARGIN),
        factory.quality(0.002, 1000),
        certify=factory.quality(0.003, 8000),
        means=Means(8000, 1, 2.0, 16.0, 5.0, "int8-bf16", 2.5, 2.4, 2.6),
        tail=StagedTail(99.0, 21.0),
        variant="cascade",
    )
    return msgspec.structs.replace(made, cascade=msgspec.structs.replace(cascade, **fields))


def test_it_shows_the_stages_the_gain_in_the_mean_and_the_cost_in_the_tail() -> None:
    page = render(with_cascade())
    assert "<h2>Cascade</h2>" in page
    assert "Packed as &#x27;cascade&#x27;, beside the default variant" in page
    assert "2.50× faster in the mean (2.40× to 2.60×)" in page
    assert "the sum of them: p99 21.0 ms" in page
    assert "largest probability less the second" in page
    assert "70" in page
    assert "whatever gets here" in page
    assert "on the certify samples" in page


def test_one_that_was_not_packed_says_why() -> None:
    lost = "its mean is not shown to be below that of <int8>"
    page = render(with_cascade(variant=None, lost=lost, means=None, tail=None, certify=None))
    assert "Not packed: its mean is not shown to be below that of &lt;int8&gt;." in page
    assert "on the select samples" in page
    assert "faster in the mean" not in page


def test_without_one_there_is_no_such_part() -> None:
    assert "<h2>Cascade</h2>" not in render(factory.evidence())

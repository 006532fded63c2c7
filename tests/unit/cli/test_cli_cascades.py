"""What the verbs say of a cascade."""

from __future__ import annotations

import io
import json

import evidence_factory as factory
import msgspec
from fake_api import Bench, FakeApi, Inspection, manifest, verification

from whet.bundle.manifest import Cascade, CascadeStage, QualitySummary
from whet.cli.console import Console
from whet.cli.main import main
from whet.core.cascade import Confidence, Gate, Measure
from whet.core.evidence import Means, StagedTail
from whet.core.standing import Standing
from whet.serve.replay import Check

CASCADE = Cascade(
    "cascade",
    Confidence("logits", Measure.TOP),
    (CascadeStage("int8", 0.7, Gate(0.8, 1.5)), CascadeStage("int8-bf16", 0.3)),
    Means(8000, 1, 2.0, 16.0, 5.0, "int8-bf16", 2.5, 2.4, 2.6),
    StagedTail(99.0, 21.0),
    QualitySummary.of(factory.quality(0.004, 8000), certified=True),
)


def said(api: FakeApi, *words: str) -> str:
    out = io.StringIO()
    main(words, console=Console(out=out, err=io.StringIO(), environment={}), api=lambda: api)
    return out.getvalue()


def test_inspect_tells_its_stages_the_gain_in_the_mean_and_the_cost_in_the_tail() -> None:
    with_one = msgspec.structs.replace(manifest(), cascades=(CASCADE,))
    text = said(FakeApi(inspection=Inspection(with_one)), "inspect", "b")
    assert "cascade, a cascade: 70% leave at 'int8', 30% leave at 'int8-bf16'" in text
    assert "Mean 2.00 ms over 8,000 queries; the original 16.0 ms" in text
    assert "the best single variant, 'int8-bf16', 5.00 ms: 2.50× faster in the mean" in text
    assert "takes the sum of them: p99 21.0 ms" in text
    assert "passed" in text
    bare = msgspec.structs.replace(CASCADE, means=None, tail=None, quality=None)
    unmeasured = msgspec.structs.replace(manifest(), cascades=(bare,))
    assert "Mean" not in said(FakeApi(inspection=Inspection(unmeasured)), "inspect", "b")
    assert "a cascade" not in said(FakeApi(), "inspect", "b")


def test_verify_and_bench_tell_where_rows_left() -> None:
    checks = (
        Check("int8-bf16", Standing.HOLDS),
        Check("cascade", Standing.HOLDS, exits="70% at 'int8', 30% at 'int8-bf16'"),
    )
    api = FakeApi(verification=verification(*checks))
    assert "golden rows left: 70% at 'int8', 30% at 'int8-bf16'" in said(api, "verify", "b")
    document = json.loads(said(api, "verify", "b", "--json"))
    assert document["variants"]["cascade"]["exits"].startswith("70%")
    assert document["variants"]["int8-bf16"]["exits"] == ""
    exits = {"int8": 0.7, "int8-bf16": 0.3}
    api = FakeApi(benched=Bench(variant="cascade", exits=exits, certified_exits={"int8": 1.0}))
    text = said(api, "bench", "b")
    assert "rows left: 70% at 'int8', 30% at 'int8-bf16'; of the certify samples 100%" in text
    assert json.loads(said(api, "bench", "b", "--json"))["exits"] == exits
    assert "rows left" not in said(FakeApi(), "bench", "b")

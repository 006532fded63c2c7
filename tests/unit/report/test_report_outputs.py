"""The report tells which outputs were compared, and how."""

from __future__ import annotations

import evidence_factory as factory
import msgspec

from whet.core.evidence import Evidence, OutputCheck, Quality, Verdict
from whet.report import render
from whet.report.facts import Facts
from whet.report.outputs import render_outputs


def with_quality(**changes: object) -> Evidence:
    """The usual record with more said of the chosen one's certificate."""
    evidence = factory.evidence()
    trials = tuple(
        msgspec.structs.replace(t, certify=msgspec.structs.replace(t.certify, **changes))
        if t.id == evidence.chosen and t.certify is not None
        else t
        for t in evidence.trials
    )
    return msgspec.structs.replace(evidence, trials=trials)


def second(verdict: Verdict, broken: int = 0) -> OutputCheck:
    return OutputCheck("head<2>", "distance", 900, 0.0021, 0.0032, 0.01, verdict, "test", broken)


def test_one_output_needs_no_section() -> None:
    assert render_outputs(Facts(factory.evidence())) is None
    assert render_outputs(Facts(factory.empty())) is None


def test_every_other_output_has_a_row_and_ignored_ones_are_named() -> None:
    evidence = with_quality(output="scores", outputs=(second(Verdict.PASSED),), ignored=("hidden",))
    found = str(render_outputs(Facts(evidence)))
    assert "scores" in found
    assert "head&lt;2&gt;" in found
    assert "0.0032" in found
    assert "Not compared, as was asked: hidden." in found
    page = render(evidence)
    assert "<h2>Outputs</h2>" in page
    assert "with 1 other output held to the original" in page


def test_the_judged_output_that_is_guarded_too_is_no_other_output() -> None:
    own = msgspec.structs.replace(second(Verdict.PASSED), name="scores", rule="constant")
    page = render(with_quality(output="scores", outputs=(own, second(Verdict.PASSED))))
    assert "with 1 other output held to the original" in page
    assert "a constant would nearly keep" in page
    assert "other output" not in render(with_quality(output="scores", outputs=(own,)))


def test_a_failed_output_stands_out_and_takes_the_claim_back() -> None:
    evidence = with_quality(output="scores", outputs=(second(Verdict.FAILED, broken=2),))
    assert "not finite on 2 rows" in str(render_outputs(Facts(evidence)))
    assert "shown to stay the original" in render(evidence)


def test_an_untouched_engine_that_is_the_original_says_on_how_many_samples() -> None:
    evidence = with_quality(same=True, difference=1e-6, verdict=Verdict.PASSED)
    facts = Facts(evidence)
    chosen = facts.chosen
    assert chosen is not None
    assert facts.quality(chosen) is None, "no bound is shown for what was compared in full"
    assert isinstance(chosen.certify, Quality)
    assert f"{chosen.certify.n:,} samples" in str(render_outputs(facts))


def test_an_untouched_engine_that_was_judged_is_not_shown_as_lossless() -> None:
    evidence = factory.evidence()
    base = next(t for t in evidence.trials if t.id == evidence.baseline)
    assert Facts(evidence).untouched(base)
    lossy = msgspec.structs.replace(base, certify=factory.quality(0.5, 900))
    assert not Facts(evidence).untouched(lossy)


def test_the_tables_tell_which_output_decided_and_what_it_needs() -> None:
    check = msgspec.structs.replace(second(Verdict.UNDECIDED), bound=0.02, needed=4000)
    page = render(with_quality(verdict=Verdict.UNDECIDED, outputs=(check,), needed=None))
    assert "output 'head&lt;2&gt;' is not proven" in page.replace("&#x27;", "'").replace(
        "&#39;", "'"
    )
    assert "about 4,000 samples would settle it" in page

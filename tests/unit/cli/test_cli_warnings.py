"""What the closing table says beside the verdict, and which percentile is shown."""

from __future__ import annotations

import io

import evidence_factory as factory
import msgspec
import pytest
from fake_api import FakeApi, Inspection

from whet.cli.closing import closing
from whet.cli.console import Console, Paint
from whet.cli.main import main
from whet.cli.story import figures
from whet.core.evidence import Evidence, Latency, Percentile, Status, Trial
from whet.core.note import Note
from whet.report.facts import Facts
from whet.report.headline import headline
from whet.search.budget.spending import over_notes

TAIL = Percentile(99.9, 77.7, None, None)


def said(evidence: Evidence) -> str:
    return "\n".join(closing(evidence, bundle=None, columns=300, paint=Paint(False)))


def with_tail(latency: Latency) -> Latency:
    return msgspec.structs.replace(latency, percentiles=(*latency.percentiles, TAIL))


def crashed(evidence: Evidence) -> Evidence:
    lost = next(t for t in evidence.trials if t.name == "onnxruntime fp32")
    failed = msgspec.structs.replace(
        lost, status=Status.CRASHED, latency=None, speedup=None, notes=(Note("x", "It died."),)
    )
    trials = tuple(failed if t.id == lost.id else t for t in evidence.trials)
    return msgspec.structs.replace(evidence, trials=trials)


def test_the_original_s_own_score_stands_below_the_table() -> None:
    assert "original: top-1 " in said(factory.evidence())
    assert "on 3,200 samples" in said(factory.evidence())


def test_what_was_seen_at_the_start_stands_in_where_nothing_was_judged() -> None:
    note = Note("original", "top-1 4.0 % on 64 of the select samples.")
    found = factory.evidence(notes=(note,))
    bare = tuple(msgspec.structs.replace(t, select=None, certify=None) for t in found.trials)
    assert "original: top-1 4.0 % on 64" in said(msgspec.structs.replace(found, trials=bare))


def test_without_labels_the_original_has_no_score() -> None:
    unlabelled = msgspec.structs.replace(factory.SAMPLES, labelled=False)
    assert "original:" not in said(factory.evidence(samples=unlabelled))


def test_what_takes_the_worth_from_a_verdict_is_said_with_it() -> None:
    notes = (
        Note("weights", "The network isn't trained."),
        Note("chance", "The original is not above chance."),
        Note("certify samples", "This is the third verdict."),
        *over_notes([("rung 1", 0.0)], 16.0, 5.0),
        Note("energy", "No counter."),
    )
    text = said(factory.evidence(notes=notes))
    assert "! budget exceeded: The search took 16 s, its budget was 5 s: rung 1 16 s." in text
    for note in notes[:3]:
        assert f"! {note.where}: {note.reason}" in text
    assert "No counter" not in text


def test_the_best_untouched_is_not_claimed_where_one_failed() -> None:
    whole, gap = factory.evidence(), crashed(factory.evidence())
    assert "best untouched runtime of those that ran" not in headline(Facts(whole))
    assert "best untouched runtime of those that ran" in headline(Facts(gap))
    assert "onnxruntime fp32 (crashed)" in said(gap)
    same = msgspec.structs.replace(gap, chosen=gap.baseline)
    assert "on its best runtime of those that ran" in headline(Facts(same))


def test_the_contract_s_percentile_is_shown_while_it_runs() -> None:
    trial: Trial = factory.evidence().trials[0]
    assert trial.latency is not None
    trial = msgspec.structs.replace(trial, latency=with_tail(trial.latency))
    assert figures(trial, factory.CONTRACT).startswith("p99 ")


def test_inspect_shows_the_contract_s_percentile() -> None:
    api = FakeApi()
    found = api.inspect("b")
    variants = tuple(
        msgspec.structs.replace(
            v,
            latency=tuple(
                msgspec.structs.replace(one, percentiles=(*one.percentiles, TAIL))
                for one in v.latency
            ),
        )
        for v in found.manifest.variants
    )
    tailed = Inspection(manifest=msgspec.structs.replace(found.manifest, variants=variants))
    out = io.StringIO()

    class Tailed(FakeApi):
        def inspect(self, bundle: object) -> Inspection:
            return tailed

    console = Console(out=out, err=io.StringIO(), environment={})
    assert main(("inspect", "b"), console=console, api=Tailed) == 0
    assert "p99 " in out.getvalue()
    assert "p99.9" not in out.getvalue()


def test_the_help_names_every_kind_of_weights(capsys: pytest.CaptureFixture[str]) -> None:
    main(("optimize", "--help"), api=FakeApi)
    text = capsys.readouterr().out
    for suffix in (".safetensors", ".npz", ".pt", ".pth", ".pth.tar", ".bin", ".ckpt"):
        assert suffix in text

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import evidence_factory as factory
import msgspec
import pytest
from fake_api import FakeApi, verification
from hypothesis import given
from hypothesis import strategies as st

from whet.bundle.golden import GoldenResult
from whet.cli.closing import closing, table
from whet.cli.console import Console, Paint, clip, plain, width_of
from whet.cli.main import main
from whet.core.contract import Contract
from whet.core.evidence import Evidence, OutputCheck, Verdict
from whet.core.note import Note
from whet.core.standing import Standing
from whet.search.words.outputs import held_words
from whet.serve.replay import Check


def call(*words: str, api: FakeApi | None = None) -> tuple[int, str, str, FakeApi]:
    out, err = io.StringIO(), io.StringIO()
    given = api if api is not None else FakeApi()
    code = main(words, console=Console(out=out, err=err, environment={}), api=lambda: given)
    return code, out.getvalue(), err.getvalue(), given


def test_optimize_hands_over_what_was_said() -> None:
    words = (
        *("optimize", "net.py:build", "--weights", "w.safetensors", "--samples", "s.csv"),
        *(
            "--labels",
            "l.csv",
            "--train",
            "t.npz",
            "--label-key",
            "y",
            "--text-keys",
            "a, b",
            "--label-offset",
            "1",
        ),
        *("--p99", "5ms", "--budget", "10m", "--seed", "7", "--runtimes", "openvino,onnxruntime"),
        *("--out", "o.whet", "--ledger", "l.sqlite", "--most", "500", "--pairs", "join"),
    )
    code, out, err, api = call(*words)
    assert code == 0
    ((verb, args, options),) = api.calls
    assert verb == "optimize"
    assert args == ("net.py:build", "s.csv", Contract(limit_ms=5.0))
    assert options == {
        "weights": "w.safetensors",
        "transform": None,
        "labels": "l.csv",
        "train": "t.npz",
        "budget_s": 600.0,
        "label_key": "y",
        "pairs": "join",
        "text_keys": ("a", "b"),
        "label_offset": 1,
        "most": 500,
        "ledger": "l.sqlite",
        "seed": 7,
        "runtimes": ("openvino", "onnxruntime"),
        "out": Path("o.whet"),
        "command": "whet " + " ".join(words).replace("a, b", "'a, b'"),
    }
    assert "Contract kept" in out
    assert "o.whet/report.html" in out
    assert "Rung 2" in err


def test_no_time_limit_and_the_default_folder() -> None:
    _, _, _, api = call("optimize", "nets/a.onnx", "--samples", "s.npz", "--budget", "none")
    assert api.calls[0][2]["budget_s"] is None
    assert api.calls[0][2]["out"] == Path("a.whet")


def test_json_is_one_document_and_nothing_else() -> None:
    code, out, err, _ = call("optimize", "n.onnx", "--samples", "s.npz", "--json")
    document = json.loads(out)
    assert document["exit_code"] == code == 0
    assert document["kept"] == "passed"
    assert document["bundle"] == "n.whet"
    assert document["evidence"]["seconds"] == 611.0
    assert document["evidence"]["peak_bytes"] == 3_180_000_000
    assert msgspec.convert(document["evidence"], Evidence).trials == factory.evidence().trials
    assert "Rung 1" in err, "progress goes to stderr"


def test_quiet() -> None:
    _, out, err, _ = call("optimize", "n.onnx", "--samples", "s.npz", "--quiet")
    assert err == ""
    assert "Contract kept" in out


@pytest.mark.parametrize("verb", ["inspect", "verify", "bench"])
def test_the_other_verbs_give_documents_too(verb: str) -> None:
    code, out, err, _ = call(verb, "b", "--json")
    assert (code, err) == (0, "")
    assert isinstance(json.loads(out), dict)


def test_inspect_shows_variants() -> None:
    _, out, _, _ = call("inspect", "b")
    for words in ("resnet50", "int8-bf16", "p99 6.08 ms", "0.70 pt", "Example Xeon", "passed"):
        assert words in out
    assert out.count("▸") == 1


def test_inspect_tells_every_output() -> None:
    api = FakeApi()
    found = api.inspection.manifest
    first = next(v for v in found.variants if v.quality is not None)
    boxes = OutputCheck("boxes", "distance", 9, 0.02, 0.0312, 0.03, Verdict.FAILED, "mean")
    quality = msgspec.structs.replace(first.quality, outputs=(boxes,), ignored=("mask",))
    changed = msgspec.structs.replace(first, quality=quality)
    variants = tuple(changed if v is first else v for v in found.variants)
    api.inspection.manifest = msgspec.structs.replace(found, variants=variants)
    _, out, _, _ = call("inspect", "b", api=api)
    assert f"{first.name}, output 'boxes': at most 0.0312 lost, 0.0300 allowed, failed" in out
    assert f"{first.name}: not compared, as was asked: 'mask'" in out


def test_verify_says_what_differs() -> None:
    bad = GoldenResult("logits", False, 3.0, 0.4, 0.5, "logits: differs by 3.0, allowed 0.4.")
    differing = Check("int8-bf16", Standing.DIFFERS, (bad,))
    differences = (Note("cpu", "tuned for A, here B"),)
    api = FakeApi(verification=verification(differing, differences=differences))
    _, out, _, _ = call("verify", "b", api=api)
    for words in (
        "answers otherwise here",
        "differs by 3.0",
        "tuned for A, here B",
        "does not hold",
    ):
        assert words in out
    _, out, _, api = call("verify", "b", "--quick")
    assert api.calls[0][2] == {"quick": True, "trust_code": False}
    assert "The bundle holds here." in out


def test_bench_hands_over_its_scenario() -> None:
    words = (
        "bench",
        "b",
        "--scenario",
        "server",
        "--rate",
        "100",
        "--limit",
        "5ms",
        "--seconds",
        "2m",
    )
    api = FakeApi()
    api.benched.outcome = msgspec.structs.replace(
        api.benched.outcome, limit_ms=5.0, misses=3, dropped=2, verdict=Verdict.FAILED
    )
    code, out, _, _ = call(*words, api=api)
    assert code == 2
    assert api.calls[0][2] == {
        "variant": None,
        "scenario": "server",
        "seconds": 120.0,
        "rate_per_s": 100.0,
        "limit_ms": 5.0,
        "percentile": None,
        "inputs": None,
        "label_key": None,
        "text_keys": None,
        "trust_code": False,
    }
    assert "0 errors, 2 dropped" in out
    assert "p90 ≤ 5 ms: failed, 3 misses" in out
    assert "5.94 to 6.32" in out


@pytest.mark.parametrize("verb", ["verify", "bench"])
def test_code_is_trusted_only_where_that_is_said(verb: str) -> None:
    assert call(verb, "b")[3].calls[0][2]["trust_code"] is False
    assert call(verb, "b", "--trust-code")[3].calls[0][2]["trust_code"] is True


def test_report_writes_the_page(tmp_path: Path) -> None:
    where = tmp_path / "r.html"
    code, out, _, _ = call("report", "b", "--out", str(where))
    assert code == 0
    assert where.read_text().startswith("<!doctype html>")
    assert str(where) in out
    _, out, _, _ = call("report", "b", "--out", "-")
    assert out == where.read_text()


@pytest.mark.parametrize(
    "make",
    [
        factory.evidence,
        factory.failed,
        factory.undecided,
        factory.one_trial,
        factory.empty,
        factory.many,
    ],
)
@pytest.mark.parametrize("columns", [40, 80, 140])
def test_the_closing_table_fits(make: object, columns: int) -> None:
    lines = closing(make(), bundle="b", columns=columns, paint=Paint(False))
    assert all(width_of(line) <= columns for line in lines)
    assert any(line.startswith(("✓", "✕", "?")) for line in lines)


@pytest.mark.parametrize("make", [factory.evidence, factory.undecided, factory.many])
def test_the_verdicts_are_readable_at_eighty_columns(make: Callable[[], Evidence]) -> None:
    evidence = make()
    lines = closing(evidence, bundle="b", columns=80, paint=Paint(False))
    rows = [line for line in lines if line.startswith(("▸", "   openvino"))]
    assert rows[0].endswith("  chosen")
    assert any(row.endswith("  best untouched") for row in rows)
    assert not any("…" in row[-14:] for row in rows), "no verdict is cut"
    heads = lines[1].split()
    assert heads[:5] == ["candidate", "p99", "×", "at", "p50"], "which percentile it is of"
    assert heads[-2:] == ["at", "most"]
    wide = closing(evidence, bundle="b", columns=140, paint=Paint(False))[1]
    assert wide.split()[1:8] == ["p99", "p50", "×", "at", "p50", "size", "lost"]


def test_long_names_give_way_to_figures_and_verdicts() -> None:
    evidence = factory.evidence()
    name = "openvino int8 (ranges minmax, bias correction off, preset mixed)"
    trials = tuple(
        msgspec.structs.replace(t, name=name) if t.id == evidence.chosen else t
        for t in evidence.trials
    )
    long = msgspec.structs.replace(evidence, trials=trials)
    row = closing(long, bundle="b", columns=80, paint=Paint(False))[2]
    assert row.startswith("▸  openvino int8 (ranges m")
    assert "…  6.08 ms" in row
    assert row.endswith("  chosen")


def test_a_percentile_that_nobody_has_gives_way_to_one_that_all_have() -> None:
    evidence = factory.evidence()
    trials = tuple(
        msgspec.structs.replace(t, latency=factory.latency(5.0, queries=100)) if t.latency else t
        for t in evidence.trials
    )
    few = msgspec.structs.replace(evidence, trials=trials)
    lines = closing(few, bundle="b", columns=100, paint=Paint(False))
    head, first = lines[1:3]
    assert head.split()[:3] == ["candidate", "p90", "p50"]
    assert "–" not in first
    assert "   p90 is shown: p99 takes 459 queries, 100 were had at most" in lines


@pytest.mark.parametrize(
    ("verdict", "role"),
    [(Verdict.UNDECIDED, "not proven: 'label'"), (Verdict.FAILED, "failed: 'label'")],
)
def test_the_closing_table_names_the_output_that_decided(verdict: Verdict, role: str) -> None:
    evidence = factory.evidence()
    check = OutputCheck("label", "equality", 900, 0.0075, 0.0148, 0.01, verdict, "test")
    trials = tuple(
        msgspec.structs.replace(
            t, certify=msgspec.structs.replace(t.certify, verdict=verdict, outputs=(check,))
        )
        if t.certify is not None and t.name == "openvino int8"
        else t
        for t in evidence.trials
    )
    held = msgspec.structs.replace(evidence, trials=trials)
    lines = closing(held, bundle="b", columns=100, paint=Paint(False))
    assert any(line.startswith("   openvino int8 ") and line.endswith(role) for line in lines)
    assert any(line.startswith("   openvino int8: output 'label'") for line in lines)
    told = msgspec.structs.replace(
        held, sentence=f"Told: {held_words(next(t for t in trials if t.name == 'openvino int8'))}."
    )
    again = closing(told, bundle="b", columns=100, paint=Paint(False))
    # Only where that sentence is printed it needn't be told twice.
    assert any(line.startswith("   openvino int8: output 'label'") for line in again)
    lost = msgspec.structs.replace(told, kept=Verdict.FAILED)
    last = closing(lost, bundle="b", columns=100, paint=Paint(False))
    assert not any(line.startswith("   openvino int8: output 'label'") for line in last)


def test_an_open_speed_up_is_marked() -> None:
    evidence = factory.evidence()
    trials = tuple(
        msgspec.structs.replace(t, speedup=factory.ratio(1.01)) if t.certify else t
        for t in evidence.trials
    )
    changed = msgspec.structs.replace(evidence, trials=trials)
    text = "\n".join(closing(changed, bundle="b", columns=100, paint=Paint(False)))
    assert "≈1.01×" in text
    assert "   ≈ no clear difference, or too noisy to call\n" in text


def test_tables_line_up() -> None:
    assert table(["", "name", "ms"], [["a", "漢字", "1.0"], ["b", "x", "10.0"]], left=2) == [
        "   name  ms",
        "a  漢字  1.0",
        "b  x     10.0",
    ]


def test_names_can_not_drive_the_terminal() -> None:
    assert plain("a\x1b[31m\nb\u202e") == "a [31m b "
    evil = factory.hostile("\x1b]0;owned\x07")
    out = "\n".join(closing(evil, bundle="\x1b[2J", columns=100, paint=Paint(False)))
    assert "\x1b" not in out
    assert "\x07" not in out


@given(st.text(max_size=40), st.integers(min_value=1, max_value=30))
def test_clipped_text_fits(text: str, columns: int) -> None:
    assert width_of(clip(plain(text), columns)) <= columns


def test_a_stream_that_can_not_show_our_signs() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    Console(out=out, err=io.StringIO(), environment={}).say("5.41× ≤ 3")
    assert raw.getvalue() == b"5.41? ? 3\n"


def test_it_is_said_that_decoding_is_outside_of_the_latency() -> None:
    words = "of the network only; decoding and resizing pictures is not inside"
    assert words in call("inspect", "b")[1]
    assert words in call("bench", "b")[1]
    note = Note("transform", f"Latencies are {words}.")
    lines = closing(factory.evidence(notes=(note,)), bundle="b", columns=100, paint=Paint(False))
    assert any(words in line for line in lines)
    assert not any(line.startswith("!") for line in lines)
    api = FakeApi()
    points = factory.latency(5.0).percentiles
    api.benched.parts = {"transform": points, "network": points}
    _, out, _, _ = call("bench", "b", "--inputs", "pictures/", api=api)
    assert "of which decoding and resizing pictures: p50 5.00 ms" in out
    assert "of which network: p50 5.00 ms" in out
    assert api.calls[0][2]["inputs"] == "pictures/"
    api = FakeApi()
    call("bench", "b", "--inputs", "t.csv", "--text-keys", "a, b", "--label-key", "stars", api=api)
    assert api.calls[0][2]["text_keys"] == ("a", "b")
    assert api.calls[0][2]["label_key"] == "stars"

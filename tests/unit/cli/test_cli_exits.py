from __future__ import annotations

import io
import json
import re
from pathlib import Path

import evidence_factory as factory
import pytest
from fake_api import FakeApi, verification

from whet import errors
from whet.cli.console import Console
from whet.cli.exits import TABLE, Exit
from whet.cli.main import main
from whet.core.evidence import Verdict
from whet.core.standing import Standing
from whet.errors import ContractError, Issue, WhetError
from whet.search.intake.early import all_of
from whet.serve.clauses import ClauseHere
from whet.serve.replay import Check

OPTIMIZE = ("optimize", "net.py:build", "--samples", "s.npz")


def call(*words: str, api: FakeApi | None = None) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    given = api if api is not None else FakeApi()
    code = main(words, console=Console(out=out, err=err, environment={}), api=lambda: given)
    return code, out.getvalue(), err.getvalue()


def leaves(kind: type[WhetError]) -> list[type[WhetError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in leaves(child))]


@pytest.mark.parametrize("kind", leaves(WhetError), ids=lambda k: k.__name__)
def test_every_error_has_its_code_one_sentence_and_no_traceback(kind: type[WhetError]) -> None:
    if kind is ContractError:
        error: WhetError = ContractError((Issue("batch", "is wrong.", "Give 1."),))
    else:
        error = kind("Something is wrong.", "Do the right thing.")
    code, out, err = call("inspect", "b", api=FakeApi(fails=error))
    assert code == kind.exit_code
    assert Exit(code) in TABLE
    assert out == ""
    assert "wrong" in err
    assert "Traceback" not in err
    assert err.count("\n") == 2


def test_the_table_names_every_code_of_the_error_tree() -> None:
    known = {kind.exit_code for kind in leaves(WhetError)}
    assert known <= {int(code) for code in TABLE}
    assert set(errors.__all__) >= {kind.__name__ for kind in leaves(WhetError)}
    assert set(TABLE) == set(Exit)


def test_kept_not_kept_and_not_proven() -> None:
    assert call(*OPTIMIZE)[0] == 0
    assert call(*OPTIMIZE, api=FakeApi(evidence=factory.failed()))[0] == 2
    assert call(*OPTIMIZE, api=FakeApi(evidence=factory.undecided()))[0] == 2
    assert call(*OPTIMIZE, api=FakeApi(evidence=factory.empty()))[0] == 2


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("frobnicate",),
        ("optimize",),
        ("optimize", "net.py:build"),
        (*OPTIMIZE, "--batch", "many"),
        (*OPTIMIZE, "--unknown"),
        (*OPTIMIZE, "--budget", "soon"),
        (*OPTIMIZE, "--p99", "fast"),
        ("bench", "b", "--scenario", "other"),
        ("bench", "b", "--limit", "x"),
    ],
)
def test_a_wrong_command_line_is_wrong_input(words: tuple[str, ...]) -> None:
    api = FakeApi()
    code, out, err = call(*words, api=api)
    assert code == 3
    assert out == ""
    assert err.strip()
    assert api.calls == [], "nothing was started"


def test_all_clauses_are_listed() -> None:
    code, _, err = call(*OPTIMIZE, "--p99", "x", "--batch", "0", "--confidence", "7")
    assert code == 3
    assert err.count("\n  - ") == 3


def test_an_unexpected_error_leaves_its_traceback_in_a_file() -> None:
    code, out, err = call("inspect", "b", api=FakeApi(fails=ZeroDivisionError("by\x1b[31m zero")))
    assert (code, out) == (1, "")
    assert "ZeroDivisionError: by [31m zero" in err
    assert "Traceback" not in err
    where = re.search(r"The traceback is in (\S+)\. ", err)
    assert where is not None
    kept = Path(where[1])
    assert "Traceback" in kept.read_text()
    kept.unlink()


def test_debug_shows_the_traceback() -> None:
    code, _, err = call("inspect", "b", "--debug", api=FakeApi(fails=ZeroDivisionError("by zero")))
    assert code == 1
    assert "Traceback" in err


def test_interrupted() -> None:
    code, out, err = call("inspect", "b", api=FakeApi(fails=KeyboardInterrupt()))
    assert (code, out) == (130, "")
    assert "Interrupted" in err
    code, out, err = call(*OPTIMIZE, api=FakeApi(fails=KeyboardInterrupt()))
    assert (code, out) == (130, "")
    assert "give the same command again" in err
    for words in (OPTIMIZE, ("inspect", "b")):
        code, out, _ = call(*words, "--json", api=FakeApi(fails=KeyboardInterrupt()))
        assert code == json.loads(out)["exit_code"] == 130
        assert json.loads(out)["error"]["kind"] == "Stopped"


def test_several_errors_stand_on_a_line_each_and_names_break_none() -> None:
    clauses = ContractError(
        (Issue("batch", "is wrong.", "Give 1."), Issue("output", "no.", "Yes."))
    )

    def missing() -> None:
        raise errors.NetworkError("There is no 'a\nb'.", "Look.")

    def unread() -> None:
        raise clauses

    with pytest.raises(errors.InputError) as caught:
        all_of(missing, unread)
    code, _, err = call("inspect", "b", api=FakeApi(fails=caught.value))
    assert code == 3
    assert err.splitlines() == [
        "Several things are wrong:",
        "  - There is no 'a b'. Look.",
        "  - batch: is wrong. Give 1.",
        "  - output: no. Yes.",
    ]
    _, out, _ = call("inspect", "b", "--json", api=FakeApi(fails=caught.value))
    assert [(i["where"], i["remedy"]) for i in json.loads(out)["error"]["issues"]] == [
        ("", "Look."),
        ("batch", "Give 1."),
        ("output", "Yes."),
    ]


def test_errors_are_documents_too_where_json_is_wanted() -> None:
    error = errors.SamplesError("No labels.", "Give --labels.")
    code, out, err = call(*OPTIMIZE, "--json", api=FakeApi(fails=error))
    assert code == 3
    assert json.loads(out) == {
        "error": {
            "kind": "SamplesError",
            "message": "No labels.",
            "remedy": "Give --labels.",
            "issues": [],
        },
        "exit_code": 3,
    }
    assert "No labels." in err
    code, out, _ = call("optimize", "--json")
    assert json.loads(out)["exit_code"] == code == 3
    code, out, _ = call(*OPTIMIZE, "--json", "--batch", "0")
    assert json.loads(out)["error"]["issues"][0]["where"] == "--batch"


NO_RUNTIME = errors.RuntimeUnavailableError("'int8' can't run here.", "Install its runtime.")
UNTRUSTED = errors.UntrustedCodeError("Opening it runs code.", "Say that you trust it.")


@pytest.mark.parametrize(
    ("check", "code", "said"),
    [
        (Check("int8-bf16", Standing.HOLDS), 0, "holds here."),
        (Check("int8-bf16", Standing.DIFFERS), 5, "does not hold here."),
        (Check("int8-bf16", Standing.FAILS, error=errors.EngineError("No.", "Do.")), 5, "not hold"),
        (Check("int8-bf16", Standing.UNCHECKED, error=NO_RUNTIME), 4, "is not known"),
        (Check("int8-bf16", Standing.UNCHECKED, error=UNTRUSTED), 2, "is not known"),
    ],
)
def test_a_bundle_that_does_not_hold_is_told_from_one_that_was_not_checked(
    check: Check, code: int, said: str
) -> None:
    found, out, _ = call("verify", "b", api=FakeApi(verification=verification(check)))
    assert found == code
    assert said in out.splitlines()[-1]
    if check.error is not None:
        assert check.error.message in out
        assert check.error.remedy in out
    found, out, _ = call("verify", "b", "--json", api=FakeApi(verification=verification(check)))
    document = json.loads(out)
    assert document["exit_code"] == found == code
    assert document["ok"] is (code == 0)
    assert document["standing"] == document["variants"]["int8-bf16"]["standing"] == check.standing
    remedy = check.error.remedy if check.error is not None else ""
    assert document["variants"]["int8-bf16"]["remedy"] == remedy


@pytest.mark.parametrize(
    ("verdict", "code", "said"),
    [
        (Verdict.PASSED, 0, "The bundle holds here."),
        (Verdict.FAILED, 2, "the contract does not: latency."),
        (Verdict.UNDECIDED, 2, "is not proven: latency."),
        (None, 0, "The bundle holds here. Not looked at: latency."),
    ],
)
def test_a_contract_that_is_not_kept_here_is_told_from_answers_that_differ(
    verdict: Verdict | None, code: int, said: str
) -> None:
    clauses = (
        ClauseHere("latency", verdict, "p99 9.38 ms, limit 2 ms"),
        ClauseHere("quality", Verdict.PASSED, "as certified"),
    )
    checked = verification(made=factory.evidence(), clauses=clauses, far_off="p99 is 30 times it.")
    found, out, _ = call("verify", "b", api=FakeApi(verification=checked))
    assert found == code
    assert said in out.splitlines()[-1]
    assert "p99 9.38 ms, limit 2 ms" in out
    assert "! p99 is 30 times it." in out
    assert out.count("!") == 1, "the contract's line warns of nothing"
    found, out, _ = call("verify", "b", "--json", api=FakeApi(verification=checked))
    document = json.loads(out)
    assert document["exit_code"] == found == code
    assert document["clauses"][0]["verdict"] == verdict
    assert document["contract"]["limit_ms"] == 8.0


def test_a_bundle_without_evidence_has_no_report() -> None:
    api = FakeApi()
    api.inspection.evidence = None
    code, _, err = call("report", "b", api=api)
    assert code == 5
    assert "no evidence" in err


def test_a_report_that_can_not_be_written(tmp_path: Path) -> None:
    code, _, err = call("report", "b", "--out", str(tmp_path / "no" / "folder" / "r.html"))
    assert code == 6
    assert "can't be written" in err

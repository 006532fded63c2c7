"""`whet serve`: what the command line makes of its options."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from fake_api import FakeApi

from whet.cli.console import Console
from whet.cli.main import main


def run(*arguments: str, api: FakeApi | None = None) -> tuple[int, FakeApi, str, str]:
    own, out, err = api or FakeApi(), io.StringIO(), io.StringIO()
    code = main(
        ["serve", *arguments], console=Console(out=out, err=err, environment={}), api=lambda: own
    )
    return code, own, out.getvalue(), err.getvalue()


def test_folders_by_their_own_names() -> None:
    code, api, out, _ = run("a.whet", "b.whet")
    assert code == 0
    assert out == "Ready at http://127.0.0.1:8000\n"
    ((verb, (bundles,), options),) = api.calls
    assert (verb, bundles) == ("serve", ["a.whet", "b.whet"])
    assert options == {
        "host": "127.0.0.1", "port": 8000, "uds": None, "deadline_ms": None, "variants": None,
        "most_rows": 32, "workers": 1, "keys": None, "server_name": "whet", "drain_s": 25.0,
        "trust_code": False, "model_control": False,
    }  # fmt: skip


def test_all_options(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("one\ntwo\n")
    _, api, _, _ = run(
        "m=a.whet", "n=b.whet", "--host", "::1", "--port", "0", "--deadline", "5ms",
        "--variants", "a,b", "--max-batch", "1", "--workers", "2", "--keys", str(keys),
        "--server-name", "triton", "--drain", "1s", "--trust-code", "--model-control",
    )  # fmt: skip
    ((_, (bundles,), options),) = api.calls
    assert bundles == {"m": "a.whet", "n": "b.whet"}
    assert options["deadline_ms"] == 5
    assert options["variants"] == ("a", "b")
    assert options["keys"] == ("one", "two")
    assert options["trust_code"] is options["model_control"] is True


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["m=a.whet", "b.whet"],
        ["m=a.whet", "m=b.whet"],
        ["a.whet", "--keys", "gone"],
        ["a.whet", "--keys", "/dev/null"],
        ["a.whet", "--deadline", "soon"],
        ["a.whet", "--port", "http"],
    ],
)
def test_wrong_options_are_wrong_input(arguments: list[str]) -> None:
    code, api, _, err = run(*arguments)
    assert code == 3
    assert api.calls == []
    assert err


def test_requests_that_were_left_unanswered_are_told() -> None:
    code, _, out, _ = run("a.whet", api=FakeApi(clean=False))
    assert code == 1
    assert "not answered" in out

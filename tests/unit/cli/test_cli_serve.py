"""`whet serve`: what the command line makes of its options."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from fake_api import FakeApi

from whet.cli.console import Console
from whet.cli.main import main

DEFAULTS = {
    "host": "127.0.0.1", "port": 8000, "uds": None, "grpc_port": None, "admin_port": None,
    "tls_cert": None, "tls_key": None, "deadline_ms": None, "variants": None, "most_rows": 32,
    "workers": 1, "isolated": False, "keys": None, "server_name": "whet", "model_control": False, "watch": False, "shared_memory": False,
    "drain_s": 25.0, "access_log": False, "log_format": "text", "trust_code": False,
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("WHET_SERVE_"):
            monkeypatch.delenv(name)


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
    assert options == DEFAULTS


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


def test_flags_win_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "serve.toml"
    config.write_text(
        'host = "::"\nport = 1\nmax-batch = 4\nwatch = true\ndeadline = "9ms"\n'
        '[bundles]\ncats = "cats.whet"\n'
    )
    monkeypatch.setenv("WHET_SERVE_PORT", "2")
    monkeypatch.setenv("WHET_SERVE_MAX_BATCH", "8")
    monkeypatch.setenv("WHET_SERVE_WATCH", "false")
    code, api, _, err = run("--config", str(config), "--port", "3")
    assert code == 0, err
    ((_, (bundles,), options),) = api.calls
    assert bundles == {"cats": str(tmp_path / "cats.whet")}
    assert options == DEFAULTS | {"host": "::", "port": 3, "most_rows": 8, "deadline_ms": 9.0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 1", "prot"),
        ("port = true", "port"),
        ('port = "http"', "port"),
        ('watch = "perhaps"', "watch"),
        ('log-format = "xml"', "log-format"),
        ("port = ", "TOML"),
        ("bundles = 3", "bundles"),
        ("max-batch = 3\nmax_batch = 4", "twice"),
    ],
)
def test_a_file_that_sets_what_isnt_is_refused(tmp_path: Path, text: str, said: str) -> None:
    config = tmp_path / "serve.toml"
    config.write_text(text)
    code, api, _, err = run("--config", str(config), *([] if "bundles" in text else ["a.whet"]))
    assert (code, api.calls) == (3, [])
    assert said in err


def test_an_environment_that_sets_what_isnt_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHET_SERVE_PROT", "1")
    code, _, _, err = run("a.whet")
    assert code == 3
    assert "prot" in err


def test_bundles_named_in_two_places_are_refused(tmp_path: Path) -> None:
    config = tmp_path / "serve.toml"
    config.write_text('[bundles]\ncats = "cats.whet"\n')
    code, _, _, err = run("--config", str(config), "dogs.whet")
    assert code == 3
    assert "one of the two" in err

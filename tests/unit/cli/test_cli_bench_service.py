"""`whet bench URL`: what it asks for, what it shows, and how it ends."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from fake_api import FakeApi

from whet.cli.console import Console
from whet.cli.main import main
from whet.measure.load.outcome import Asked, load_of

URL = "http://127.0.0.1:8000"
GOOD = load_of(
    [Asked(k / 100, k / 100, k / 100 + 0.005, "ok", "int8") for k in range(1000)],
    10.0,
    limit_ms=20.0,
)
BAD = load_of(
    [
        Asked(k / 100, k / 100 + 0.004, k / 100 + 0.05, ("ok", "refused")[k % 2], ("a", "b")[k % 4 // 2])
        for k in range(1000)
    ],
    10.0,
    limit_ms=20.0,
)  # fmt: skip


def run(*arguments: str, api: FakeApi | None = None) -> tuple[int, FakeApi, str, str]:
    own, out, err = api or FakeApi(loads=(GOOD,)), io.StringIO(), io.StringIO()
    code = main(
        ["bench", *arguments], console=Console(out=out, err=err, environment={}), api=lambda: own
    )
    return code, own, out.getvalue(), err.getvalue()


def test_what_is_asked_for_where_nothing_is_said() -> None:
    code, api, out, _ = run(URL)
    assert code == 0
    ((verb, (url,), options),) = api.calls
    assert (verb, url) == ("bench_service", URL)
    assert options == {
        "model": "", "rate_per_s": None, "clients": 1, "arrivals": "poisson", "seconds": 10.0,
        "limit_ms": None, "percentile": 99.0, "find_highest": False, "deadline_ms": None,
        "inputs": None, "rows": 1, "key": None, "ca_file": None,
    }  # fmt: skip
    assert "100/s offered" in out
    assert "p50" in out


def test_all_options(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("sesame\n")
    _, api, _, err = run(
        "unix:/s", "--model", "m", "--rate", "50", "--arrivals", "bursts", "--seconds", "2s",
        "--limit", "20ms", "--percentile", "95", "--find-highest", "--deadline", "30ms",
        "--inputs", "x.npz", "--rows", "4", "--key", str(key), "--ca", "ca.pem",
    )  # fmt: skip
    assert api.calls, err
    ((_, _, options),) = api.calls
    assert options == {
        "model": "m", "rate_per_s": 50.0, "clients": 1, "arrivals": "bursts", "seconds": 2.0,
        "limit_ms": 20.0, "percentile": 95.0, "find_highest": True, "deadline_ms": 30.0,
        "inputs": "x.npz", "rows": 4, "key": "sesame", "ca_file": "ca.pem",
    }  # fmt: skip


def test_a_limit_that_isnt_kept_ends_with_two() -> None:
    code, _, out, _ = run(URL, "--limit", "20ms", api=FakeApi(loads=(GOOD, BAD)))
    assert code == 2
    assert "not answered: 500 refused" in out
    assert "answered 50% by 'a', 50% by 'b'" in out
    assert "this machine is too busy" in out


def test_the_highest_rate_is_said() -> None:
    code, _, out, _ = run(URL, "--find-highest", api=FakeApi(loads=(GOOD,), highest_per_s=123.0))
    assert code == 0
    assert "kept up to 123 requests/s" in out
    code, _, out, _ = run(URL, "--find-highest", api=FakeApi(loads=(BAD,)))
    assert code == 2
    assert "No rate" in out


def test_as_json() -> None:
    code, _, out, _ = run(URL, "--json")
    found = json.loads(out)
    assert (code, found["exit_code"], found["model"]) == (0, 0, "net")
    assert found["loads"][0]["endings"] == {"ok": 1000}


@pytest.mark.parametrize(
    "arguments",
    [
        [URL, "--variant", "int8"],
        [URL, "--scenario", "server"],
        [URL, "--text-keys", "a"],
        [URL, "--key", "gone"],
        [URL, "--clients", "2", "--rate", "5"],
        [URL, "--arrivals", "even"],
        [URL, "--percentile", "90"],
        ["a.whet", "--clients", "2"],
        ["a.whet", "--clients", "0"],
        ["a.whet", "--find-highest"],
        ["a.whet", "--model", "m"],
    ],
)
def test_options_that_dont_apply_are_refused(arguments: list[str]) -> None:
    code, api, _, err = run(*arguments)
    assert (code, api.calls) == (3, [])
    assert err

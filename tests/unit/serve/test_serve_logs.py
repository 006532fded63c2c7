"""Lines of a server: for people and for machines."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from whet.serve.logs import EVENTS, REQUESTS, log_to_stderr


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    loggers = [EVENTS, logging.getLogger("uvicorn")]
    before = [(each.handlers[:], each.level, each.propagate) for each in loggers]
    yield
    for each, (handlers, level, propagate) in zip(loggers, before, strict=True):
        each.handlers[:], each.propagate = handlers, propagate
        each.setLevel(level)


def said(capsys: pytest.CaptureFixture[str], form: str) -> list[str]:
    log_to_stderr("json" if form == "json" else "text")
    EVENTS.info("a model was loaded", extra={"model": "net"})
    REQUESTS.info("request", extra={"status": 200, "ms": 1.5})
    try:
        int("inside")
    except ValueError:
        EVENTS.exception("a request failed")
    return capsys.readouterr().err.splitlines()


def test_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    loaded, request, failed, *trace = said(capsys, "text")
    assert loaded.endswith("info: a model was loaded model=net")
    assert request.endswith("info: request status=200 ms=1.5")
    assert "error: a request failed" in failed
    assert trace[-1].startswith("ValueError: ")


def test_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    loaded, request, failed = map(json.loads, said(capsys, "json"))
    assert (loaded["event"], loaded["model"], loaded["level"]) == (
        "a model was loaded", "net", "info",
    )  # fmt: skip
    assert (request["status"], request["ms"]) == (200, 1.5)
    assert "ValueError: " in failed["trace"]
    assert loaded["time"].endswith("+00:00")

"""The shell that asks by a schedule: what it sends when, and what it makes of refusals."""

from __future__ import annotations

import asyncio
import time

import numpy as np

from whet.errors import BusyError, LateError, RequestError, ServeError, UnreachableError
from whet.measure.load.asking import by_schedule, in_turns, run


def test_nobody_waits_for_those_before() -> None:
    async def ask(_: int) -> str:
        await asyncio.sleep(0.2)
        return "v"

    began_s = time.perf_counter()
    asked = run(by_schedule(ask, np.arange(20) * 0.005))
    assert time.perf_counter() - began_s < 1.0, "in turns it would take four seconds"
    assert [a.ending for a in asked] == ["ok"] * 20
    assert all(a.sent_s >= a.due_s for a in asked)
    assert {a.variant for a in asked} == {"v"}


def test_each_refusal_is_told_by_its_kind() -> None:
    errors = [
        BusyError("b"), LateError("l"), RequestError("r"), UnreachableError("u"), ServeError("s"),
    ]  # fmt: skip

    async def ask(number: int) -> str:
        raise errors[number]

    asked = run(by_schedule(ask, np.zeros(5)))
    assert [a.ending for a in asked] == ["refused", "late", "invalid", "unreachable", "failed"]


def test_clients_ask_again_when_they_are_answered() -> None:
    under_way = most = 0

    async def ask(_: int) -> str:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return ""

    asked, seconds = run(in_turns(ask, 3, 0.2))
    assert most == 3
    assert 0.2 <= seconds < 1.0
    assert 3 <= len(asked) <= 63
    assert all(a.due_s == a.sent_s or a.sent_s - a.due_s < 0.01 for a in asked)

from __future__ import annotations

import pytest

from whet.search.workers import host


def test_a_worker_may_hold_half_of_what_the_container_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "allowed_memory", lambda: 2_000_000_000)
    assert host.worker_memory_bytes() == 1_000_000_000

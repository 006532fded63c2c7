"""Our own client, against the real server."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from running_server import INPUTS, NET, Running, small_bundle

import whet
from whet.errors import (
    BusyError,
    LateError,
    RequestError,
    UnknownModelError,
    UnreachableError,
)

EXPECTED = NET.answer(INPUTS)["scores"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory.mktemp("client"))


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Running]:
    with Running(f"net={bundle}", "--port", "0", "--model-control") as running:
        yield running


@pytest.fixture
def client(server: Running) -> Iterator[whet.Client]:
    with whet.Client(server.where) as found:
        yield found


def test_it_gets_the_networks_answers(client: whet.Client) -> None:
    found = client.infer("net", INPUTS, id="7")
    np.testing.assert_allclose(found["scores"], EXPECTED, rtol=1e-3, atol=1e-4)
    assert (found.model, found.version, found.variant, found.id) == ("net", "1", "exact", "7")


def test_it_sees_what_is_there(client: whet.Client) -> None:
    assert client.ready()
    assert client.ready("net")
    assert not client.ready("other")
    assert client.metadata()["name"] == "whet"
    assert client.metadata("net")["name"] == "net"
    assert client.models()[0]["state"] == "READY"
    assert client.statistics("net")[0]["name"] == "net"
    client.unload("net")
    assert not client.ready("net")
    client.load("net")
    assert client.ready("net")


def test_errors_are_those_of_the_server(client: whet.Client) -> None:
    with pytest.raises(UnknownModelError, match="unknown model"):
        client.infer("other", INPUTS)
    with pytest.raises(RequestError):
        client.infer("net", {"x": np.zeros((1, 3), np.float32)})
    with pytest.raises(BusyError):
        client.infer("net", INPUTS, timeout_ms=0.001)


def test_threads_share_a_client(client: whet.Client) -> None:
    wrong: list[int] = []

    def ask(seed: int) -> None:
        for k in range(20):
            values = NET.inputs(1 + k % 3, seed=100 * seed + k)
            got = client.infer("net", values)["scores"]
            if not np.allclose(got, NET.answer(values)["scores"], rtol=1e-3, atol=1e-4):
                wrong.append(seed)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_many_questions_under_way_at_once(server: Running) -> None:
    async def go() -> None:
        async with whet.AsyncClient(server.where, most=8) as client:
            values = [NET.inputs(1 + k % 3, seed=k) for k in range(100)]
            found = await asyncio.gather(*(client.infer("net", each) for each in values))
            for each, got in zip(values, found, strict=True):
                np.testing.assert_allclose(
                    got["scores"], NET.answer(each)["scores"], rtol=1e-3, atol=1e-4
                )
            assert await client.ready("net")
            with pytest.raises(UnknownModelError):
                await client.infer("other", INPUTS)

    asyncio.run(go())


def test_it_goes_on_when_the_server_was_started_again(bundle: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with whet.Client(f"http://127.0.0.1:{port}") as client:
        with pytest.raises(UnreachableError):
            client.infer("net", INPUTS)
        for _ in range(2):
            with Running(f"net={bundle}", "--port", port):
                client.infer("net", INPUTS)
        assert not client.ready()


def test_a_server_that_hangs_doesnt_hang_the_client(bundle: Path) -> None:
    running = Running(f"net={bundle}", "--port", "0")
    with whet.Client(running.where, timeout_s=0.5) as client:
        client.infer("net", INPUTS)
        running.process.send_signal(signal.SIGSTOP)
        began_s = time.monotonic()
        with pytest.raises(LateError):
            client.infer("net", INPUTS)
        assert time.monotonic() - began_s < 2

        async def go() -> None:
            async with whet.AsyncClient(running.where, timeout_s=0.5) as other:
                with pytest.raises(LateError):
                    await other.infer("net", INPUTS)

        asyncio.run(go())
        running.process.send_signal(signal.SIGCONT)
        client.infer("net", INPUTS)
    assert running.stopped() == 0


def test_over_a_unix_socket(bundle: Path, tmp_path: Path) -> None:
    place = tmp_path / "s.sock"
    with Running(f"net={bundle}", "--uds", str(place)) as running:
        with whet.Client(running.where) as client:
            assert client.infer("net", INPUTS)["scores"].shape == EXPECTED.shape

        async def go() -> None:
            async with whet.AsyncClient(running.where) as other:
                assert (await other.infer("net", INPUTS))["scores"].shape == EXPECTED.shape

        asyncio.run(go())


def test_a_load_test_of_each_kind(server: Running) -> None:
    closed = whet.bench_service(server.where, clients=2, seconds=0.5, limit_ms=500)
    assert closed.model == "net"
    assert closed.loads[0].answered_per_s > 0
    opened = whet.bench_service(
        server.where, rate_per_s=100, seconds=1.0, arrivals="bursts", limit_ms=500, rows=2
    )
    (load,) = opened.loads
    assert load.endings.keys() == {"ok"}
    assert load.variants.keys() == {"exact"}
    assert load.offered_per_s == pytest.approx(100, rel=0.5)


def test_the_highest_rate_is_looked_for(server: Running) -> None:
    told: list[object] = []
    found = whet.bench_service(
        server.where,
        rate_per_s=200_000,
        seconds=0.02,
        limit_ms=0.001,
        find_highest=True,
        on_load=told.append,
    )
    assert found.highest_per_s is None, "nobody answers in a microsecond"
    assert len(told) == len(found.loads) == 12

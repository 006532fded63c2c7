"""Worker processes that die or hang while they are asked: who is answered, when, and with what."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from running_server import NET, Running, small_bundle

import whet
from whet.client.retries import Retries
from whet.errors import ServeError, WhetError

BOUND_S = 8.0
"""A worker that hangs is given up after two seconds, and another is there soon after."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory.mktemp("lost"))


def workers_of(running: Running) -> list[psutil.Process]:
    return psutil.Process(running.process.pid).children()


class Asking:
    """Clients that ask without end; what they got."""

    def __init__(self, where: str, clients: int) -> None:
        self.wrong: list[object] = []
        self.failed: list[WhetError] = []
        self.longest_s = 0.0
        self.answered = 0
        self._where = where
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(k,)) for k in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self, seed: int) -> None:
        k = 0
        with whet.Client(self._where, retries=Retries(most=0), timeout_s=60) as client:
            while not self._ending.is_set():
                values = NET.inputs(1 + k % 3, seed=seed * 1000 + k)
                began_s = time.monotonic()
                try:
                    got = client.infer("net", values)["scores"]
                    if not np.allclose(got, NET.answer(values)["scores"], rtol=1e-3, atol=1e-4):
                        self.wrong.append((seed, k))
                    self.answered += 1
                except ServeError as error:
                    self.failed.append(error)
                self.longest_s = max(self.longest_s, time.monotonic() - began_s)
                k += 1

    def end(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_is_replaced_and_nobody_waits_beyond_the_bound(
    bundle: Path, sent: signal.Signals, workers: int
) -> None:
    with Running(
        f"net={bundle}", "--port", "0", "--isolated", "--workers", str(workers)
    ) as running:
        asking = Asking(running.where, clients=4)
        time.sleep(1)
        victim = workers_of(running)[0]
        victim.send_signal(sent)
        until(lambda: victim.pid not in {w.pid for w in workers_of(running)}, 10)
        until(lambda: len(workers_of(running)) == workers, 30)
        before = asking.answered
        until(lambda: asking.answered > before + 20, 30)
        asking.end()
        assert asking.wrong == []
        assert asking.longest_s < BOUND_S
        # A batch that was lost runs once more by itself, so at most those fail that hit twice.
        assert len(asking.failed) <= 8
        with whet.Client(running.where) as client:
            assert client.ready()
            assert client.ready("net")


def test_one_that_hangs_while_idle_is_found(bundle: Path) -> None:
    with Running(f"net={bundle}", "--port", "0", "--isolated") as running:
        (victim,) = workers_of(running)
        victim.send_signal(signal.SIGSTOP)
        until(lambda: victim.pid not in {w.pid for w in workers_of(running)}, 10)
        until(lambda: len(workers_of(running)) == 1, 30)
        with whet.Client(running.where) as client:
            assert client.infer("net", NET.inputs(1)).variant == "exact"


def test_without_a_worker_it_isnt_ready(bundle: Path, tmp_path: Path) -> None:
    """The bundle is gone too, so that no other can be started."""
    import shutil

    place = tmp_path / "copy.whet"
    shutil.copytree(bundle, place)
    with Running(f"net={place}", "--port", "0", "--isolated") as running:
        shutil.rmtree(place)
        workers_of(running)[0].kill()
        with whet.Client(running.where, retries=Retries(most=0)) as client:
            until(lambda: not client.ready("net"), 30)
            assert not client.ready()
            shutil.copytree(bundle, place)
            until(lambda: client.ready("net"), 30)
            client.infer("net", NET.inputs(1))


def test_workers_end_with_the_server(bundle: Path) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        running = Running(f"net={bundle}", "--port", "0", "--isolated", "--workers", "2")
        pids = [worker.pid for worker in workers_of(running)]
        assert len(pids) == 2
        assert running.stopped(how) == (0 if how is signal.SIGTERM else -signal.SIGKILL)
        until(lambda gone=pids: not any(map(alive, gone)), 10)  # type: ignore[misc]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def until(holds: Callable[[], bool], seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end_s, "it didn't come to pass"
        time.sleep(0.05)

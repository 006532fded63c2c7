from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from whet.errors import (
    ContractError,
    OptionError,
    PostconditionError,
    TrialCrashedError,
    TrialMemoryError,
    TrialTimeoutError,
    UnsupportedOperatorError,
)
from whet.search.events import Stopped
from whet.search.workers.isolate import IsolatedResult, run_isolated
from whet.search.workers.worker import resolve

PROBES = Path(__file__).parent / "probes"
sys.path.insert(0, str(PROBES))

from whet_probe import Answer, Ask  # noqa: E402 - the folder is put on the path above


def call(
    name: str,
    ask: Ask | None = None,
    *,
    timeout_s: float = 60.0,
    memory_bytes: int | None = None,
    cores: tuple[int, ...] | None = None,
    env: dict[str, str] | None = None,
    cancel: threading.Event | None = None,
) -> IsolatedResult[Answer]:
    return run_isolated(
        f"whet_probe:{name}",
        ask or Ask(),
        Answer,
        timeout_s=timeout_s,
        memory_bytes=memory_bytes,
        cores=cores,
        env=env,
        cancel=cancel,
        worker=("-P", str(PROBES / "probe_worker.py")),
    )


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_gone(pids: list[int], seconds: float = 20.0) -> list[int]:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not all(gone(pid) for pid in pids):
        time.sleep(0.05)
    return [pid for pid in pids if not gone(pid)]


def test_a_result_comes_back_typed() -> None:
    result = call("echo", Ask("ä\n", 0.1))
    assert result.value == Answer("ä\n", 0.1)
    assert result.seconds > 0
    assert result.peak_bytes > 5_000_000
    assert "hello from the worker" in result.log


def test_the_plain_worker_runs_functions_of_whet_only() -> None:
    with pytest.raises(OptionError, match="can't run in a worker"):
        run_isolated("whet_probe:echo", Ask(), Answer, timeout_s=60, memory_bytes=None)


@pytest.mark.parametrize(
    "target",
    [
        "os:system",
        "whet_evil:f",
        "whetx.y:f",
        "whet.core.recipe:Recipe",  # a class
        "whet.search.workers.isolate:tempfile",  # a module
        "whet.search.ledger.ledger:non_finite",  # defined elsewhere
        "whet.search.workers.isolate:_environment",
        "whet.search.workers.isolate:no_such",
        "whet..errors:f",
        "whet.errors",
        "",
        "whet.errors:f\n",
    ],
)
def test_what_a_worker_refuses_to_call(target: str) -> None:
    with pytest.raises(OptionError):
        resolve(target, ("whet",))


def test_environment_and_cores() -> None:
    core = min(os.sched_getaffinity(0))
    result = call("environment", Ask("WHET_TEST_X"), env={"WHET_TEST_X": "seven"}, cores=(core,))
    assert result.value == Answer("seven", 1.0)


def test_temporary_files_of_the_worker_go_away() -> None:
    assert not Path(call("litter").value.what).exists()


def test_our_errors_travel_typed() -> None:
    with pytest.raises(UnsupportedOperatorError) as caught:
        call("raise_ours")
    assert (caught.value.message, caught.value.remedy) == ("No 'Foo' here.", "Use 'Bar'.")
    with pytest.raises(ContractError) as contract:
        call("raise_contract")
    assert [issue.where for issue in contract.value.issues] == ["batch", "metric"]
    with pytest.raises(PostconditionError, match="It broke"):
        call("raise_subclass")


def test_a_foreign_exception_is_a_crash_with_its_name_and_traceback() -> None:
    with pytest.raises(TrialCrashedError, match="raised ValueError: the cat") as caught:
        call("raise_foreign")
    assert "Traceback" in "".join(caught.value.__notes__)
    assert "\x1b" not in "".join(caught.value.__notes__)


def test_memory_error_is_a_memory_error() -> None:
    with pytest.raises(TrialMemoryError, match="no more"):
        call("raise_memory")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("leave", r"ended with status 3 without an answer; it last said: leaving"),
        ("leave_now", "ended with status 0 without an answer"),
        ("crash", "killed by SIGSEGV"),
        ("not_finite", "answer of another type"),
        ("nowhere", "no function"),
        ("two", "exactly one"),
        ("_private", "can't run"),
    ],
)
def test_ends_without_a_result(name: str, match: str) -> None:
    with pytest.raises((TrialCrashedError, OptionError), match=match):
        call(name)


@pytest.mark.parametrize("name", ["hang", "hang_in_c"])
def test_a_hang_is_ended(name: str) -> None:
    began = time.monotonic()
    with pytest.raises(TrialTimeoutError, match="not done after 2 s"):
        call(name, timeout_s=2.0)
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("name", ["hog", "hog_in_a_child"])
def test_a_memory_hog_is_ended(name: str) -> None:
    with pytest.raises(TrialMemoryError, match="300 MB were allowed"):
        call(name, memory_bytes=300_000_000)


def test_a_flood_of_output_neither_blocks_nor_fills_the_disk() -> None:
    result = call("spam", Ask(number=3000))  # 25 MB
    assert result.log.rstrip().endswith("the last line")
    assert len(result.log) <= 16 << 10


def test_a_flooded_log_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sizes: list[int] = []

    def measure() -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end and not (sizes and sizes[-1] == -1):
            logs = list(tmp_path.glob("whet-scratch-*/log.txt"))
            sizes.extend(log.stat().st_size for log in logs)
            time.sleep(0.05)

    watcher = threading.Thread(target=measure)
    watcher.start()
    result = call("spam_and_hang", Ask("2", 3000))
    sizes.append(-1)
    watcher.join()
    assert sizes[-2] < 8 << 20
    assert "the last line" in result.log


def test_a_thread_that_would_not_end_does_not_matter() -> None:
    began = time.monotonic()
    assert call("stubborn_threads").value.what == "done"
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("how", ["timeout", "cancel", "answer"])
def test_the_whole_family_is_killed(how: str, tmp_path: Path) -> None:
    ids = tmp_path / "ids"
    cancel = threading.Event()

    def on_ids() -> None:
        end = time.monotonic() + 60
        while not ids.exists() and time.monotonic() < end:
            time.sleep(0.05)
        if how == "cancel":
            cancel.set()

    helper = threading.Thread(target=on_ids)
    helper.start()
    ask = Ask(str(ids), 0.0 if how == "answer" else 300.0)
    if how == "answer":
        call("family", ask, cancel=cancel)
    else:
        kind = TrialTimeoutError if how == "timeout" else Stopped
        with pytest.raises(kind) as caught:
            call("family", ask, cancel=cancel, timeout_s=5.0 if how == "timeout" else 100.0)
        assert type(caught.value) is kind
    helper.join()
    pids = [int(pid) for pid in ids.read_text().split()]
    assert len(pids) == 4
    assert wait_gone(pids) == []


@pytest.mark.parametrize("name", ["family", "hang_in_c"])
def test_a_killed_parent_takes_its_workers_along(name: str, tmp_path: Path) -> None:
    ids, temporary = tmp_path / "ids", tmp_path / "tmp"
    temporary.mkdir()
    parent = subprocess.Popen(
        [sys.executable, str(PROBES / "parent.py"), name, str(ids)],
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    me = psutil.Process(parent.pid)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        children = [child for child in me.children(recursive=True) if not gone(child.pid)]
        # the worker and its guardian at least; the whole family where there is one
        if len(children) >= 2 and (name != "family" or ids.exists()):
            break
        time.sleep(0.05)
    time.sleep(0.5)
    inside = [
        child.pid for child in me.children(recursive=True) if os.getsid(child.pid) != child.pid
    ]
    worker = [child.pid for child in me.children()]
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert len(inside) >= 1
    assert wait_gone(worker + inside) == []
    assert list(temporary.iterdir()) == []
    if name == "family":  # what left the session on purpose is out of the guardian's reach
        for pid in (int(pid) for pid in ids.read_text().split()):
            if not gone(pid):
                os.kill(pid, signal.SIGKILL)


def test_nothing_is_left_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    call("echo")
    with pytest.raises(TrialCrashedError):
        call("crash")
    assert list(tmp_path.iterdir()) == []

"""The process that measures, on the real ONNX Runtime: what it gives, and how it fails."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest

import whet.errors
from whet.core.settings import Settings
from whet.data.readers import open_samples
from whet.data.store import SampleStore, write_store
from whet.errors import (
    EngineError,
    OptionError,
    StorageError,
    TrialCrashedError,
    TrialMemoryError,
    TrialTimeoutError,
)
from whet.measure.answers import load_outputs
from whet.measure.contender import Contender, disk_bytes
from whet.measure.process import ContenderProcess
from whet.runtimes.registry import get
from whet.testing.small_net import SmallNet


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_contender_answers_is_timed_and_leaves_nothing_behind(
    models, store: SampleStore, tmp_path: Path
) -> None:
    contender = models.matmul(hidden=32)
    with ContenderProcess(contender, store.ref(), batch=4) as process:
        pid = process.pid
        assert process.load_ms > 0
        warm = process.warm_up(seconds=2.0)
        assert warm.queries >= 8
        timing = process.timed(50, seed=1)
        assert timing.ms.shape == (50,)
        assert timing.ms.dtype == np.float64
        assert (timing.ms > 0).all()
        assert timing.wall_s * 1e3 >= timing.ms.sum()
        assert process.measure(7, seed=2).shape == (7,)
        footprint = process.footprint()
        assert footprint.disk_bytes == disk_bytes(contender) == contender.graph.size_bytes()
        assert footprint.resident_bytes is not None
        assert footprint.peak_bytes is not None
        assert 1 << 20 < footprint.resident_bytes <= footprint.peak_bytes
        assert footprint.load_ms == process.load_ms
        answers = load_outputs(process.outputs(store.ref(), tmp_path / "out", batch=8))
        assert answers["y"].shape == (37, 4)
        first = process.first_answer()["y"]
        assert first.shape == (4, 4)
        assert isinstance(process.layers(), tuple)
    assert gone(pid)
    process.close()
    with pytest.raises(TrialCrashedError, match="not running"):
        process.measure(1, 0)


def test_answers_agree_with_numpy(models, store: SampleStore, tmp_path: Path) -> None:
    contender = models.matmul(hidden=16)
    onnx = pytest.importorskip("onnx")
    weights = [
        onnx.numpy_helper.to_array(t) for t in onnx.load(contender.graph.path).graph.initializer
    ]
    with ContenderProcess(contender, store.ref(), batch=1) as process:
        answers = load_outputs(process.outputs(store.ref(), tmp_path / "out", batch=10))["y"]
    (x,) = [batch["x"] for batch in store.batches(100)]
    assert answers == pytest.approx(x @ weights[0] @ weights[1], rel=1e-4, abs=1e-5)


def test_a_fixed_batch_answers_every_row(models, store: SampleStore, tmp_path: Path) -> None:
    free = models.matmul("free", hidden=16)
    fixed = msgspec.structs.replace(free, settings=Settings(threads=1, fixed={"batch": 8}))
    found = []
    for each in (free, fixed):
        with ContenderProcess(each, store.ref(), batch=8) as process:
            where = process.outputs(store.ref(), tmp_path / str(len(found)), batch=5)
            found.append(load_outputs(where)["y"])
    assert found[1].shape == (37, 4)
    assert found[0] == pytest.approx(found[1], rel=1e-5, abs=1e-6)


def test_without_an_engine_it_compiles_into_a_folder_that_goes(models, store: SampleStore) -> None:
    contender = msgspec.structs.replace(models.matmul(), engine=None)
    with ContenderProcess(contender, store.ref(), batch=1) as process:
        assert process.compile_ms > 0
        assert process.footprint().notes[0].where == "peak memory"
        assert process.measure(3, 0).shape == (3,)


def test_killed_in_mid_command_is_a_crash(models, store: SampleStore) -> None:
    with ContenderProcess(models.endless(), store.ref(), batch=1) as process:
        pid = process.pid
        threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()
        with pytest.raises(TrialCrashedError, match="SIGKILL"):
            process.measure(1, 0)
        assert gone(pid)


def test_a_hang_ends_at_its_limit(models, store: SampleStore) -> None:
    process = ContenderProcess(models.endless(), store.ref(), batch=1, timeout_s=1.5)
    with process:
        pid, began = process.pid, time.monotonic()
        with pytest.raises(TrialTimeoutError, match=r"time limit of 1\.5 s"):
            process.measure(1, 0)
        assert time.monotonic() - began < 4
        assert gone(pid)


def test_memory_past_its_limit_ends_it(models, store: SampleStore) -> None:
    hungry = models.hungry(megabytes=700)
    limit = 400 << 20
    with (
        pytest.raises(TrialMemoryError, match="memory"),
        ContenderProcess(hungry, store.ref(), batch=1, memory_bytes=limit) as process,
    ):
        process.measure(100, 0)


def test_sudden_memory_meets_the_backstop(models, store: SampleStore) -> None:
    hungry = models.hungry(megabytes=5000)
    with (
        pytest.raises(TrialMemoryError, match="memory"),
        ContenderProcess(hungry, store.ref(), batch=1, memory_bytes=300 << 20) as process,
    ):
        process.measure(1, 0)


def test_errors_of_the_runtime_come_over_typed(models, store: SampleStore, tmp_path: Path) -> None:
    contender = models.matmul()
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    broken = msgspec.structs.replace(contender, engine=str(tmp_path / "broken.onnx"))
    with pytest.raises(EngineError), ContenderProcess(broken, store.ref(), batch=1):
        pass
    unknown = msgspec.structs.replace(contender, runtime="abacus")
    with (
        pytest.raises(OptionError, match="abacus"),
        ContenderProcess(unknown, store.ref(), batch=1),
    ):
        pass


def test_an_error_leaves_the_process_usable(models, store: SampleStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with ContenderProcess(models.matmul(), store.ref(), batch=1) as process:
        with pytest.raises(TrialCrashedError, match="Error"):
            process.outputs(store.ref(), tmp_path / "file", batch=1)
        assert process.measure(2, 0).shape == (2,)


def test_cores_are_pinned(models, store: SampleStore) -> None:
    core = min(os.sched_getaffinity(0))
    with ContenderProcess(models.matmul(), store.ref(), batch=1, cores=(core,)) as process:
        assert psutil.Process(process.pid).cpu_affinity() == [core]


def test_an_idle_contender_burns_nothing(models, store: SampleStore) -> None:
    contender = models.matmul(hidden=256, depth=4, threads=2)
    with ContenderProcess(contender, store.ref(), batch=1) as process:
        process.measure(20, 0)
        time.sleep(0.2)
        before = psutil.Process(process.pid).cpu_times()
        time.sleep(0.5)
        after = psutil.Process(process.pid).cpu_times()
    assert (after.user + after.system) - (before.user + before.system) <= 0.05


def test_it_dies_with_its_parent(models, store: SampleStore, tmp_path: Path) -> None:
    contender = models.endless()
    (tmp_path / "contender.json").write_bytes(msgspec.json.encode(contender))
    script = f"""
import msgspec, sys, threading, time
from pathlib import Path
from whet.data.layout import StoreRef
from whet.measure.contender import Contender
from whet.measure.process import ContenderProcess
contender = msgspec.json.decode(Path({str(tmp_path / "contender.json")!r}).read_bytes(), type=Contender)
process = ContenderProcess(contender, StoreRef({str(store.path)!r}, None), batch=1).__enter__()
print(process.pid, flush=True)
process.measure(1, 0)
"""
    source = str(Path(whet.errors.__file__).parent.parent)
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": source, "TMPDIR": str(tmp_path)},
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(0.3)
        assert not gone(pid)
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 5
    while not gone(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert gone(pid)


def test_the_child_imports_no_framework_and_no_rival() -> None:
    code = (
        "import sys, whet.measure.child; print(*sorted(m.partition('.')[0] for m in sys.modules))"
    )
    source = str(Path(whet.errors.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {"torch", "onnx", "onnxruntime", "openvino", "transformers", "psutil", "scipy", "PIL"}
    assert not heavy & set(done.stdout.split())


def test_waiting_can_be_given_up(models, store: SampleStore) -> None:
    asked = []

    def enough() -> None:
        asked.append(1)
        if len(asked) > 3:
            raise EOFError

    process = ContenderProcess(models.matmul(), store.ref(), batch=1)
    with process:
        pid = process.pid
        process._while_waiting = enough
        with pytest.raises(EOFError):
            process.timed(10**9, seed=0)
    assert len(asked) == 4
    assert gone(pid)
    with (
        pytest.raises(EOFError),
        ContenderProcess(models.matmul(), store.ref(), batch=1, while_waiting=enough),
    ):
        pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_its_temporary_files_go_into_a_folder_that_goes_with_it(
    models, store: SampleStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    with ContenderProcess(models.matmul(hidden=16), store.ref(), batch=1) as process:
        variables = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
        (folder,) = (Path(v[7:].decode()) for v in variables if v.startswith(b"TMPDIR="))
        assert folder.is_dir()
        assert folder.parent == temporary
    assert list(temporary.iterdir()) == []


def test_where_no_temporary_file_can_be_made_that_is_said(
    models, store: SampleStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    process = ContenderProcess(models.matmul(hidden=16), store.ref(), batch=1)
    with pytest.raises(StorageError, match="can't be started: No such file") as refused, process:
        pass
    assert str(tmp_path / "gone") in refused.value.remedy


@pytest.mark.slow
def test_a_package_of_inductor_is_unpacked_where_it_goes_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AOTInductor unpacks what it opens into the temporary folder, and the process ends abruptly."""
    pytest.importorskip("torch")
    if shutil.which("g++") is None:
        pytest.skip("Inductor compiles with g++")
    net = SmallNet()
    graph = net.program(tmp_path)
    engine = get("inductor").compile(graph, Settings(), tmp_path)
    contender = Contender("inductor", "inductor", graph, str(engine), Settings())
    reader = open_samples(net.inputs(4), expect=graph.signature.inputs, label_key="")
    samples = write_store(reader, tmp_path / "store", limit=4, seed=0)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    with ContenderProcess(contender, samples.ref(), batch=1) as process:
        assert process.first_answer()["scores"].shape == (1, 5)
        inside = [p for p in temporary.rglob("*") if p.suffix == ".so"]
        assert inside, "it is unpacked somewhere here"
    assert list(temporary.iterdir()) == []

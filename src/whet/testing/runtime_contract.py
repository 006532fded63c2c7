"""What every runtime promises, as tests (see `whet.runtimes.base`).

A runtime joins by being named in the list that a subclass gives to its fixture::

    NETS = Nets(SmallNet().onnx, WideNet().onnx, RecurrentNet().onnx)
    SUBJECTS = [Subject(MyRuntime(), NETS, Settings(arena=False))]

    class TestRuntimes(RuntimeContract):
        @pytest.fixture(scope="session", params=SUBJECTS, ids=str)
        @classmethod
        def subject(cls, request): return request.param
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest

from whet.core.artifact import Artifact
from whet.core.settings import Settings
from whet.core.spec import Arrays, Signature, TensorSpec
from whet.errors import EngineError, InputError, OptionError
from whet.runtimes.base import Runtime, Session
from whet.runtimes.cache import EngineCache
from whet.runtimes.seal import seal_path
from whet.testing.small_net import PICTURE, SHIFT, SmallNet, WideNet
from whet.testing.small_recurrent import RecurrentNet

__all__ = ["Nets", "RuntimeContract", "Subject"]

NET, WIDE, RECURRENT = SmallNet(), WideNet(), RecurrentNet()
_CPU_SECONDS, _PATIENCE_S = 0.6, 60.0
_SHARE_OF_A_WORKER = 0.1


@dataclass(frozen=True)
class Nets:
    """Writers of `SmallNet`, `WideNet` and `RecurrentNet`, all in one format."""

    small: Callable[[Path], Artifact]
    wide: Callable[[Path], Artifact]
    recurrent: Callable[[Path], Artifact]


@dataclass(frozen=True)
class Subject:
    """A runtime and what it needs to be tested.

    Attributes:
        runtime: the one that is held to the contract.
        nets: write the networks of the suite in a format that the runtime reads.
        unsupported: settings that the runtime must refuse.
        opens_graphs: whether a graph's own file can be opened uncompiled.
    """

    runtime: Runtime
    nets: Nets
    unsupported: Settings
    opens_graphs: bool = True

    def __str__(self) -> str:
        return self.runtime.name


def assert_answers(session: Session, inputs: Arrays) -> None:
    """Compare with numpy; names, order, dtypes and shapes too."""
    assert_same(session.run(inputs), NET.answer(inputs))


def assert_same(have: Arrays, want: Arrays) -> None:
    """Equal but for the order of additions."""
    assert list(have) == list(want)
    for name, array in want.items():
        assert have[name].dtype == array.dtype
        assert have[name].shape == array.shape
        tolerance = 2e-3 if array.dtype == np.float16 else 1e-4
        np.testing.assert_allclose(
            have[name].astype(np.float64), array.astype(np.float64), rtol=tolerance, atol=tolerance
        )


class RuntimeContract:
    """Subclass it and give the fixture ``subject``."""

    @pytest.fixture(scope="session")
    @classmethod
    def subject(cls) -> Subject:
        raise NotImplementedError("give the runtimes to test")

    @pytest.fixture(scope="session")
    @classmethod
    def graph(cls, subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
        return subject.nets.small(tmp_path_factory.mktemp("graph"))

    @pytest.fixture(scope="session")
    @classmethod
    def engine(
        cls, subject: Subject, graph: Artifact, tmp_path_factory: pytest.TempPathFactory
    ) -> Path:
        where = tmp_path_factory.mktemp("engine")
        return subject.runtime.compile(graph, Settings(), where)

    @pytest.fixture
    def session(self, subject: Subject, graph: Artifact, engine: Path) -> Iterator[Session]:
        with subject.runtime.open(engine, graph, Settings()) as session:
            yield session

    def test_is_available_and_says_its_version(self, subject: Subject) -> None:
        found = subject.runtime.available()
        assert found.ok, found.reason
        assert found.version
        assert subject.runtime.bakes <= subject.runtime.honours
        assert subject.runtime.honours <= set(Settings.__struct_fields__)

    @pytest.mark.parametrize("batch", [1, 3, 7])
    def test_answers_at_any_batch(self, session: Session, batch: int) -> None:
        assert_answers(session, NET.inputs(batch, seed=batch))

    def test_signature_is_the_graphs(self, session: Session) -> None:
        assert session.signature == NET.signature

    def test_changing_batches_do_not_mix(self, session: Session) -> None:
        for batch in (4, 1, 4, 2):
            assert_answers(session, NET.inputs(batch, seed=10 + batch))

    def test_opens_the_graph_itself(self, subject: Subject, graph: Artifact) -> None:
        if not subject.opens_graphs:
            with pytest.raises(EngineError):
                subject.runtime.open(graph.file, graph, Settings())
            return
        with subject.runtime.open(graph.file, graph, Settings()) as session:
            assert_answers(session, NET.inputs(2))

    def test_fixed_sizes(self, subject: Subject, graph: Artifact, tmp_path: Path) -> None:
        settings = Settings(fixed={"batch": 2})
        if "fixed" not in subject.runtime.honours:
            with pytest.raises(OptionError):
                subject.runtime.compile(graph, settings, tmp_path)
            return
        engine = subject.runtime.compile(graph, settings, tmp_path)
        with subject.runtime.open(engine, graph, settings) as session:
            assert [spec.shape[0] for spec in session.signature.inputs] == [2, 2]
            for seed in range(3):
                assert_answers(session, NET.inputs(2, seed))
            with pytest.raises(InputError):
                session.run(NET.inputs(3))
        with pytest.raises(EngineError):  # what is baked in can't be changed by opening
            subject.runtime.open(engine, graph, Settings())
        with pytest.raises(OptionError, match="nothing"):
            subject.runtime.compile(graph, Settings(fixed={"nothing": 2}), tmp_path)

    @pytest.mark.parametrize("batch", [None, 2])
    def test_rows_of_sequences_do_not_mix(
        self, subject: Subject, batch: int | None, tmp_path: Path
    ) -> None:
        settings = Settings(fixed={"batch": batch} if batch else {})
        if settings.changed() - subject.runtime.honours:
            pytest.skip("fixes no sizes")
        graph = subject.nets.recurrent(tmp_path)
        engine = subject.runtime.compile(graph, settings, tmp_path)
        with subject.runtime.open(engine, graph, settings) as session:
            for rows in [batch] if batch else [1, 2, 3]:
                inputs = RECURRENT.inputs(rows, seed=rows)
                assert_same(session.run(inputs), RECURRENT.answer(inputs))

    def test_answers_belong_to_the_caller(self, session: Session) -> None:
        inputs = NET.inputs(2)
        first = session.run(inputs)
        for array in first.values():
            assert not any(np.shares_memory(array, given) for given in inputs.values())
            array[...] = 77
        assert_answers(session, inputs)
        session.run(NET.inputs(2, seed=5))
        assert all((array == 77).all() for array in first.values())

    def test_inputs_stay_as_they_are(self, session: Session) -> None:
        inputs = NET.inputs(2)
        before = {name: array.copy() for name, array in inputs.items()}
        session.run(inputs)
        assert all((inputs[name] == array).all() for name, array in before.items())

    def test_takes_arrays_of_any_memory(self, session: Session) -> None:
        inputs = NET.inputs(3)
        frozen = {name: array.copy() for name, array in inputs.items()}
        for array in frozen.values():
            array.flags.writeable = False
        backwards = {
            PICTURE: np.ascontiguousarray(inputs[PICTURE][::-1, :, :, ::-1])[::-1, :, :, ::-1],
            SHIFT: np.repeat(inputs[SHIFT], 2, axis=0)[::2],
        }
        fortran = {name: np.asfortranarray(array) for name, array in inputs.items()}
        for same in (frozen, backwards, fortran):
            assert_same(session.run(same), NET.answer(inputs))

    @pytest.mark.parametrize(
        "wrong",
        [
            pytest.param(lambda good: {PICTURE: good[PICTURE]}, id="missing"),
            pytest.param(lambda _: {}, id="none"),
            pytest.param(lambda good: good | {"more": good[SHIFT]}, id="extra"),
            pytest.param(lambda good: {"x": good[PICTURE], SHIFT: good[SHIFT]}, id="name"),
            pytest.param(lambda good: good | {PICTURE: good[PICTURE].astype("f4")}, id="dtype"),
            pytest.param(lambda good: good | {SHIFT: good[SHIFT].astype("i4")}, id="width"),
            pytest.param(lambda good: good | {SHIFT: good[SHIFT].astype(">i8")}, id="bytes"),
            pytest.param(lambda good: good | {PICTURE: good[PICTURE][0]}, id="rank"),
            pytest.param(lambda good: good | {PICTURE: good[PICTURE][..., :7]}, id="size"),
            pytest.param(lambda good: good | {SHIFT: good[SHIFT][:1]}, id="symbol"),
            pytest.param(lambda good: {k: v[:0] for k, v in good.items()}, id="empty"),
            pytest.param(lambda good: good | {SHIFT: good[SHIFT].tolist()}, id="list"),
        ],
    )
    def test_refuses_wrong_inputs(
        self, session: Session, wrong: Callable[[Arrays], Arrays]
    ) -> None:
        good = NET.inputs(2)
        with pytest.raises(InputError) as refusal:
            session.run(wrong(good))
        assert refusal.value.remedy
        assert_answers(session, good)

    @pytest.mark.parametrize("threads", [1, 2])
    def test_threads_are_honoured(self, subject: Subject, threads: int, tmp_path: Path) -> None:
        if len(psutil.Process().cpu_affinity() or ()) < threads:
            pytest.skip("fewer cores than threads")
        graph, settings = subject.nets.wide(tmp_path), Settings(threads=threads)
        engine = subject.runtime.compile(graph, settings, tmp_path)
        inputs = WIDE.inputs(1)
        with subject.runtime.open(engine, graph, settings) as session:
            assert_same(session.run(inputs), WIDE.answer(inputs))
            assert workers(session, inputs, threads) == threads

    def test_runs_from_several_threads(self, session: Session) -> None:
        def ask(seed: int) -> None:
            inputs = NET.inputs(1 + seed % 3, seed)
            want = NET.answer(inputs)
            for _ in range(25):
                assert_same(session.run(inputs), want)

        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(ask, seed) for seed in range(4)]:
                done.result()

    def test_closes_twice_and_stays_closed(
        self, subject: Subject, graph: Artifact, engine: Path
    ) -> None:
        with subject.runtime.open(engine, graph, Settings()) as session:
            answers = session.run(NET.inputs(2))
        session.close()
        with pytest.raises(EngineError, match="closed"):
            session.run(NET.inputs(2))
        assert_same(answers, NET.answer(NET.inputs(2)))

    def test_layers_have_times(self, session: Session) -> None:
        layers = session.layers(NET.inputs(1))
        assert all(layer.name and layer.kind and layer.ms >= 0 for layer in layers)

    @pytest.mark.parametrize("damage", ["half", "empty", "gone", "flipped", "unsealed"])
    def test_refuses_damaged_files(
        self, subject: Subject, graph: Artifact, engine: Path, damage: str, tmp_path: Path
    ) -> None:
        own = engine == graph.file
        if own and damage in ("flipped", "unsealed"):
            pytest.skip("a graph's own file has no seal")
        shutil.copytree(engine.parent, tmp_path, dirs_exist_ok=True)
        copy = tmp_path / engine.name
        harm(copy, damage)
        claimed = msgspec.structs.replace(graph, path=str(copy)) if own else graph
        with pytest.raises(EngineError) as refusal:
            subject.runtime.open(copy, claimed, Settings())
        assert refusal.value.remedy

    @pytest.mark.parametrize("damage", ["half", "empty", "gone"])
    def test_refuses_damaged_graphs(
        self, subject: Subject, graph: Artifact, damage: str, tmp_path: Path
    ) -> None:
        copy = Path(shutil.copy(graph.file, tmp_path))
        harm(copy, damage)
        damaged = msgspec.structs.replace(graph, path=str(copy))
        with pytest.raises(EngineError):
            subject.runtime.open(copy, damaged, Settings())
        if subject.runtime.bakes:  # a runtime that compiles nothing doesn't look at the file
            with pytest.raises(EngineError):
                subject.runtime.compile(damaged, Settings(), tmp_path)

    def test_refuses_another_signature(
        self, subject: Subject, graph: Artifact, engine: Path
    ) -> None:
        first, second = graph.signature.inputs
        wrong = TensorSpec(first.name, "float32", first.shape)
        signature = Signature((wrong, second), graph.signature.outputs)
        claimed = msgspec.structs.replace(graph, signature=signature)
        with pytest.raises(EngineError):
            subject.runtime.open(engine, claimed, Settings())

    def test_refuses_unsupported_settings(
        self, subject: Subject, graph: Artifact, engine: Path, tmp_path: Path
    ) -> None:
        for settings in (subject.unsupported, Settings(threads=0)):
            with pytest.raises(OptionError):
                subject.runtime.compile(graph, settings, tmp_path)
            with pytest.raises(OptionError):
                subject.runtime.open(engine, graph, settings)

    def test_cache_round_trip(self, subject: Subject, graph: Artifact, tmp_path: Path) -> None:
        cache = EngineCache(tmp_path / "cache")
        engine = cache.compiled(subject.runtime, graph, Settings())
        before = engine.stat().st_mtime_ns
        assert cache.compiled(subject.runtime, graph, Settings()) == engine
        assert engine.stat().st_mtime_ns == before
        if seal_path(engine).is_file():
            harm(engine, "flipped")  # found when it is opened, and compiled again
        for _ in range(2):
            session, opened = cache.opened(subject.runtime, graph, Settings())
            assert opened == engine
            with session:
                assert_answers(session, NET.inputs(2))
        assert not list((tmp_path / "cache").glob(".*"))


def harm(file: Path, damage: str) -> None:
    """Damage a file in place."""
    content = bytearray(file.read_bytes())
    match damage:
        case "half":
            file.write_bytes(content[: len(content) // 2])
        case "empty":
            file.write_bytes(b"")
        case "gone":
            file.unlink()
        case "flipped":
            content[len(content) // 2] ^= 0xFF
            file.write_bytes(content)
        case "unsealed":
            seal_path(file).unlink()


def _busy_threads(process: psutil.Process) -> set[int]:
    """Threads that work although nobody asks anything: left over from elsewhere, not the session's."""
    before = {t.id: t.user_time for t in process.threads()}
    time.sleep(0.5)
    return {t.id for t in process.threads() if t.user_time - before.get(t.id, 0.0) > 0.05}


def workers(session: Session, inputs: Arrays, expected: int) -> int:
    """Threads of this process that did a real share of the work of many requests.

    On a busy machine a thread may get little of the work for a while, and others of this process
    may wake, so another number than ``expected`` is believed only after some patience.
    """
    process, deadline, found = psutil.Process(), time.monotonic() + _PATIENCE_S, 0
    while found != expected and time.monotonic() < deadline:
        session.run(inputs)
        others = _busy_threads(process)
        before = {t.id: t.user_time for t in process.threads()}
        start = time.process_time()
        while time.process_time() - start < _CPU_SECONDS:
            session.run(inputs)
        spent = [
            t.user_time - before.get(t.id, 0.0) for t in process.threads() if t.id not in others
        ]
        found = sum(one > _SHARE_OF_A_WORKER * sum(spent) for one in spent)
    return found

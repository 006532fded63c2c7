from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from whet.core.scratch import is_scratch
from whet.core.settings import Settings
from whet.errors import EngineError, OptionError, StorageError
from whet.runtimes import seal
from whet.runtimes.cache import EngineCache, engine_key, renew
from whet.runtimes.seal import seal_path

ONE = Settings(fixed={"batch": 1})


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines")


def test_compiles_once(cache: EngineCache, paper, text_graph) -> None:
    first = cache.compiled(paper, text_graph, ONE)
    assert first.read_text() == "CONV RELU"
    assert cache.compiled(paper, text_graph, ONE) == first
    assert len(paper.compiled) == 1


def test_threads_share_what_is_not_baked(cache: EngineCache, paper, text_graph) -> None:
    cache.compiled(paper, text_graph, Settings(threads=1))
    cache.compiled(paper, text_graph, Settings(threads=4))
    assert len(paper.compiled) == 1


def test_that_the_graph_itself_is_the_engine_is_found_out_once(
    cache: EngineCache, paper, text_graph
) -> None:
    paper.keeps = False
    assert cache.compiled(paper, text_graph, ONE) == text_graph.file
    assert cache.compiled(paper, text_graph, ONE) == text_graph.file
    assert cache.opened(paper, text_graph, ONE)[1] == text_graph.file
    assert len(paper.compiled) == 1
    assert paper.opened == ["conv relu"]
    assert not [folder for folder in cache.root.iterdir() if is_scratch(folder)]


def test_the_key_tells_builds_apart(paper, make_graph, tmp_path: Path) -> None:
    graph, other = make_graph(tmp_path, "a", "a.txt"), make_graph(tmp_path, "b", "b.txt")
    keys = {engine_key(paper, graph, Settings())}
    keys.add(engine_key(paper, graph, ONE))
    keys.add(engine_key(paper, other, ONE))
    paper.version = "2.0"
    keys.add(engine_key(paper, graph, ONE))
    assert len(keys) == 4


@pytest.mark.parametrize("damage", ["flip", "cut", "seal", "engine", "all"])
def test_a_damaged_entry_is_rebuilt(cache: EngineCache, paper, text_graph, damage: str) -> None:
    engine = cache.compiled(paper, text_graph, ONE)
    match damage:
        case "flip":
            engine.write_text("CONV TANH")
        case "cut":
            os.truncate(engine, 3)
        case "seal":
            seal_path(engine).write_text("{}")
        case "engine":
            engine.unlink()
        case "all":
            engine.unlink()
            seal_path(engine).unlink()
    assert cache.compiled(paper, text_graph, ONE).read_text() == "CONV RELU"
    assert len(paper.compiled) == 2
    assert not [folder for folder in cache.root.iterdir() if is_scratch(folder)]


@pytest.mark.parametrize("damage", ["flip", "seal", "engine"])
def test_opening_rebuilds_what_is_damaged(
    cache: EngineCache, paper, text_graph, damage: str
) -> None:
    _, engine = cache.opened(paper, text_graph, ONE)
    match damage:
        case "flip":
            engine.write_text("CONV TANH")
        case "seal":
            seal_path(engine).unlink()
        case "engine":
            engine.unlink()
    assert cache.opened(paper, text_graph, ONE)[1] == engine
    assert paper.opened == ["CONV RELU"] * 2
    assert len(paper.compiled) == 2


def test_an_engine_is_read_once_when_it_is_opened(
    cache: EngineCache, paper, text_graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.opened(paper, text_graph, ONE)
    read: list[str] = []

    def describe(file: Path, expect_bytes: int | None = None) -> seal.SealedFile:
        read.append(file.name)
        return described(file, expect_bytes)

    described = seal._describe
    monkeypatch.setattr(seal, "_describe", describe)
    os.utime(cache.root / "paper" / engine_key(paper, text_graph, ONE), (1000, 1000))
    _, engine = cache.opened(paper, text_graph, ONE)
    assert read == ["engine.txt"]
    assert engine.parent.stat().st_mtime > 1000, "opening is using"


def test_what_can_not_be_opened_is_not_compiled_over_and_over(
    cache: EngineCache, paper, text_graph
) -> None:
    cache.opened(paper, text_graph, ONE)
    paper.jammed = True
    for _ in range(3):
        with pytest.raises(EngineError, match="jammed"):
            cache.opened(paper, text_graph, ONE)
    assert len(paper.compiled) == 1


def test_a_failure_leaves_nothing_behind(cache: EngineCache, paper, make_graph, tmp_path) -> None:
    with pytest.raises(EngineError, match="operator"):
        cache.compiled(paper, make_graph(tmp_path, "unknown"), ONE)
    assert not [file for file in cache.root.rglob("*") if file.is_file()]
    assert not [folder for folder in cache.root.iterdir() if is_scratch(folder)]


def test_writers_at_the_same_time(cache: EngineCache, paper, text_graph) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = {
            done.result()
            for done in [pool.submit(cache.compiled, paper, text_graph, ONE) for _ in range(32)]
        }
    (engine,) = found
    assert engine.read_text() == "CONV RELU"
    assert not [folder for folder in cache.root.iterdir() if is_scratch(folder)]


def test_rebuilders_at_the_same_time(cache: EngineCache, paper, text_graph) -> None:
    engine = cache.compiled(paper, text_graph, ONE)
    engine.write_text("damaged")
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(cache.compiled, paper, text_graph, ONE) for _ in range(16)]:
            assert done.result() == engine
    assert engine.read_text() == "CONV RELU"


def test_least_recently_used_entries_go(tmp_path: Path, paper, make_graph) -> None:
    paper.weight = 1000  # 7 kB each
    cache = EngineCache(tmp_path / "engines", limit_bytes=25_000)
    three = [make_graph(tmp_path, f"graph {i}", f"{i}.txt") for i in range(3)]
    engines = []
    for age, graph in enumerate(three):
        engines.append(cache.compiled(paper, graph, ONE))
        os.utime(engines[-1].parent, (1000 + age, 1000 + age))
    cache.compiled(paper, three[0], ONE)  # used again: now the youngest
    newest = cache.compiled(paper, make_graph(tmp_path, "graph 3", "3.txt"), ONE)
    assert [engine.exists() for engine in engines] == [True, False, True]
    assert newest.exists()


def test_an_entry_larger_than_the_limit_stays_until_the_next(
    tmp_path: Path, paper, make_graph
) -> None:
    cache = EngineCache(tmp_path / "engines", limit_bytes=1)
    first = cache.compiled(paper, make_graph(tmp_path, "one", "1.txt"), ONE)
    assert first.exists()
    os.utime(first.parent, (1000, 1000))  # long ago
    second = cache.compiled(paper, make_graph(tmp_path, "two", "2.txt"), ONE)
    assert second.exists()
    assert not first.exists()


def test_what_is_in_use_is_not_evicted(tmp_path: Path, paper, make_graph) -> None:
    """As in a search: one engine is held throughout and run against each new one."""
    paper.weight = 1000
    cache = EngineCache(tmp_path / "engines", limit_bytes=15_000)
    anchor = cache.compiled(paper, make_graph(tmp_path, "anchor0", "a.txt"), ONE)
    tried = []
    for number in range(5):
        for engine in (anchor, *tried):
            os.utime(engine.parent, (1000 + number, 1000 + number))  # what came before is old
        assert renew(anchor)
        tried.append(cache.compiled(paper, make_graph(tmp_path, f"trial {number}", "t.txt"), ONE))
        tried = [engine for engine in tried if renew(engine)]
        assert len(tried) <= 2, "the limit still counts for what is not in use"
    assert renew(anchor)
    assert anchor.exists()


def test_engines_that_are_too_large_together_can_still_run_against_each_other(
    tmp_path: Path, paper, make_graph
) -> None:
    cache = EngineCache(tmp_path / "engines", limit_bytes=1)
    graphs = [make_graph(tmp_path, name, f"{name}.txt") for name in ("one", "two", "three")]
    engines = [cache.compiled(paper, graph, ONE) for graph in graphs]
    assert all(renew(engine) for engine in engines)
    assert len(paper.compiled) == 3


def test_renewing_touches_entries_only(cache: EngineCache, paper, text_graph) -> None:
    engine = cache.compiled(paper, text_graph, ONE)
    for folder in (engine.parent, text_graph.file.parent):
        os.utime(folder, (1000, 1000))
    assert renew(engine)
    assert renew(text_graph.file)
    assert engine.parent.stat().st_mtime > 1000
    assert text_graph.file.parent.stat().st_mtime == 1000
    engine.unlink()
    assert not renew(engine)


COMPILING = """
import sys, time
from pathlib import Path
from whet.core.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "half.bin").write_bytes(bytes(1000))
    print(folder, flush=True)
    time.sleep(300)
"""


def test_folders_of_a_killed_compilation_go_at_once_and_those_of_a_living_one_stay(
    cache: EngineCache, paper, text_graph
) -> None:
    cache.root.mkdir(parents=True)
    command = [sys.executable, "-c", COMPILING, str(cache.root)]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = [Path(writer.stdout.readline().strip()) for writer in writers]
    writers[0].kill()
    writers[0].wait()
    assert all(folder.is_dir() for folder in folders)
    cache.compiled(paper, text_graph, ONE)
    assert [folder.is_dir() for folder in folders] == [False, True]
    writers[1].kill()
    for writer in writers:
        writer.wait()
        writer.stdout.close()


def test_a_place_that_cannot_be_written(tmp_path: Path, paper, text_graph) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="can't be written") as refusal:
        EngineCache(tmp_path / "file").compiled(paper, text_graph, ONE)
    assert refusal.value.remedy


def test_wrong_settings_and_lost_graphs(cache: EngineCache, paper, text_graph) -> None:
    with pytest.raises(OptionError):
        cache.compiled(paper, text_graph, Settings(spin=False))
    text_graph.file.unlink()
    with pytest.raises(EngineError, match="can't be read"):
        cache.compiled(paper, text_graph, ONE)

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
from whet.runtimes.cache import EngineCache, engine_key
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
    second = cache.compiled(paper, make_graph(tmp_path, "two", "2.txt"), ONE)
    assert second.exists()
    assert not first.exists()


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

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from whet.errors import StorageError
from whet.measure.machine import fingerprint
from whet.search.ledger.workspace import Workspace, shared_ledger


def test_losing_graphs_are_deleted(tmp_path: Path) -> None:
    space = Workspace("k" * 64, ledger=None, home=tmp_path)
    for name in ("win", "lose"):
        (space.folder / "built" / name).mkdir(parents=True)
    space.drop_built({"win"})
    assert [p.name for p in (space.folder / "built").iterdir()] == ["win"]


HOLDER = """
import sys, time
from pathlib import Path
from whet.search.ledger.workspace import Workspace
with Workspace("k" * 64, ledger=None, home=Path(sys.argv[1])).held():
    print("held", flush=True)
    time.sleep(300)
"""


def test_a_second_search_with_another_ledger_is_kept_out_while_the_first_lives(
    tmp_path: Path,
) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "held\n"
        space = Workspace("k" * 64, ledger=tmp_path / "other.sqlite", home=tmp_path)
        with pytest.raises(StorageError, match=f"process {holder.pid} on") as caught, space.held():
            pass
        assert "stop it" in caught.value.remedy
        assert "WHET_CACHE" in caught.value.remedy
        with Workspace("l" * 64, ledger=None, home=tmp_path).held():
            pass  # other samples are another matter
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with space.held():
        pass


def test_folders_that_nobody_went_on_with_go_and_those_in_use_stay(tmp_path: Path) -> None:
    now_s, month_s = time.time(), 31 * 86_400.0
    spaces = {
        name: Workspace(name * 64, ledger=None, home=tmp_path) for name in ("o", "u", "y", "m")
    }
    old, used, young, mine = spaces.values()
    with used.held(), mine.held():
        for space in (old, young):
            with space.held():
                (space.folder / "exported.json").write_text("{}")
        past = now_s - month_s
        for space in (old, used, mine):
            os.utime(space.folder / "search.lock", (past, past))
        (tmp_path / ".gone-before").mkdir()
        assert mine.clean(now_s) == 2
    assert not old.folder.exists()
    assert all(space.folder.is_dir() for space in (used, young, mine))
    assert not list(tmp_path.glob(".gone-*"))
    with old.held():  # a search that had its name already makes it anew
        assert old.folder.is_dir()


def test_what_the_compiler_left_goes_after_a_month(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WHET_CACHE", str(tmp_path))
    left = tmp_path / "inductor" / "ab"
    left.mkdir(parents=True)
    now_s = time.time()
    for name, days in (("old.cpp", 31), ("new.cpp", 29)):
        (left / name).write_text("")
        os.utime(left / name, (now_s - days * 86_400.0,) * 2)
    Workspace("k" * 64, ledger=None).clean(now_s)
    assert [file.name for file in left.iterdir()] == ["new.cpp"]


def test_a_place_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="WHET_CACHE"):
        Workspace("k" * 64, ledger=None, home=tmp_path / "file" / "below")


def test_searches_of_one_graph_share_their_ledger(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WHET_CACHE", str(tmp_path))
    assert shared_ledger("a" * 64).is_relative_to(tmp_path)
    assert shared_ledger("a" * 64) == shared_ledger("a" * 64) != shared_ledger("b" * 64)


def test_another_content_has_another_folder(tmp_path: Path) -> None:
    one, same, other = (
        Workspace(c * 64, ledger=None, home=tmp_path).folder for c in ("k", "k", "l")
    )
    assert one == same != other


def test_another_machine_or_version_has_another_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Answers of an older runtime, or of a processor with other instructions, prove nothing."""
    here = Workspace("k" * 64, ledger=None, home=tmp_path).folder
    assert Workspace("k" * 64, ledger=None, home=tmp_path).folder == here
    machine = fingerprint(ceilings=False, cache=None)
    newer = msgspec.structs.replace(machine, versions={**machine.versions, "onnxruntime": "99"})
    monkeypatch.setattr("whet.search.ledger.workspace.fingerprint", lambda **_: newer)
    assert Workspace("k" * 64, ledger=None, home=tmp_path).folder != here

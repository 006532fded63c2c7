from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from whet.errors import StorageError
from whet.measure.machine import fingerprint
from whet.search.workspace import Workspace, shared_ledger


def test_losing_graphs_are_deleted(tmp_path: Path) -> None:
    space = Workspace("k" * 64, ledger=None, home=tmp_path)
    for name in ("win", "lose"):
        (space.folder / "built" / name).mkdir(parents=True)
    space.drop_built({"win"})
    assert [p.name for p in (space.folder / "built").iterdir()] == ["win"]


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
    monkeypatch.setattr("whet.search.workspace.fingerprint", lambda **_: newer)
    assert Workspace("k" * 64, ledger=None, home=tmp_path).folder != here

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from whet.errors import StorageError
from whet.measure.machine import fingerprint
from whet.search.given import Given
from whet.search.workspace import Workspace, identity, shared_ledger


def test_the_same_input_has_the_same_identity(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("x = 1")
    assert identity(f"{file}:build") == identity(f"{file}:build")
    before = identity(f"{file}:build")
    file.write_text("x = 2")
    assert identity(f"{file}:build") != before
    assert identity(f"{file}:build") != identity(f"{file}:other")


def test_arrays_differ_by_bytes_shape_and_dtype() -> None:
    a = np.arange(6, dtype=np.float32)
    kinds = [a, a.reshape(2, 3), a.astype(np.float64), a + 1, {"x": a}, {"y": a}]
    assert len({identity(k) for k in kinds}) == len(kinds)
    assert identity({"x": a, "y": a + 1}) == identity({"y": a + 1, "x": a})


def test_a_folder_counts_its_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = identity(tmp_path)
    assert identity(tmp_path) == before
    (tmp_path / "b").write_text("2")
    assert identity(tmp_path) != before


def test_a_generator_is_never_taken_for_another() -> None:
    assert identity(iter([1])) != identity(iter([1]))


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


def test_searches_of_one_network_share_their_ledger(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WHET_CACHE", str(tmp_path))
    network = {"w": np.arange(3.0)}
    other = {"w": np.arange(4.0)}
    first, second = (
        Given(network, np.zeros((n, 3)), seed=n)  # type: ignore[arg-type]
        for n in (1, 2)
    )
    assert first.identity() != second.identity()
    assert first.network_identity() == second.network_identity()
    assert Given(other, np.zeros((1, 3))).network_identity() != first.network_identity()  # type: ignore[arg-type]
    assert shared_ledger(first.network_identity()).is_relative_to(tmp_path)


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

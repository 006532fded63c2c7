from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from whet.data.text import TextTransform
from whet.search.intake.sameness import identity, transform_identity


def test_arrays_differ_by_bytes_shape_and_dtype() -> None:
    a = np.arange(6, dtype=np.float32)
    kinds = [a, a.reshape(2, 3), a.astype(np.float64), a + 1, {"x": a}, {"y": a}, [a], (a,), [[a]]]
    assert len({identity(k) for k in kinds}) == len(kinds)
    assert identity({"x": a, "y": a + 1}) == identity({"y": a + 1, "x": a}) is not None


def test_text_arrays_and_empty_ones_have_an_identity() -> None:
    assert identity(np.array(["a", "b"])) != identity(np.array(["a", "c"]))
    assert identity(np.zeros((0, 3))) != identity(np.zeros((0, 4)))


@pytest.mark.parametrize(
    "given",
    [
        iter([1]),
        lambda: [1],
        [object()],
        {"x": (i for i in range(3))},
        np.array([object()]),
        "package.module:samples",
    ],
)
def test_what_may_run_code_has_no_identity(given: object) -> None:
    assert identity(given) is None


def test_a_function_in_a_file_has_none_though_its_file_is_known(tmp_path: Path) -> None:
    file = tmp_path / "fn.py"
    file.write_text("def samples(): ...")
    assert identity(f"{file}:samples") is None


def test_a_file_counts_by_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "s.npz"
    file.write_bytes(b"1")
    before, part = identity(file), identity(f"{file}#train")
    assert identity(str(file)) == before != part
    stat = file.stat()
    file.write_bytes(b"2")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert identity(file) != before
    assert identity(f"{file}#train") != part


def test_a_folder_notices_new_and_replaced_files(tmp_path: Path) -> None:
    (tmp_path / "class").mkdir()
    picture = tmp_path / "class" / "a.png"
    picture.write_text("1")
    seen = [identity(tmp_path)]
    assert identity(tmp_path) == seen[0]
    (tmp_path / "b").write_text("2")
    seen.append(identity(tmp_path))
    stat = picture.stat()
    other = tmp_path.parent / "other.png"
    other.write_text("3")  # of the same size, and with the same time, as a copying tool leaves it
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(picture)
    seen.append(identity(tmp_path))
    picture.write_text("4")
    os.utime(picture, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    seen.append(identity(tmp_path))
    assert len(set(seen)) == len(seen)


def test_a_folder_behind_a_link_counts_and_a_circle_ends(tmp_path: Path) -> None:
    folder, behind = tmp_path / "pictures", tmp_path / "behind"
    for path in (folder, behind):
        path.mkdir()
    (folder / "class").symlink_to(behind)
    (behind / "circle").symlink_to(folder)
    before = identity(folder)
    (behind / "a.png").write_text("1")
    assert identity(folder) != before


def test_a_tokenizer_counts_by_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text("1")
    transform = TextTransform(tokenizer=str(file), max_length=8)
    before = transform_identity(transform)
    assert transform_identity(transform) == before != transform_identity(None)
    file.write_text("2")
    assert transform_identity(transform) != before


def test_long_texts_are_no_paths() -> None:
    assert identity(["a" * 300, "b"]) != identity(["a" * 300, "c"])


def test_what_may_not_be_read_has_no_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.npy"
    file.write_text("1")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    for call in ("open", "exists"):
        with monkeypatch.context() as patched:
            patched.setattr(Path, call, denied)
            assert identity(file) is None
    assert identity(file) is not None


def test_a_fifo_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.npy")
    assert identity(tmp_path / "x.npy") is None

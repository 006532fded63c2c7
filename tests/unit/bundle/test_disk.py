from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bundle_factory import draft, make_bundle

from whet.bundle import disk
from whet.bundle.disk import write_whole
from whet.bundle.read import Bundle, read_bundle
from whet.bundle.write import write_bundle
from whet.errors import StorageError


def hidden(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.name.startswith("."))


def test_replacing_works_without_an_atomic_exchange(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_exchange", lambda one, other: False)
    write_bundle(bundle.folder, draft(tmp_path / "s", name="other"), replace=True)
    assert read_bundle(bundle.folder).manifest.name == "other"
    assert hidden(tmp_path) == []


CODE = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from bundle_factory import draft
from whet.bundle.write import write_bundle
from whet.bundle.pack import pack
from whet.errors import StorageError
work = draft(Path({where!r}) / "sources")
limit = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (700, limit))  # the largest file of the draft has 1024
try:
    {call}
except StorageError as error:
    print("refused:", error)
    sys.exit(0)
sys.exit("written all the same")
"""


@pytest.mark.parametrize(
    ("call", "left"),
    [
        ("write_bundle(Path({where!r}) / 'out' / 'b', work)", []),
        ("pack(Path({where!r}) / 'good', Path({where!r}) / 'out' / 'b.whet')", []),
    ],
)
def test_a_full_disk_leaves_nothing_behind(call: str, left: list[str], tmp_path: Path) -> None:
    make_bundle(tmp_path / "good")
    (tmp_path / "out").mkdir()
    code = CODE.format(
        tests=str(Path(__file__).parent), where=str(tmp_path), call=call.format(where=str(tmp_path))
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "no space is left" in done.stdout
    assert "Exception ignored" not in done.stderr
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == left


def test_a_disk_that_is_too_small_is_noticed_before(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="MB are needed"):
        disk.check_room(tmp_path, 1 << 60)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="can't be written"):
        write_bundle(tmp_path / "file" / "b", draft(tmp_path / "s"))


def test_what_a_killed_writer_left_is_removed_but_not_what_a_living_one_writes(
    tmp_path: Path,
) -> None:
    dead, living, other = (
        tmp_path / name for name in (".b.0000.partial", ".b.1111.partial", ".c.2222.partial")
    )
    for folder in (dead, living, other):
        folder.mkdir()
        (folder / "x").write_text("x")
        old = time.time() - 3600
        os.utime(folder, (old, old))
    with disk.locked(living):
        make_bundle(tmp_path / "b")
    assert hidden(tmp_path) == [living.name, other.name]


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from bundle_factory import draft
from whet.bundle.write import write_bundle
where = Path({where!r})
drafts = [draft(where / "sources", name=name) for name in ("one", "two")]
for turn in range(100_000):
    write_bundle(where / "b", drafts[turn % 2], replace=True)
    print("written", flush=True)
"""


def test_a_killed_writer_leaves_the_old_bundle_or_the_new_one(tmp_path: Path) -> None:
    code = WRITER.format(tests=str(Path(__file__).parent), where=str(tmp_path))
    for turn in range(6):
        writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        with writer.stdout:
            writer.stdout.readline()
            time.sleep(0.017 * turn)
            writer.kill()
            writer.wait()
        assert read_bundle(tmp_path / "b").manifest.name in {"one", "two"}
        for name in hidden(tmp_path):
            os.utime(tmp_path / name, (0, 0))
    make_bundle(tmp_path / "x")  # another name doesn't sweep
    write_bundle(tmp_path / "b", draft(tmp_path / "sources"), replace=True)
    assert hidden(tmp_path) == []


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, link = tmp_path / "r.html", tmp_path / "link.html"
    link.symlink_to(where)
    for text in (b"one", b"two"):
        write_whole(text, link)
        assert where.read_bytes() == text
    assert link.is_symlink()

    def full(data: bytes, target: Path) -> None:
        target.write_bytes(data[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(disk, "write_file", full)
    with pytest.raises(StorageError, match="no space is left"):
        write_whole(b"three", where)
    assert where.read_bytes() == b"two"
    assert {file.name for file in tmp_path.iterdir()} == {"r.html", "link.html"}


def test_what_is_no_plain_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(b"page", pipe)
        assert os.read(reader, 10) == b"page"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    with pytest.raises(StorageError, match="can't be written"):
        write_whole(b"page", tmp_path)

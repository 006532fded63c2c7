from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from trial_factory import trial

from whet.errors import LedgerError
from whet.search.ledger import file as ledger_file
from whet.search.ledger.ledger import Ledger

KEY = "k" * 32
HERE = Path(__file__).parents[1]  # where the factory of trials lies


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "ledger.sqlite"


def test_two_searches_on_one_ledger(file: Path) -> None:
    with Ledger.open(file, KEY) as ledger:
        with pytest.raises(LedgerError, match=f"in use by process {os.getpid()} on") as caught:
            Ledger.open(file, "other")
        assert "stop it" in caught.value.remedy
        ledger.record(trial("a", 1.0))
    Ledger.open(file, "other").close()


HOLDER = """
import sys, time
from whet.search.ledger.ledger import Ledger
ledger = Ledger.open(sys.argv[1], "k")
print("held", flush=True)
time.sleep(300)
"""


def test_the_lock_of_another_process_and_of_a_dead_one(file: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LedgerError, match=f"in use by process {holder.pid} "):
            Ledger.open(file, KEY)
        holder.kill()
        holder.wait()
    Ledger.open(file, KEY).close()  # nothing stale stands in the way


def test_a_stale_lock_file_means_nothing(file: Path) -> None:
    file.parent.mkdir()
    lock = file.with_name(file.name + ".lock")
    lock.write_text("process 1 on elsewhere, and a longer text than the one that comes\n" * 5)
    with Ledger.open(file, KEY):
        assert lock.read_text().startswith(f"process {os.getpid()} on ")
        assert lock.read_text().count("\n") == 1


WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from trial_factory import trial
from whet.search.ledger.ledger import Ledger
start = int(sys.argv[3])
with Ledger.open(sys.argv[1], "k") as ledger:
    for number in range(start, start + 100000):
        ledger.record(trial(f"t{number}", 1.0))
        print(number, flush=True)
"""


def test_it_survives_sigkill_at_any_time(file: Path) -> None:
    confirmed = -1
    for turn in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(file), str(HERE), str(confirmed + 1)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        with writer.stdout:
            line = writer.stdout.readline()
            time.sleep(0.013 * turn)
            os.kill(writer.pid, signal.SIGKILL)
            writer.wait()
            lines = [line, *writer.stdout.read().splitlines(keepends=True)]
        confirmed = max(int(line) for line in lines if line.endswith("\n"))
        with Ledger.open(file, "k") as ledger:
            names = [t.name for t in ledger.trials()]
        # Everything that was confirmed is there, whole and in order, and at most one more.
        assert names[: confirmed + 1] == [f"t{number}" for number in range(confirmed + 1)]
        assert len(names) <= confirmed + 2
        confirmed = len(names) - 1


def filled(file: Path) -> None:
    with Ledger.open(file, KEY) as ledger:
        for number in range(50):
            ledger.record(trial(f"t{number}", 1.0))


@pytest.mark.parametrize("damage", ["text", "cut", "header", "garbage", "middle"])
def test_a_damaged_file_is_refused_and_left_alone(damage: str, file: Path) -> None:
    filled(file)
    data = bytearray(file.read_bytes())
    if damage == "text":
        data = bytearray(b"this is not a database, it only has the name of one " * 10)
    elif damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "header":
        data[:16] = bytes(16)
    elif damage == "garbage":
        data[4096:] = os.urandom(len(data) - 4096)
    else:
        data[8192:12288] = bytes(4096)
    file.write_bytes(data)
    with pytest.raises(LedgerError, match="damaged") as caught:
        Ledger.open(file, KEY).close()
    assert "another file" in caught.value.remedy
    assert file.read_bytes() == data


def test_a_flipped_bit_inside_a_row_is_noticed(file: Path) -> None:
    with Ledger.open(file, KEY) as ledger:
        ledger.record(trial("precious", 1.0))
    data = file.read_bytes()
    assert data.count(b'"precious"') >= 1
    file.write_bytes(data.replace(b'"name":"precious"', b'"name":"prexious"'))
    with Ledger.open(file, KEY) as ledger, pytest.raises(LedgerError, match="a row was changed"):
        ledger.trials()


def execute(file: Path, statement: str) -> None:
    db = sqlite3.connect(file, isolation_level=None)
    try:
        db.executescript(statement)
    finally:
        db.close()


def test_a_database_of_another_program_is_left_alone(file: Path) -> None:
    file.parent.mkdir()
    execute(file, "CREATE TABLE recipes (soup TEXT); INSERT INTO recipes VALUES ('leek');")
    before = file.read_bytes()
    with pytest.raises(LedgerError, match="another program"):
        Ledger.open(file, KEY)
    assert file.read_bytes() == before


def test_a_newer_layout_is_refused(file: Path) -> None:
    filled(file)
    execute(file, "PRAGMA user_version=99")
    with pytest.raises(LedgerError, match="newer whet"):
        Ledger.open(file, KEY)


def test_an_older_layout_is_brought_up(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(file)
    added = "ALTER TABLE trials ADD COLUMN extra TEXT DEFAULT 'x';"
    monkeypatch.setattr(ledger_file, "_MIGRATIONS", (*ledger_file._MIGRATIONS, added))
    for _ in range(2):
        with Ledger.open(file, KEY) as ledger:
            assert len(ledger.trials()) == 50
    db = sqlite3.connect(file)
    try:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        assert db.execute("SELECT DISTINCT extra FROM trials").fetchall() == [("x",)]
    finally:
        db.close()


def test_a_migration_that_fails_changes_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(file)
    broken = "DELETE FROM trials; CREATE NONSENSE;"
    with monkeypatch.context() as patch:
        patch.setattr(ledger_file, "_MIGRATIONS", (*ledger_file._MIGRATIONS, broken))
        with pytest.raises(LedgerError):
            Ledger.open(file, KEY)
    with Ledger.open(file, KEY) as ledger:
        assert len(ledger.trials()) == 50


FULL = """
import resource, sys
sys.path.insert(0, sys.argv[2])
from trial_factory import trial
from whet.search.ledger.ledger import Ledger
from whet.errors import LedgerError
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
number = 0
try:
    with Ledger.open(sys.argv[1], "k") as ledger:
        for number in range(100000):
            ledger.record(trial(f"t{number}", 1.0))
except LedgerError as error:
    print(number, error.exit_code, error)
"""


def test_a_full_disk_loses_nothing_that_was_recorded(file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(file), str(HERE)],
        capture_output=True,
        text=True,
        check=True,
    )
    number, code, message = done.stdout.split(maxsplit=2)
    assert int(code) == 6
    assert "Free some space" in message
    with Ledger.open(file, "k") as ledger:
        assert [t.name for t in ledger.trials()] == [f"t{n}" for n in range(int(number))]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "file" / "ledger", tmp_path / "folder"):
        with pytest.raises(LedgerError, match="can't be opened"):
            Ledger.open(place, KEY)

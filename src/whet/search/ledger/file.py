"""The ledger's file: one writer at a time, checked when opened, brought to this version."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from whet.errors import LedgerError
from whet.search.ledger.holding import hold

__all__ = ["acquire", "check_ledger", "damaged", "mapped", "prepare"]

_APPLICATION = 0x77686574  # "whet", in the file's header
# _MIGRATIONS[n] brings a file from version n to n + 1; version 0 is an empty file.
_MIGRATIONS = (
    """
    CREATE TABLE searches (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        graph TEXT NOT NULL,
        machine TEXT NOT NULL,
        inputs BLOB,
        started TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
    );
    CREATE INDEX searches_by_graph ON searches (graph, machine);
    CREATE TABLE trials (
        id INTEGER PRIMARY KEY,
        search INTEGER NOT NULL REFERENCES searches,
        recipe TEXT NOT NULL,
        body BLOB NOT NULL,
        digest TEXT NOT NULL,
        UNIQUE (search, recipe)
    );
    CREATE TABLE phases (
        search INTEGER NOT NULL REFERENCES searches,
        name TEXT NOT NULL,
        body BLOB NOT NULL,
        digest TEXT NOT NULL,
        PRIMARY KEY (search, name)
    );
    """,
)


def acquire(file: Path) -> int:
    """Hold the lock file; returns the handle to close.

    Raises:
        LedgerError: another search holds it.
        OSError: it can't be opened, or its file system has no locks.
    """
    held = hold(file.with_name(file.name + ".lock"))
    if isinstance(held, str):
        raise LedgerError(
            f"The ledger '{file}' is in use by {held}.",
            "Wait until that search ends, stop it, or give this one another ledger.",
        )
    return held


@contextlib.contextmanager
def mapped(file: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours.

    Raises:
        LedgerError: full disk, no rights, busy, or damaged.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = error.sqlite_errorcode & 0xFF if isinstance(error, sqlite3.OperationalError) else 0
        if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
            raise LedgerError(
                f"The ledger '{file}' can't be written: {error}.",
                "Free some space and start again; what was recorded is kept.",
            ) from error
        if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}:
            raise LedgerError(
                f"The ledger '{file}' can't be opened: {error}.",
                "Choose a place that may be written.",
            ) from error
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise LedgerError(
                f"The ledger '{file}' is in use: {error}.", "Close the program that reads it."
            ) from error
        raise damaged(file, str(error)) from error


def damaged(file: Path, why: str) -> LedgerError:
    """The one sentence for a ledger that can't be believed."""
    # Not moved aside by itself: it may hold hours of work that a person can still save.
    return LedgerError(
        f"The ledger '{file}' is damaged or not a ledger: {why}.",
        "Give another file with --ledger; if this one was a ledger, keep a copy of it before you"
        " start again without it.",
    )


def check_ledger(file: Path) -> None:
    """Refuse what can't become a search's ledger; nothing is made, and a file that is there stays.

    Raises:
        LedgerError: in use, of another program, of a newer whet, no ledger at all, or in a place
            that can't be written.
    """
    try:
        if file.is_dir():
            raise LedgerError(
                f"The ledger '{file}' is a folder.", "Name a file in it with --ledger."
            )
        if not file.exists():
            # In the folder, or where it would be made.
            above = next(part for part in file.absolute().parents if part.exists())
            with tempfile.TemporaryFile(dir=above):
                return
        with mapped(file):
            # Read first: what isn't a ledger gets no lock file beside it.
            where = f"{file.absolute().as_uri()}?mode=ro"
            with contextlib.closing(sqlite3.connect(where, uri=True, timeout=1.0)) as db:
                _version(file, db)
        with file.open("r+b"):
            os.close(acquire(file))
    except OSError as error:
        raise LedgerError(
            f"The ledger '{file}' can't be written: {error.strerror}.",
            "Choose a place that may be written with --ledger.",
        ) from error


def _version(file: Path, db: sqlite3.Connection) -> int:
    """The version of its layout, 0 for an empty file."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    application = int(db.execute("PRAGMA application_id").fetchone()[0])
    tables = int(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if application != _APPLICATION and (application or tables or version):
        raise LedgerError(
            f"'{file}' is a database of another program.", "Choose another file for the ledger."
        )
    if version > len(_MIGRATIONS):
        raise LedgerError(
            f"The ledger '{file}' was written by a newer whet (version {version} of its layout).",
            "Install a newer whet, or choose another file for the ledger.",
        )
    return version


def prepare(file: Path, db: sqlite3.Connection) -> None:
    """Check that the file is ours and whole, and bring it to this version."""
    version = _version(file, db)
    verdict = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    if verdict != "ok":
        raise damaged(file, verdict)
    # Where the file system can't do it, SQLite stays with its rollback journal, as safe and slower.
    db.execute("PRAGMA journal_mode=WAL").fetchone()
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA foreign_keys=ON")
    for number in range(version, len(_MIGRATIONS)):
        db.executescript(
            f"BEGIN IMMEDIATE; {_MIGRATIONS[number]}"
            f" PRAGMA application_id={_APPLICATION}; PRAGMA user_version={number + 1}; COMMIT;"
        )

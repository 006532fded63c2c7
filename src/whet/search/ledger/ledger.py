"""The ledger: every trial of every search, on disk as soon as it ends.

One SQLite file for all searches of a user. A row belongs to the search whose
*key* it carries; the key stands for everything that decides what is measured
(`SearchInputs`), so a search that is started again finds its own trials and
no others. Trials of other searches on the same graph and machine are given
out by `Ledger.reusable`, for the caller to judge what still holds.

Every write is one transaction, synced before it returns: a process that is
killed at any moment loses at most what it was about to record. Bodies are the
JSON of closed structs, each with its SHA-256, because SQLite doesn't notice a
flipped bit inside a row.

There is one writer at a time, held by a lock on ``<file>.lock`` that the
kernel gives back when its process dies, however it dies. The lock file names
the process that holds it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from whet.bundle.strictjson import non_finite
from whet.core.evidence import Trial
from whet.errors import LedgerError, MeasurementError
from whet.search.ledger.file import acquire, damaged, mapped, prepare
from whet.search.ledger.identity import SearchInputs

__all__ = ["Ledger", "Past"]

T = TypeVar("T")


@dataclass(frozen=True)
class Past:
    """A trial of another search on the same graph and machine.

    ``started`` is when that search first began, in UTC (``"2026-01-31 12:00:00"``).
    """

    inputs: SearchInputs
    trial: Trial
    started: str


class Ledger:
    """One search's view of the ledger; a context manager. May be used from several threads.

    Made by `Ledger.open`.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, lock: int, search: int) -> None:
        self.path = path
        self._db = db
        self._lock_handle = lock
        self._search = search
        self._mutex = threading.Lock()
        self._closed = False

    @classmethod
    def open(cls, path: str | Path, key: str | SearchInputs) -> Ledger:
        """Open the ledger for writing, or make it.

        Args:
            path: the file; its folder is made if it doesn't exist.
            key: what the search measures. A plain string works as a key too,
                but then its trials are not given out by `reusable`.

        Raises:
            LedgerError: another search holds it (with its process id), it is
                damaged, of another kind, written by a newer whet, or the disk is full.
        """
        file = Path(path).absolute()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handle = acquire(file)
        except OSError as error:
            raise LedgerError(
                f"The ledger '{file}' can't be opened: {error.strerror}.",
                "Choose a place that may be written.",
            ) from error
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, handle)
            with mapped(file):
                db = sqlite3.connect(
                    file, timeout=10.0, isolation_level=None, check_same_thread=False
                )
                undo.callback(db.close)
                prepare(file, db)
                search = _enter_search(db, key)
            undo.pop_all()
        return cls(file, db, handle, search)

    def record(self, trial: Trial) -> None:
        """Keep a trial; one with the same recipe digest is replaced at its place.

        Raises:
            MeasurementError: it holds a number that is not finite.
            LedgerError: it can't be written; what was recorded before is kept.
        """
        where = non_finite(trial)
        if where is not None:
            raise MeasurementError(
                f"The trial '{trial.name}' holds a figure that is not finite ({where}).",
                "Leave out what could not be measured.",
            )
        self._write(
            "INSERT INTO trials (search, recipe, body, digest) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (search, recipe) DO UPDATE SET body=excluded.body, digest=excluded.digest",
            trial.recipe.digest(),
            msgspec.json.encode(trial),
        )

    def find(self, recipe_digest: str) -> Trial | None:
        """This search's trial of a recipe, if it was recorded.

        Raises:
            LedgerError: the row is damaged.
        """
        rows = self._rows(
            "SELECT body, digest FROM trials WHERE search=? AND recipe=?",
            self._search,
            recipe_digest,
        )
        return self._decoded(rows[0], Trial) if rows else None

    def trials(self) -> tuple[Trial, ...]:
        """All trials of this search, in the order in which they were first recorded.

        Raises:
            LedgerError: a row is damaged.
        """
        rows = self._rows(
            "SELECT body, digest FROM trials WHERE search=? ORDER BY id", self._search
        )
        return tuple(self._decoded((body, digest), Trial) for body, digest in rows)

    def put(self, name: str, value: msgspec.Struct | bytes) -> None:
        """Keep the result of a phase (the export, the baseline) under a name.

        Args:
            name: of the phase; an earlier result is replaced.
            value: a closed struct, or the JSON of one.

        Raises:
            LedgerError: no valid JSON, or it can't be written.
        """
        body = value if isinstance(value, bytes) else msgspec.json.encode(value)
        try:
            msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            raise LedgerError(
                f"The result of '{name}' is not JSON: {error}.", "Give the JSON of a struct."
            ) from error
        self._write(
            "INSERT INTO phases (search, name, body, digest) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (search, name) DO UPDATE SET body=excluded.body, digest=excluded.digest",
            name,
            body,
        )

    def get(self, name: str) -> bytes | None:
        """The JSON kept under a name, if there is any.

        Raises:
            LedgerError: the row is damaged.
        """
        rows = self._rows(
            "SELECT body, digest FROM phases WHERE search=? AND name=?", self._search, name
        )
        return self._intact(rows[0]) if rows else None

    def get_as(self, name: str, kind: type[T]) -> T | None:
        """As `get`, decoded.

        Raises:
            LedgerError: the row is damaged or of another type.
        """
        rows = self._rows(
            "SELECT body, digest FROM phases WHERE search=? AND name=?", self._search, name
        )
        return self._decoded(rows[0], kind) if rows else None

    def reusable(self, graph: str, machine: str) -> tuple[Past, ...]:
        """Trials of other searches on this graph and this machine, newest search first.

        What of such a trial still holds, `whet.search.ledger.reuse` decides.

        Raises:
            LedgerError: a row is damaged.
        """
        rows = self._rows(
            "SELECT t.body, t.digest, s.inputs, s.started FROM trials t JOIN searches s ON t.search = s.id"
            " WHERE s.graph=? AND s.machine=? AND s.id<>? AND s.inputs IS NOT NULL"
            " ORDER BY s.id DESC, t.id",
            graph,
            machine,
            self._search,
        )
        return tuple(
            Past(
                self._json(inputs, SearchInputs), self._decoded((body, digest), Trial), str(started)
            )
            for body, digest, inputs, started in rows
        )

    def others_as(self, name: str, graph: str, kind: type[T]) -> tuple[tuple[SearchInputs, T], ...]:
        """Other searches on this graph, on any machine, with the result they kept under ``name``.

        Raises:
            LedgerError: a row is damaged.
        """
        rows = self._rows(
            "SELECT s.inputs, p.body, p.digest FROM searches s JOIN phases p ON p.search = s.id"
            " WHERE p.name=? AND s.graph=? AND s.id<>? AND s.inputs IS NOT NULL ORDER BY s.id",
            name,
            graph,
            self._search,
        )
        return tuple(
            (self._json(inputs, SearchInputs), self._decoded((body, digest), kind))
            for inputs, body, digest in rows
        )

    def close(self) -> None:
        """Close the file and give the lock back; closing twice is allowed."""
        with self._mutex:
            if not self._closed:
                self._closed = True
                self._db.close()
                os.close(self._lock_handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _must_be_open(self) -> None:
        if self._closed:
            raise LedgerError(f"The ledger '{self.path}' has been closed.", "Open it again.")

    def _write(self, statement: str, name: str, body: bytes) -> None:
        digest = hashlib.sha256(body).hexdigest()
        with self._mutex, mapped(self.path):
            self._must_be_open()
            self._db.execute(statement, (self._search, name, body, digest))

    def _rows(self, query: str, *values: str | int) -> list[tuple[Any, ...]]:
        with self._mutex, mapped(self.path):
            self._must_be_open()
            return self._db.execute(query, values).fetchall()

    def _intact(self, row: tuple[object, str]) -> bytes:
        body, digest = row
        # SQLite stores any type in any column; only a blob is one of our bodies.
        if not isinstance(body, bytes) or hashlib.sha256(body).hexdigest() != digest:
            raise damaged(self.path, "a row was changed")
        return body

    def _decoded(self, row: tuple[object, str], kind: type[T]) -> T:
        return self._json(self._intact(row), kind)

    def _json(self, body: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError as error:
            raise damaged(self.path, str(error)) from error


def _enter_search(db: sqlite3.Connection, key: str | SearchInputs) -> int:
    row: tuple[str, str, str, bytes | None]
    if isinstance(key, SearchInputs):
        row = (key.key(), key.graph, key.machine, msgspec.json.encode(key))
    else:
        row = (key, "", "", None)
    db.execute(
        "INSERT INTO searches (key, graph, machine, inputs) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (key) DO NOTHING",
        row,
    )
    (number,) = db.execute("SELECT id FROM searches WHERE key=?", (row[0],)).fetchone()
    return int(number)

"""Lines of `.jsonl` and `.csv` files as records, streamed, each with its line number."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import msgspec

from whet.errors import SamplesError

__all__ = ["count_records", "csv_rows", "json_rows", "records", "text_lines"]

_MOST_LINE_BYTES = 16 << 20
_OTHER_MARKS = {";": "semicolons", "\t": "tabs"}  # that tables are separated by
_UNREADABLE = "Save it as UTF-8 text."
_ONE_OBJECT = "Write one JSON object a line."

Record = dict[str, object]


def records(path: Path) -> Iterator[tuple[int, Record]]:
    """Records of a `.jsonl` or `.csv` file with the number of the line (from 1).

    Raises:
        SamplesError: the file can't be read or a line is broken; names the line.
    """
    if path.suffix.lower() == ".csv":
        for number, row in csv_rows(path):
            yield number, {**row}
    else:
        yield from json_rows(path)


def count_records(path: Path) -> int:
    """Number of records; reads the file once without parsing JSON.

    Raises:
        SamplesError: the file can't be read.
    """
    if path.suffix.lower() == ".csv":
        return sum(1 for _ in csv_rows(path))
    return sum(1 for _ in text_lines(path, _ONE_OBJECT))


def json_rows(path: Path) -> Iterator[tuple[int, Record]]:
    """One JSON object a line; blank lines are skipped.

    Raises:
        SamplesError: names the line.
    """
    for number, line in text_lines(path, _ONE_OBJECT):
        try:
            row = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SamplesError(
                f"Line {number} of {path} isn't JSON ({error}).", _ONE_OBJECT
            ) from error
        if not isinstance(row, dict):
            raise SamplesError(
                f"Line {number} of {path} is a {type(row).__name__}, not an object.",
                _ONE_OBJECT,
            )
        yield number, row


def csv_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV file with a header line.

    Raises:
        SamplesError: no header, or a line with too many or too few fields.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, [])
            if not header or len(set(header)) != len(header):
                raise SamplesError(
                    f"{path} doesn't start with a line of distinct column names.",
                    "Add a header line.",
                )
            for mark, name in _OTHER_MARKS.items():
                if len(header) == 1 and mark in header[0]:
                    raise SamplesError(f"{path} is separated by {name}.", "Save it with commas.")
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    raise SamplesError(
                        f"Line {reader.line_num} of {path} has {len(row)} fields, the header {len(header)}.",
                        "Quote fields that hold commas.",
                    )
                yield reader.line_num, dict(zip(header, row, strict=True))
    except UnicodeDecodeError as error:
        raise SamplesError(f"{path} isn't UTF-8 text ({error.reason}).", _UNREADABLE) from error
    except csv.Error as error:
        raise SamplesError(
            f"{path} isn't CSV ({error}).", "Quote fields that hold commas."
        ) from error
    except OSError as error:
        raise SamplesError(
            f"{path} can't be read ({error.strerror}).", "Check the path."
        ) from error


def text_lines(path: Path, remedy: str) -> Iterator[tuple[int, bytes]]:
    """Lines that aren't blank, with their numbers (from 1).

    Raises:
        SamplesError: the file can't be read, or a line has no end; with the remedy given.
    """
    try:
        with path.open("rb") as stream:
            number = 0
            while line := stream.readline(_MOST_LINE_BYTES + 1):
                number += 1
                if len(line) > _MOST_LINE_BYTES:
                    raise SamplesError(
                        f"Line {number} of {path} is longer than {_MOST_LINE_BYTES:,} bytes.",
                        remedy,
                    )
                if line.strip():
                    yield number, line
    except OSError as error:
        raise SamplesError(
            f"{path} can't be read ({error.strerror}).", "Check the path."
        ) from error

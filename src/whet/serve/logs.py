"""What a server says while it runs: lines for people, or a JSON object each for machines."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Literal

import msgspec

__all__ = ["EVENTS", "REQUESTS", "log_to_stderr"]

EVENTS = logging.getLogger("whet.serve")
"""What happens to models and to the server; and faults of ours."""

REQUESTS = logging.getLogger("whet.serve.requests")
"""A record for each request, where that is asked for."""

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def log_to_stderr(form: Literal["text", "json"]) -> None:
    """Write events, and requests, to standard error from now on."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Text())
    EVENTS.handlers[:] = [handler]
    EVENTS.setLevel(logging.INFO)
    EVENTS.propagate = False
    # Whoever sends what is no HTTP shall not fill the log.
    below = logging.getLogger("uvicorn")
    below.handlers[:] = [handler]
    below.setLevel(logging.ERROR)
    below.propagate = False


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """What was given as ``extra``."""
    return {name: value for name, value in vars(record).items() if name not in _OWN}


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        more = "".join(f" {name}={value}" for name, value in _fields(record).items())
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{when} {record.levelname.lower()}: {record.getMessage()}{more}{trace}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()

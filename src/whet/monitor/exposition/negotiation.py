"""Which format a scraper is answered in, by its ``Accept``."""

from __future__ import annotations

from collections.abc import Iterable

from whet.core.preferences import preferences
from whet.monitor.exposition import protobuf, text
from whet.monitor.metrics import Family

__all__ = ["exposed"]


def exposed(families: Iterable[Family], accept: str) -> tuple[str, bytes]:
    """Content type and body: text, unless protobuf is wanted more."""
    known = list(preferences(accept))
    binary = max(
        (weight for kind, given, weight in known if _is_protobuf(kind, given)), default=0.0
    )
    plain = max((weight for kind, given, weight in known if _is_text(kind, given)), default=0.0)
    if binary > plain:
        return protobuf.CONTENT_TYPE, protobuf.protobuf_of(families)
    return text.CONTENT_TYPE, text.text_of(families)


def _is_protobuf(kind: str, parameters: dict[str, str]) -> bool:
    return (
        kind == "application/vnd.google.protobuf"
        and parameters.get("proto") == "io.prometheus.client.MetricFamily"
        and parameters.get("encoding", "delimited") == "delimited"
    )


def _is_text(kind: str, parameters: dict[str, str]) -> bool:
    return kind in {"text/plain", "text/*", "*/*"} and parameters.get("version", "0.0.4") == "0.0.4"

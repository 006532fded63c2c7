"""Which format a scraper is answered in, by its ``Accept``."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from whet.monitor.exposition import protobuf, text
from whet.monitor.metrics import Family

__all__ = ["exposed"]


def exposed(families: Iterable[Family], accept: str) -> tuple[str, bytes]:
    """Content type and body: text, unless protobuf is wanted more."""
    if _quality(accept, _is_protobuf) > _quality(accept, _is_text):
        return protobuf.CONTENT_TYPE, protobuf.protobuf_of(families)
    return text.CONTENT_TYPE, text.text_of(families)


def _is_protobuf(kind: str, options: dict[str, str]) -> bool:
    return (
        kind == "application/vnd.google.protobuf"
        and options.get("proto") == "io.prometheus.client.MetricFamily"
        and options.get("encoding", "delimited") == "delimited"
    )


def _is_text(kind: str, options: dict[str, str]) -> bool:
    return kind in {"text/plain", "text/*", "*/*"} and options.get("version", "0.0.4") == "0.0.4"


def _quality(accept: str, is_it: Callable[[str, dict[str, str]], bool]) -> float:
    best = 0.0
    for part in accept.split(","):
        kind, *given = (item.strip() for item in part.split(";"))
        options = {}
        for item in given:
            name, _, value = item.partition("=")
            options[name.strip().lower()] = value.strip().strip('"')
        if is_it(kind.lower(), options):
            try:
                best = max(best, float(options.get("q", "1")))
            except ValueError:
                continue
    return best

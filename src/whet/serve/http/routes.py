"""Paths of the protocol, and what each asks for; pure.

Decided on the path as it came, byte by byte: what is percent-encoded is another path, which is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Route", "match"]

_NAME = r"(?P<model>[A-Za-z0-9][A-Za-z0-9._-]{0,127})"
_MODEL = rf"/v2/models/{_NAME}(?:/versions/(?P<version>[0-9]{{1,9}}))?"
_NAMED = rf"/v2/repository(?:/[A-Za-z0-9._-]{{1,128}})?/models/{_NAME}"
_SHM = r"/v2/systemsharedmemory"
_V1 = rf"/v1/models/{_NAME}(?:/versions/(?P<version>[0-9]{{1,9}}))?"  # of TensorFlow Serving
_PATHS = (
    ("all_stats", "GET", r"/v2/models/stats"),  # before a model of that name
    ("infer", "POST", rf"{_MODEL}/infer"),
    ("model_ready", "GET", rf"{_MODEL}/ready"),
    ("config", "GET", rf"{_MODEL}/config"),
    ("model_stats", "GET", rf"{_MODEL}/stats"),
    ("model", "GET", _MODEL),
    ("live", "GET", r"/v2/health/live"),
    ("ready", "GET", r"/v2/health/ready"),
    ("server", "GET", r"/v2/?"),
    ("index", "POST", r"/v2/repository(?:/[A-Za-z0-9._-]{1,128})?/index"),
    ("load", "POST", rf"{_NAMED}/load"),
    ("unload", "POST", rf"{_NAMED}/unload"),
    ("shm_status", "GET", rf"{_SHM}(?:/region/{_NAME})?/status"),
    ("shm_register", "POST", rf"{_SHM}/region/{_NAME}/register"),
    ("shm_unregister", "POST", rf"{_SHM}(?:/region/{_NAME})?/unregister"),
    ("metrics", "GET", r"/metrics"),
    ("openapi", "GET", r"/openapi.json"),
    ("predict", "POST", rf"{_V1}:predict"),
    ("v1_status", "GET", _V1),
    ("v1_metadata", "GET", rf"{_V1}/metadata"),
    ("prediction", "POST", rf"/predictions/{_NAME}(?:/(?P<version>[0-9]{{1,9}}))?"),
    ("ping", "GET", r"/ping"),
)
_COMPILED = tuple((name, method, re.compile(path.encode())) for name, method, path in _PATHS)


@dataclass(frozen=True)
class Route:
    """What a path asks for.

    Attributes:
        name: of what is asked; empty where there is no such path.
        method: that it takes.
        model: named in it.
        version: of the model; empty for the one that answers.
    """

    name: str
    method: str
    model: str = ""
    version: str = ""


def match(path: bytes) -> Route:
    """What a path asks for.

    Args:
        path: as it came, without what follows a question mark.
    """
    for name, method, compiled in _COMPILED:
        found = compiled.fullmatch(path)
        if found is not None:
            parts = found.groupdict(default=b"")
            model, version = parts.get("model", b""), parts.get("version", b"")
            return Route(name, method, model.decode(), version.decode())
    return Route("", "")

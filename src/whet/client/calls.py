"""The calls of the protocol: method, path and body of each, the same for both clients; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from whet.client.messages import question_of

__all__ = ["Call", "Inputs", "infer", "metadata", "ready", "repository", "statistics"]

Inputs = Mapping[str, NDArray[np.generic] | Sequence[bytes | str]]


@dataclass(frozen=True)
class Call:
    """What is asked.

    Attributes:
        method: of HTTP.
        path: behind the server's own prefix.
        parts: of the body.
        headers: beside those of the connection.
        again: whether it may be made again, though it isn't known whether it was carried out.
        within_s: after which an answer is of no use any more.
    """

    method: str
    path: str
    parts: Sequence[bytes | memoryview] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    again: bool = True
    within_s: float = math.inf


def infer(
    model: str,
    inputs: Inputs,
    *,
    version: str = "",
    outputs: Sequence[str] = (),
    timeout_ms: float | None = None,
    priority: int | None = None,
    id: str = "",  # noqa: A002 (the protocol's word)
) -> Call:
    """Ask a model; arguments as of `whet.client.messages.question_of`."""
    question = question_of(inputs, outputs=outputs, timeout_ms=timeout_ms, priority=priority, id=id)
    within_s = math.inf if timeout_ms is None else timeout_ms / 1e3
    path = f"{_model(model, version)}/infer"
    return Call("POST", path, question.parts, question.headers, within_s=within_s)


def metadata(model: str, version: str = "") -> Call:
    """What a model takes and gives; without a name, what the server is."""
    return Call("GET", _model(model, version) if model else "/v2")


def statistics(model: str) -> Call:
    """What a model did; without a name, what all did."""
    return Call("GET", f"{_model(model, '')}/stats" if model else "/v2/models/stats")


def ready(model: str) -> Call:
    """Whether a model answers, now; without a name, whether the server does."""
    return Call("GET", f"{_model(model, '')}/ready" if model else "/v2/health/ready", again=False)


def repository(model: str, change: str) -> Call:
    """Have a model loaded again or unloaded; without a name, all that there are."""
    if not model:
        return Call("POST", "/v2/repository/index", (b"{}",))
    path = f"/v2/repository/models/{_named(model)}/{change}"
    return Call("POST", path, (b"{}",), again=False)


def _model(name: str, version: str) -> str:
    path = f"/v2/models/{_named(name)}"
    return f"{path}/versions/{_named(version)}" if version else path


def _named(name: str) -> str:
    """As a path may hold it: what isn't a name's is another path, and none that means something."""
    return quote(name, safe="")

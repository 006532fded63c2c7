"""The calls of the protocol: method, path and body of each, the same for both clients; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
        again: whether it may be asked again when nothing of an answer came.
    """

    method: str
    path: str
    parts: Sequence[bytes | memoryview] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    again: bool = True


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
    return Call("POST", f"{_model(model, version)}/infer", question.parts, question.headers)


def metadata(model: str, version: str = "") -> Call:
    """What a model takes and gives; without a name, what the server is."""
    return Call("GET", _model(model, version) if model else "/v2")


def statistics(model: str) -> Call:
    """What a model did; without a name, what all did."""
    return Call("GET", f"{_model(model, '')}/stats" if model else "/v2/models/stats")


def ready(model: str) -> Call:
    """Whether a model answers; without a name, whether the server does."""
    return Call("GET", f"{_model(model, '')}/ready" if model else "/v2/health/ready")


def repository(model: str, change: str) -> Call:
    """Have a model loaded again or unloaded; without a name, all that there are."""
    if not model:
        return Call("POST", "/v2/repository/index", (b"{}",))
    return Call("POST", f"/v2/repository/models/{model}/{change}", (b"{}",), again=False)


def _model(name: str, version: str) -> str:
    return f"/v2/models/{name}/versions/{version}" if version else f"/v2/models/{name}"

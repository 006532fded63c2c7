"""TorchServe's predictions: a body is one sample, and the answer is what the model says of it.

https://pytorch.org/serve/inference_api.html. Pictures and texts come as they are; numbers as JSON, or
as the bytes of a row.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from whet.core.spec import Signature
from whet.errors import RequestError
from whet.serve.dataplane import Rawly
from whet.serve.wire.datatypes import datatype_of
from whet.serve.wire.json_text import nested_json, parsed
from whet.serve.wire.limits import Limits
from whet.serve.wire.raw import raw_row
from whet.serve.wire.request import Given, Request
from whet.serve.wire.response import Answer
from whet.serve.wire.tensors import elements_of, numbers_of

__all__ = ["foretold", "read_prediction"]


def read_prediction(
    body: bytes, content_type: str, signature: Signature, rawly: Rawly | None, limits: Limits
) -> Request:
    """Read a body.

    Args:
        body: decompressed.
        content_type: JSON is read as numbers; all else as it is.
        signature: of the model.
        rawly: how it takes raw samples; ``None`` where it takes arrays only.
        limits: that it has to keep.

    Raises:
        RequestError: it can't be used.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("multipart/"):
        raise RequestError("Forms aren't taken.", "Send the sample as the body.", status=415)
    if kind != "application/json" and rawly is not None:
        return Request((Given(rawly.name, (1,), "BYTES", [body]),))
    if len(signature.inputs) != 1:
        raise RequestError("The model takes several inputs.", "Ask at /v2/models/NAME/infer.")
    (spec,) = signature.inputs
    if kind != "application/json":
        return Request((raw_row(body, spec),))
    data: Any = parsed(body, object, "request")
    if isinstance(data, dict) and set(data) <= {"data", "body"} and data:
        data = next(iter(data.values()))
    if not isinstance(data, list):
        raise RequestError("The body holds no list of numbers.", "Give the sample's numbers.")
    datatype = datatype_of(spec.dtype)
    values = numbers_of(spec.name, datatype, data)
    elements_of(spec.name, datatype, values.shape, limits)
    if values.ndim == len(spec.shape) - 1:
        values = values[np.newaxis]
    return Request((Given(spec.name, values.shape, datatype, values),))


def foretold(answer: Answer) -> bytes:
    """The answer: of one row without the axis of rows; an object where there are several outputs."""
    found = {
        output.name: msgspec.Raw(
            nested_json(output.values[0] if output.values.shape[:1] == (1,) else output.values)
        )
        for output in answer.outputs
    }
    return msgspec.json.encode(next(iter(found.values())) if len(found) == 1 else found)

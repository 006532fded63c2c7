"""TensorFlow Serving's REST predictions: rows under ``instances``, or columns under ``inputs``.

https://www.tensorflow.org/tfx/serving/api_rest. A sample of bytes is ``{"b64": "..."}``.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from whet.core.spec import Signature, TensorSpec
from whet.errors import RequestError
from whet.serve.dataplane import Rawly
from whet.serve.wire.datatypes import BYTES, datatype_of
from whet.serve.wire.json_text import nested_json, parsed
from whet.serve.wire.limits import Limits
from whet.serve.wire.request import Given, Request
from whet.serve.wire.response import Answer
from whet.serve.wire.tensors import check_names, elements_of, numbers_of

__all__ = ["Predict", "metadata_of", "predicted", "read_predict", "status_of"]


class _Body(msgspec.Struct, frozen=True):
    signature_name: str = ""
    instances: list[Any] | None = None
    inputs: Any = None


@dataclass(frozen=True)
class Predict:
    """What was asked.

    Attributes:
        request: as any other.
        rows: whether it is answered row by row, as it was asked.
    """

    request: Request
    rows: bool


def read_predict(body: bytes, signature: Signature, rawly: Rawly | None, limits: Limits) -> Predict:
    """Read a body.

    Args:
        body: decompressed.
        signature: of the model.
        rawly: how it takes raw samples; ``None`` where it takes arrays only.
        limits: that it has to keep.

    Raises:
        RequestError: it can't be used.
    """
    whole = parsed(body, _Body, "request")
    if (whole.instances is None) == (whole.inputs is None):
        raise RequestError("There is no one of 'instances' and 'inputs'.", "Give one of them.")
    columns = whole.inputs if whole.instances is None else _columns(whole.instances)
    if not isinstance(columns, dict) or set(columns) == {"b64"}:
        columns = {_only(signature, rawly, columns): columns}
    if not columns:
        raise RequestError("There are no inputs.", "Give the model's inputs.")
    check_names("inputs", list(columns), limits)
    known = {spec.name: spec for spec in signature.inputs}
    given = tuple(_given(name, data, known.get(name), limits) for name, data in columns.items())
    return Predict(Request(given), rows=whole.instances is not None)


def _columns(instances: list[Any]) -> Any:
    """Rows, each with all its inputs, as one list for each input."""
    if not instances:
        raise RequestError("There are no rows to answer.", "Give at least one.")
    first = instances[0]
    if not isinstance(first, dict) or set(first) == {"b64"}:
        return instances
    names = set(first)
    if not all(isinstance(row, dict) and set(row) == names for row in instances):
        raise RequestError("The instances don't name the same inputs.", "Name all in each.")
    return {name: [row[name] for row in instances] for name in first}


def _only(signature: Signature, rawly: Rawly | None, data: Any) -> str:
    """The input that is meant where none is named."""
    if rawly is not None and _is_bytes(data):
        return rawly.name
    if len(signature.inputs) != 1:
        names = ", ".join(spec.name for spec in signature.inputs)
        raise RequestError("The model takes several inputs.", f"Name them: {names}.")
    return signature.inputs[0].name


def _is_bytes(data: Any) -> bool:
    first = data[0] if isinstance(data, list) and data else data
    return isinstance(first, (str, dict))


def _given(name: str, data: Any, spec: TensorSpec | None, limits: Limits) -> Given:
    if spec is None or _is_bytes(data):
        samples = [_bytes(each) for each in (data if isinstance(data, list) else [data])]
        return Given(name, (len(samples),), BYTES, samples)
    datatype = datatype_of(spec.dtype)
    if not isinstance(data, list):
        raise RequestError("An input holds no list.", "Give rows.")
    values = numbers_of(name, datatype, data)
    elements_of(name, datatype, values.shape, limits)
    return Given(name, values.shape, datatype, values)


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise RequestError("A value of 'b64' is no base64.", "Encode the bytes.") from error
    raise RequestError("An input holds neither numbers nor texts.", 'Give bytes as {"b64": "..."}.')


def predicted(answer: Answer, *, rows: bool) -> bytes:
    """The answer as it was asked: row by row, or each output as a whole."""
    outputs = {output.name: output.values for output in answer.outputs}
    leading = {values.shape[:1] for values in outputs.values()}
    if not rows or len(leading) != 1 or leading == {()}:
        columns = {name: msgspec.Raw(nested_json(values)) for name, values in outputs.items()}
        return msgspec.json.encode({"outputs": _bare(columns)})
    ((count,),) = leading
    each = (
        {n: msgspec.Raw(nested_json(np.asarray(v[row]))) for n, v in outputs.items()}
        for row in range(count)
    )
    return msgspec.json.encode({"predictions": [_bare(row) for row in each]})


def _bare(named: dict[str, msgspec.Raw]) -> object:
    """An only output is shown without its name."""
    return next(iter(named.values())) if len(named) == 1 else named


def status_of(versions: tuple[str, ...]) -> dict[str, object]:
    """What is told of a model's versions."""
    fine = {"error_code": "OK", "error_message": ""}
    return {
        "model_version_status": [
            {"version": version, "state": "AVAILABLE", "status": fine} for version in versions
        ]
    }


def metadata_of(name: str, version: str, signature: Signature) -> dict[str, object]:
    """What is told of what a model takes and gives."""
    told = {
        "inputs": {spec.name: _tensor_info(spec) for spec in signature.inputs},
        "outputs": {spec.name: _tensor_info(spec) for spec in signature.outputs},
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": version},
        "metadata": {"signature_def": {"signature_def": {"serving_default": told}}},
    }


def _tensor_info(spec: TensorSpec) -> dict[str, object]:
    sizes = [str(dim) if isinstance(dim, int) else "-1" for dim in spec.shape]
    return {
        "name": spec.name,
        "dtype": _DTYPES[datatype_of(spec.dtype)],
        "tensor_shape": {"dim": [{"size": size, "name": ""} for size in sizes]},
    }


_DTYPES = {
    "BOOL": "DT_BOOL",
    "UINT8": "DT_UINT8",
    "UINT16": "DT_UINT16",
    "UINT32": "DT_UINT32",
    "UINT64": "DT_UINT64",
    "INT8": "DT_INT8",
    "INT16": "DT_INT16",
    "INT32": "DT_INT32",
    "INT64": "DT_INT64",
    "FP16": "DT_HALF",
    "FP32": "DT_FLOAT",
    "FP64": "DT_DOUBLE",
    BYTES: "DT_STRING",
}

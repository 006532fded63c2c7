"""The server's own description in OpenAPI 3.1, for people and tools that read it; pure."""

from __future__ import annotations

from typing import Any

from whet import __version__

__all__ = ["description"]

_NUMBER_OR_LIST = {"type": "array", "items": {}}
_ERRORS = {
    "400": "The request can't be used.",
    "401": "A key is needed.",
    "404": "There is no such model or version.",
    "408": "The body wasn't there in time.",
    "413": "The request is too large.",
    "415": "The body is compressed in a way that isn't taken.",
    "500": "The engine failed.",
    "503": "It would come too late, or there is no room; see Retry-After.",
    "504": "Its time ran out.",
}
_MODEL = {
    "name": "model",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"},
}
_VERSION = {
    "name": "version",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[0-9]{1,9}$"},
}


def description(name: str) -> dict[str, Any]:
    """All paths that clients ask.

    Args:
        name: of the server.
    """
    paths: dict[str, Any] = {
        "/v2": {"get": _told("What the server is.", "ServerMetadata")},
        "/v2/health/live": {"get": _told("Whether it lives.", "Live", errors=())},
        "/v2/health/ready": {"get": _told("Whether to ask it.", "Ready", errors=("503",))},
        "/metrics": {"get": _metrics()},
    }
    for path, parameters in (
        ("/v2/models/{model}", [_MODEL]),
        ("/v2/models/{model}/versions/{version}", [_MODEL, _VERSION]),
    ):
        paths |= {
            path: _on(parameters, get=_told("What a model takes and gives.", "ModelMetadata")),
            f"{path}/ready": _on(parameters, get=_told("Whether it answers.", "ModelReady")),
            f"{path}/config": _on(parameters, get=_told("Its configuration.", "Anything")),
            f"{path}/stats": _on(parameters, get=_told("What it did.", "Anything")),
            f"{path}/infer": _on(parameters, post=_infer()),
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": name,
            "version": __version__,
            "description": "Models over the Open Inference Protocol.",
        },
        "paths": paths,
        "components": {"schemas": _SCHEMAS},
    }


def _on(parameters: list[dict[str, Any]], **operations: dict[str, Any]) -> dict[str, Any]:
    return {"parameters": parameters, **operations}


def _told(words: str, schema: str, *, errors: tuple[str, ...] = ("401", "404")) -> dict[str, Any]:
    return {"summary": words, "responses": {"200": _json(words, schema), **_failed(errors)}}


def _infer() -> dict[str, Any]:
    return {
        "summary": "Ask the model.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ref("InferRequest")}},
        },
        "responses": {"200": _json("The answer.", "InferResponse"), **_failed(tuple(_ERRORS))},
    }


def _metrics() -> dict[str, Any]:
    text = {"text/plain": {"schema": {"type": "string"}}}
    words = "Metrics, as Prometheus reads them."
    return {
        "summary": words,
        "responses": {"200": {"description": words, "content": text}, **_failed(("401",))},
    }


def _failed(statuses: tuple[str, ...]) -> dict[str, Any]:
    return {status: _json(_ERRORS[status], "Error") for status in statuses}


def _json(words: str, schema: str) -> dict[str, Any]:
    return {"description": words, "content": {"application/json": {"schema": _ref(schema)}}}


def _ref(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _object(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_FLAG = {"type": "boolean"}
_SIZES = {"type": "array", "items": {"type": "integer"}}
_DATATYPE = {
    "type": "string",
    "enum": [
        *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
        *("FP16", "FP32", "FP64", "BYTES"),
    ],
}
_PARAMETERS = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number", "boolean"]},
}
_TENSOR_KIND = _object(("name", "datatype", "shape"), name=_TEXT, datatype=_DATATYPE, shape=_SIZES)
_TENSOR = _object(
    ("name", "datatype", "shape"),
    name=_TEXT,
    datatype=_DATATYPE,
    shape={"type": "array", "items": {"type": "integer", "minimum": 0}},
    parameters=_PARAMETERS,
    data=_NUMBER_OR_LIST,
)
_SCHEMAS = {
    "Anything": {"type": "object"},
    "Error": _object(("error",), error=_TEXT),
    "Live": _object(("live",), live=_FLAG),
    "Ready": _object(("ready",), ready=_FLAG),
    "ServerMetadata": _object(
        ("name", "version", "extensions"), name=_TEXT, version=_TEXT, extensions=_TEXTS
    ),
    "ModelReady": _object(("name", "ready"), name=_TEXT, ready=_FLAG),
    "ModelMetadata": _object(
        ("name", "versions", "platform", "inputs", "outputs"),
        name=_TEXT,
        versions=_TEXTS,
        platform=_TEXT,
        inputs={"type": "array", "items": _TENSOR_KIND},
        outputs={"type": "array", "items": _TENSOR_KIND},
    ),
    "InferRequest": _object(
        ("inputs",),
        id=_TEXT,
        parameters=_PARAMETERS,
        inputs={"type": "array", "items": _TENSOR, "minItems": 1},
        outputs={
            "type": "array",
            "items": _object(("name",), name=_TEXT, parameters=_PARAMETERS),
        },
    ),
    "InferResponse": _object(
        ("model_name", "outputs"),
        model_name=_TEXT,
        model_version=_TEXT,
        id=_TEXT,
        parameters=_PARAMETERS,
        outputs={"type": "array", "items": _TENSOR},
    ),
}

"""Clients that come from TensorFlow Serving or TorchServe find their paths and bodies."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asgi_client import Client, application
from colour_bundle import SIZE, colour_bundle, picture

from whet.bundle.draft import VariantDraft
from whet.serve.hosting.hosted import Hosting, host
from whet.testing.small_net import SmallNet

NET = SmallNet()
INPUTS = NET.inputs(3)
ANSWERS = NET.answer(INPUTS)
RED = {"b64": base64.b64encode(picture((200, 10, 30))).decode()}


@pytest.fixture
def several(
    variant: Callable[..., VariantDraft], bundle_of: Callable[..., Path]
) -> Iterator[Client]:
    """A model of two inputs."""
    hosted = host(bundle_of(variant("exact")), Hosting(), name="net")
    yield Client(application(hosted))
    asyncio.run(hosted.close(1))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    hosted = host(colour_bundle(tmp_path_factory.mktemp("colours")), Hosting())
    yield Client(application(hosted))
    asyncio.run(hosted.close(1))


def ask(client: Client, path: str, body: object, **options: Any) -> tuple[int, Any]:
    return client.json(path, json.dumps(body).encode(), **options)


def test_rows_with_named_inputs(several: Client) -> None:
    rows = [{name: array[k].tolist() for name, array in INPUTS.items()} for k in range(3)]
    status, found = ask(several, "/v1/models/net:predict", {"instances": rows})
    assert status == 200, found
    for k, row in enumerate(found["predictions"]):
        own = row if isinstance(row, dict) else {"scores": row}
        for name, values in own.items():
            np.testing.assert_allclose(values, ANSWERS[name][k], rtol=1e-3, atol=1e-4)


def test_columns_with_named_inputs(several: Client) -> None:
    columns = {name: array.tolist() for name, array in INPUTS.items()}
    path = "/v1/models/net/versions/1:predict"
    status, found = ask(several, path, {"inputs": columns, "signature_name": "serving_default"})
    assert status == 200, found
    outputs = found["outputs"]
    own = outputs if isinstance(outputs, dict) else {"scores": outputs}
    for name, values in own.items():
        np.testing.assert_allclose(values, ANSWERS[name], rtol=1e-3, atol=1e-4)


def test_an_only_input_needs_no_name(pictures: Client) -> None:
    array = np.full((2, SIZE, SIZE, 3), 7, np.uint8)
    _, rows = ask(pictures, "/v1/models/mean:predict", {"instances": array.tolist()})
    _, columns = ask(pictures, "/v1/models/mean:predict", {"inputs": array.tolist()})
    np.testing.assert_allclose(rows["predictions"], np.full((2, 3), 7.0))
    np.testing.assert_allclose(columns["outputs"], np.full((2, 3), 7.0))


@pytest.mark.parametrize("body", [{"instances": [RED]}, {"instances": [{"x": RED}]}])
def test_pictures_in_base64(pictures: Client, body: object) -> None:
    status, found = ask(pictures, "/v1/models/mean:predict", body)
    assert status == 200, found
    np.testing.assert_allclose(found["predictions"], [[200, 10, 30]], atol=1)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"instances": []},
        {"instances": [1], "inputs": [1]},
        {"instances": [{"x": 1}, {"y": 1}]},
        {"instances": [{"b64": "%%%"}]},
        {"instances": [{"b64": 3}]},
        {"instances": [[1], [1, 2]]},
        {"instances": ["text"]},
        {"inputs": 3},
        {"inputs": {"x": {"deep": 1}}},
        {"inputs": {"other": [1]}},
        {"instances": [[[["a"]]]]},
        {"instances": [None]},
    ],
)
def test_what_cant_be_used_is_said(pictures: Client, body: object) -> None:
    status, found = ask(pictures, "/v1/models/mean:predict", body)
    assert status == 400
    assert found["error"]


def test_several_inputs_need_names(several: Client) -> None:
    status, found = ask(several, "/v1/models/net:predict", {"instances": [[1]]})
    assert status == 400
    assert "several inputs" in found["error"]


def test_status_and_metadata_as_tensorflow_serving_tells_them(several: Client) -> None:
    status, found = several.json("/v1/models/net")
    assert status == 200
    assert found["model_version_status"][0]["state"] == "AVAILABLE"
    assert several.json("/v1/models/other")[0] == 404
    _, found = several.json("/v1/models/net/metadata")
    told = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert set(told["inputs"]) == set(INPUTS)
    assert all(entry["dtype"].startswith("DT_") for entry in told["inputs"].values())


def test_torchserve_takes_a_picture_as_the_body(pictures: Client) -> None:
    status, found = pictures.json("/predictions/mean", picture((200, 10, 30)))
    assert status == 200
    np.testing.assert_allclose(found, [200, 10, 30], atol=1)
    assert pictures.json("/predictions/mean/1.0", picture((1, 2, 3)))[0] == 404
    assert pictures.json("/predictions/mean/1", picture((1, 2, 3)))[0] == 200


def test_torchserve_takes_numbers_as_json(pictures: Client) -> None:
    row = np.full((SIZE, SIZE, 3), 9, np.uint8).tolist()
    headers = {"Content-Type": "application/json"}
    for body in (row, [row], {"data": row}):
        status, found = ask(pictures, "/predictions/mean", body, headers=headers)
        assert status == 200, found
        np.testing.assert_allclose(found, [9.0] * 3)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"no picture", "image/png", 400),
        (b"--x", "multipart/form-data; boundary=x", 415),
        (b"3", "application/json", 400),
        (b"{", "application/json", 400),
        (b'{"other": [1]}', "application/json", 400),
        (b'[["a"]]', "application/json", 400),
    ],
)
def test_torchserve_bodies_that_cant_be_used(
    pictures: Client, body: bytes, kind: str, status: int
) -> None:
    got, found = pictures.json("/predictions/mean", body, headers={"Content-Type": kind})
    assert got == status
    assert found["error"]


def test_torchserves_ping(pictures: Client) -> None:
    assert pictures.json("/ping") == (200, {"status": "Healthy"})


def test_they_are_behind_the_gate_too(
    variant: Callable[..., VariantDraft], bundle_of: Callable[..., Path]
) -> None:
    hosted = host(bundle_of(variant("exact")), Hosting(), name="net")
    client = Client(application(hosted, keys=("sesame",)))
    for path, body in (
        ("/v1/models/net:predict", b"{}"),
        ("/v1/models/net", None),
        ("/v1/models/net/metadata", None),
        ("/predictions/net", b"{}"),
        ("/metrics", None),
        ("/openapi.json", None),
    ):
        assert client.ask(path, body)[0] == 401, path
    assert client.ask("/ping")[0] == 200
    asyncio.run(hosted.close(1))


def test_the_description_holds_what_is_served(several: Client) -> None:
    status, found = several.json("/openapi.json")
    assert status == 200
    assert found["openapi"].startswith("3.1")
    for path, entry in found["paths"].items():
        real = path.replace("{model}", "net").replace("{version}", "1")
        method = "POST" if "post" in entry else "GET"
        body = b"{}" if method == "POST" else None
        assert several.ask(real, body)[0] in {200, 400}, path

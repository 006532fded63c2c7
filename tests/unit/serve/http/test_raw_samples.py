"""Pictures and texts as they are, through the bundle's transform."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from asgi_client import Client, application
from colour_bundle import colour_bundle, picture

from whet.serve.hosting.hosted import Hosting, host

pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    hosted = host(colour_bundle(tmp_path_factory.mktemp("pictures")), Hosting())
    yield Client(application(hosted))
    asyncio.run(hosted.close(1))


def packed(*samples: bytes, name: str = "x", shape: list[int] | None = None) -> dict[str, Any]:
    raw = b"".join(struct.pack("<I", len(sample)) + sample for sample in samples)
    tensor = {
        "name": name,
        "shape": shape if shape is not None else [len(samples)],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(raw)},
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    return {
        "body": head + raw,
        "headers": {"Inference-Header-Content-Length": str(len(head))},
    }


def test_pictures_as_they_are(client: Client) -> None:
    sent = packed(picture((200, 10, 30)), picture((0, 255, 0), "JPEG"))
    status, found = client.json("/v2/models/mean/infer", **sent)
    assert status == 200
    (output,) = found["outputs"]
    assert output["shape"] == [2, 3]
    np.testing.assert_allclose(
        np.reshape(output["data"], (2, 3)), [[200, 10, 30], [0, 255, 0]], atol=2
    )


def test_a_body_that_is_nothing_but_a_picture(client: Client) -> None:
    headers = {"Inference-Header-Content-Length": "0"}
    status, got, body = client.ask("/v2/models/mean/infer", picture((9, 8, 7)), headers=headers)
    assert status == 200
    values = np.frombuffer(body[int(got["inference-header-content-length"]) :], np.float32)
    np.testing.assert_array_equal(values, [9, 8, 7])


def test_arrays_still_do(client: Client) -> None:
    body = {
        "inputs": [{"name": "x", "shape": [1, 8, 8, 3], "datatype": "UINT8", "data": [5] * 192}]
    }
    status, found = client.json("/v2/models/mean/infer", json.dumps(body).encode())
    assert status == 200
    assert found["outputs"][0]["data"] == [5, 5, 5]


def test_metadata_say_that_raw_samples_are_taken(client: Client) -> None:
    assert client.json("/v2/models/mean")[1]["properties"] == {"raw_input": "x"}


@pytest.mark.parametrize(
    "sent",
    [
        packed(b"no picture"),
        packed(picture((1, 2, 3))[:40]),
        packed(b""),
        packed(picture((1, 2, 3)), name="z"),
        packed(shape=[0]),
        packed(picture((1, 2, 3)), picture((1, 2, 3)), shape=[1, 2]),
    ],
)
def test_what_is_no_picture_is_refused(client: Client, sent: dict[str, Any]) -> None:
    status, found = client.json("/v2/models/mean/infer", **sent)
    assert status == 400
    assert set(found) == {"error"}

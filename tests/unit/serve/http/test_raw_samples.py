"""Pictures and texts as they are, through the bundle's transform."""

from __future__ import annotations

import asyncio
import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from asgi_client import Client, application
from onnx import TensorProto, helper

from whet.bundle.draft import BundleDraft, GoldenDraft, VariantDraft
from whet.bundle.manifest import Tolerance
from whet.bundle.write import write_bundle
from whet.core.artifact import Artifact, Format
from whet.core.evidence import Ceilings, Machine
from whet.core.recipe import Recipe
from whet.core.settings import Settings
from whet.core.spec import Signature, TensorSpec
from whet.data.image import ImageTransform
from whet.serve.hosting.hosted import Hosting, host

Image = pytest.importorskip("PIL.Image")
SIZE = 8
TRANSFORM = ImageTransform(size=(SIZE, SIZE), mean=(0.0,) * 3, std=(1.0,) * 3, input="x")
SIGNATURE = Signature(
    (TensorSpec("x", "uint8", ("batch", SIZE, SIZE, 3)),),
    (TensorSpec("y", "float32", ("batch", 3)),),
)


def mean_colour(place: Path) -> Artifact:
    """A network that gives the mean colour of each picture."""
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["f", "axes"], ["y"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["batch", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    file = place / "model.onnx"
    onnx.save(model, file)
    return Artifact(str(file), Format.ONNX, SIGNATURE)


def picture(colour: tuple[int, int, int], kind: str = "PNG") -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (SIZE, SIZE), colour).save(data, kind)
    return data.getvalue()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    place = tmp_path_factory.mktemp("pictures")
    inputs = {"x": np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)}
    variant = VariantDraft(
        name="exact",
        runtime="onnxruntime",
        settings=Settings(),
        artifact=mean_colour(place),
        recipe=Recipe((), "onnxruntime", Settings()),
        trial="exact",
        goldens={"y": inputs["x"].mean((1, 2), dtype=np.float32)},
        tolerance=Tolerance(1e-2, 1e-3),
    )
    draft = BundleDraft(
        variants=(variant,),
        name="mean",
        created="2026-01-01T00:00:00Z",
        whet="0.1.0",
        machine=Machine("Imaginary CPU", "x86_64", "Linux", 1, 8 << 30, (), Ceilings(), {}),
        signature=SIGNATURE,
        default="exact",
        transform=TRANSFORM,
        goldens=GoldenDraft(inputs, 1),
    )
    hosted = host(write_bundle(place / "mean.whet", draft).folder, Hosting())
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

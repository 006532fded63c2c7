"""The application over ASGI, with a real model: what each path answers, and what is refused."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asgi_client import Client, application

from whet.bundle.draft import VariantDraft
from whet.serve.hosting.hosted import Hosted, Hosting, host
from whet.serve.wire.datatypes import datatype_of
from whet.serve.wire.limits import Limits
from whet.testing.small_net import SmallNet

NET = SmallNet()
INPUTS = NET.inputs(3)
ANSWERS = NET.answer(INPUTS)
DTYPES = {"FP32": np.float32, "FP16": np.float16}


@pytest.fixture
def hosted(
    variant: Callable[..., VariantDraft], bundle_of: Callable[..., Path]
) -> Iterator[Hosted]:
    found = host(bundle_of(variant("exact")), Hosting(), name="net")
    yield found
    asyncio.run(found.close(1))


@pytest.fixture
def client(hosted: Hosted) -> Client:
    return Client(application(hosted))


def question(rows: int = 3, *, binary: bool = False, **more: Any) -> tuple[bytes, dict[str, str]]:
    inputs: list[dict[str, Any]] = []
    for spec in NET.signature.inputs:
        values = INPUTS[spec.name][:rows]
        given = {"parameters": {"binary_data_size": values.nbytes}} if binary else {}
        flat = {} if binary else {"data": values.ravel().tolist()}
        inputs.append(
            {"name": spec.name, "shape": list(values.shape), "datatype": datatype_of(spec.dtype)}
            | given
            | flat
        )
    head = json.dumps({"inputs": inputs, **more}).encode()
    if not binary:
        return head, {}
    tail = b"".join(INPUTS[spec.name][:rows].tobytes() for spec in NET.signature.inputs)
    return head + tail, {"Inference-Header-Content-Length": str(len(head))}


def close_to(found: Any, name: str, rows: int = 3) -> None:
    np.testing.assert_allclose(found, ANSWERS[name][:rows], rtol=1e-3, atol=1e-4)


def test_json_in_and_out(client: Client) -> None:
    status, found = client.json("/v2/models/net/infer", question(id="7")[0])
    assert status == 200
    assert (found["model_name"], found["model_version"], found["id"]) == ("net", "1", "7")
    assert found["parameters"] == {"variant": "exact"}
    assert [output["name"] for output in found["outputs"]] == list(ANSWERS)
    for output in found["outputs"]:
        assert "parameters" not in output
        close_to(np.reshape(output["data"], output["shape"]), output["name"])


def test_binary_in_and_out(client: Client) -> None:
    body, headers = question(binary=True, parameters={"binary_data_output": True})
    status, got, answer = client.ask("/v2/models/net/versions/1/infer", body, headers=headers)
    assert status == 200
    cut = int(got["inference-header-content-length"])
    head, tail = json.loads(answer[:cut]), answer[cut:]
    for output in head["outputs"]:
        size = output["parameters"]["binary_data_size"]
        values = np.frombuffer(tail[:size], DTYPES[output["datatype"]]).reshape(output["shape"])
        close_to(values, output["name"])
        tail = tail[size:]
    assert tail == b""


def test_only_the_outputs_that_are_asked_for(client: Client) -> None:
    name = list(ANSWERS)[-1]
    _, found = client.json("/v2/models/net/infer", question(outputs=[{"name": name}])[0])
    assert [output["name"] for output in found["outputs"]] == [name]


def test_a_raw_body_holds_one_input_and_no_more(client: Client) -> None:
    status, found = client.json(
        "/v2/models/net/infer", b"x", headers={"Inference-Header-Content-Length": "0"}
    )
    assert status == 400
    assert "takes 2 inputs" in found["error"]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_compressed_both_ways(client: Client, coding: str) -> None:
    import zlib

    plain, _ = question()
    body = gzip.compress(plain) if coding == "gzip" else zlib.compress(plain)
    headers = {"Content-Encoding": coding, "Accept-Encoding": coding}
    status, got, answer = client.ask("/v2/models/net/infer", body, headers=headers)
    assert (status, got["content-encoding"]) == (200, coding)
    text = gzip.decompress(answer) if coding == "gzip" else zlib.decompress(answer)
    assert json.loads(text)["model_name"] == "net"


def test_what_the_server_and_its_models_are(client: Client) -> None:
    assert client.json("/v2")[1]["extensions"]
    assert client.json("/v2/")[0] == 200
    _, model = client.json("/v2/models/net")
    assert model["versions"] == ["1"]
    assert model["inputs"][0]["shape"][0] == -1
    assert client.json("/v2/models/net/ready") == (200, {"name": "net", "ready": True})
    _, config = client.json("/v2/models/net/config")
    assert config["max_batch_size"] > 1
    assert config["dynamic_batching"] == {}
    assert config["input"][0]["dims"] == model["inputs"][0]["shape"][1:]


def test_statistics_count_what_happened(client: Client) -> None:
    body, _ = question()
    for _ in range(3):
        client.ask("/v2/models/net/infer", body)
    client.ask("/v2/models/net/infer", b"{}")
    for path in ("/v2/models/net/stats", "/v2/models/net/versions/1/stats", "/v2/models/stats"):
        ((found,), *_) = (client.json(path)[1]["model_stats"],)
        assert (found["inference_count"], found["execution_count"]) == (9, 3)
        counts = {key: value["count"] for key, value in found["inference_stats"].items()}
        assert counts["success"] == counts["queue"] == counts["compute_infer"] == 3
        assert counts["compute_input"] == counts["compute_output"] == 3
        assert counts["fail"] == 1


def test_health(client: Client) -> None:
    assert client.ask("/v2/health/live")[0] == 200
    assert client.ask("/v2/health/ready")[0] == 200
    client.app.repository.open = False
    assert client.ask("/v2/health/ready")[0] == 503
    assert client.ask("/v2/health/live")[0] == 200


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/", "GET", 404),
        ("/v2/models/other/infer", "POST", 404),
        ("/v2/models/net/versions/2/infer", "POST", 404),
        ("/v2/models/net/versions/99999999999/infer", "POST", 404),
        ("/v2/models/n%65t", "GET", 404),
        ("/v2/models/../models/net", "GET", 404),
        ("/v2/models/net/", "GET", 404),
        ("//v2/models/net", "GET", 404),
        ("/v2/models/net", "POST", 405),
        ("/v2/models/net/infer", "GET", 405),
        ("/v2/models/net/infer", "PUT", 405),
        ("/v2/models/" + "x" * 129, "GET", 404),
        ("/v2/models/net\n", "GET", 404),
    ],
)
def test_other_paths_and_methods(client: Client, path: str, method: str, status: int) -> None:
    got, body = client.json(path, b"", method=method)
    assert got == status
    assert set(body) == {"error"}


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"shape": [1]},
        {"datatype": "FP64"},
        {"datatype": "BYTES", "shape": [1], "data": ["x"]},
        {"shape": [0, 3, 8, 8], "data": []},
        {"shape": [2, 3, 8, 8], "data": [1] * 384},
    ],
)
def test_what_does_not_fit_the_model_is_refused(client: Client, changes: dict[str, Any]) -> None:
    body = json.loads(question()[0])
    body["inputs"][0] |= changes
    status, found = client.json("/v2/models/net/infer", json.dumps(body).encode())
    assert status == 400
    assert set(found) == {"error"}


def test_an_unknown_output_is_refused(client: Client) -> None:
    status, found = client.json("/v2/models/net/infer", question(outputs=[{"name": "z"}])[0])
    assert status == 400
    assert "'z'" in found["error"]


def test_bodies_have_caps_however_they_come(hosted: Hosted) -> None:
    client = Client(application(hosted, limits=Limits(body_bytes=1000)))
    path = "/v2/models/net/infer"
    assert client.ask(path, b"x" * 1001)[0] == 413
    assert client.ask(path, chunks=[b"x"] * 1001)[0] == 413
    assert client.ask(path, b"", headers={"Content-Length": "100000"})[0] == 413
    bomb = gzip.compress(bytes(10_000_000))[:900]
    assert client.ask(path, bomb, headers={"Content-Encoding": "gzip"})[0] == 413


def test_a_body_that_does_not_come_is_given_up(hosted: Hosted) -> None:
    client = Client(application(hosted, receive_s=0.1))
    assert client.ask("/v2/models/net/infer", b"", stalls=True)[0] == 408


def test_who_leaves_gets_nothing_and_harms_nobody(client: Client) -> None:
    assert client.ask("/v2/models/net/infer", chunks=[b"{"], leaves=True) == (0, {}, b"")
    assert client.ask("/v2/models/net/infer", question()[0])[0] == 200


def test_other_encodings_are_refused_with_those_that_are_taken(client: Client) -> None:
    status, got, _ = client.ask(
        "/v2/models/net/infer", question()[0], headers={"Content-Encoding": "br"}
    )
    assert status == 415
    assert got["accept-encoding"] == "gzip, deflate"


def test_a_key_is_asked_for_on_every_path_but_those_of_probes(hosted: Hosted) -> None:
    client = Client(application(hosted, keys=("secret", "other")))
    open_paths = {"/v2/health/live", "/v2/health/ready"}
    paths = [
        "/", "/v2", "/v2/models/net", "/v2/models/net/ready", "/v2/models/net/config",
        "/v2/models/net/stats", "/v2/models/stats", "/v2/models/net/infer", "/metrics",
        "/v2/repository/index", "/v2/repository/models/net/load", *open_paths,
    ]  # fmt: skip
    for path in paths:
        for method in ("GET", "POST"):
            status = client.ask(path, b"", method=method)[0]
            assert (status == 401) != (path in open_paths), path
    for headers in ({"Authorization": "Bearer other"}, {"X-Api-Key": "secret"}):
        assert client.ask("/v2/models/net", headers=headers)[0] == 200
    for headers in ({"Authorization": "Bearer secre"}, {"Authorization": "Bearer é"}):
        assert client.ask("/v2/models/net", headers=headers)[0] == 401


def test_headers_that_decide_how_a_body_is_read_come_once(client: Client) -> None:
    async def go() -> int:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            sent.append(message)

        name = b"inference-header-content-length"
        scope = {
            "type": "http", "method": "POST", "raw_path": b"/v2/models/net/infer",
            "headers": [(name, b"0"), (name, b"5")],
        }  # fmt: skip
        await client.app(scope, receive, send)
        return int(sent[0]["status"])

    assert asyncio.run(go()) == 400


def test_a_refusal_says_when_to_come_again(client: Client) -> None:
    body, _ = question(parameters={"timeout": 1})
    status, got, _ = client.ask("/v2/models/net/infer", body)
    assert status == 503
    assert int(got["retry-after"]) >= 1


@pytest.mark.parametrize("value", [-1, 1.5, "soon", True])
def test_terms_that_are_none(client: Client, value: object) -> None:
    for name in ("timeout", "priority"):
        body, _ = question(parameters={name: value})
        assert client.ask("/v2/models/net/infer", body)[0] == 400

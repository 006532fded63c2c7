"""Requests that once were answered by a fault of ours, or would have cost all memory."""

from __future__ import annotations

import asyncio
import json
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from asgi_client import Client, application
from colour_bundle import colour_bundle, picture

from whet.bundle.draft import VariantDraft
from whet.errors import HostError, OptionError, RequestError
from whet.serve.gate import Gate
from whet.serve.hosting.hosted import Hosting, host
from whet.serve.transports import Bind, listening_at


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    hosted = host(colour_bundle(tmp_path_factory.mktemp("odd")), Hosting())
    yield Client(application(hosted))
    asyncio.run(hosted.close(1))


TENSOR = {"name": "x", "shape": [1, 8, 8, 3], "datatype": "UINT8", "data": [0] * 192}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/models/mean:predict", {"inputs": {}}),
        ("/v1/models/mean:predict", {"instances": [{}]}),
        ("/v2/models/mean/infer", {"inputs": [TENSOR | {"shape": [1 << 63, 0], "data": []}]}),
        ("/v2/models/mean/infer", {"inputs": [TENSOR | {"shape": [1 << 62, 4, 0], "data": []}]}),
        ("/v2/models/mean/infer", {"inputs": [TENSOR | {"data": ["a"] * 192}]}),
        ("/v2/models/mean/infer", {"inputs": [TENSOR | {"data": [[["a"]]]}]}),
    ],
)
def test_they_are_refused(pictures: Client, path: str, body: object) -> None:
    status, found = pictures.json(path, json.dumps(body).encode())
    assert status in {400, 413}, found
    assert found["error"]


def test_a_timeout_of_any_length_is_one(pictures: Client) -> None:
    body = json.dumps({"inputs": [TENSOR], "parameters": {"timeout": 10**400}}).encode()
    status, found = pictures.json("/v2/models/mean/infer", body)
    assert status in {200, 400}, found


def test_half_a_character_is_no_text(pictures: Client) -> None:
    text = json.dumps({"inputs": [TENSOR], "id": "ID"}).replace("ID", "\\ud800")
    body = text.replace('"data": [0,', '"data": [NaN,').encode()
    status, found = pictures.json("/v2/models/mean/infer", body)
    assert status == 400
    assert "character" in found["error"]


def test_texts_among_numbers_take_no_more_room_than_they_came_in(pictures: Client) -> None:
    """As an array of texts each would take as much as the longest."""
    data = ["a" * 1_000_000, *[""] * 2000]
    body = json.dumps({"inputs": [TENSOR | {"data": data}]}).encode()
    tracemalloc.start()
    status, _ = pictures.json("/v2/models/mean/infer", body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert status == 400
    assert peak < 50_000_000


def test_more_pictures_than_one_request_may_bring_arent_decoded(pictures: Client) -> None:
    one = picture((1, 2, 3))
    raw = (struct.pack("<I", len(one)) + one) * 1025
    tensor = {
        "name": "x",
        "shape": [1025],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(raw)},
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    status, found = pictures.json("/v2/models/mean/infer", head + raw, headers=headers)
    assert status == 413
    assert "1025" in found["error"]


def test_an_empty_key_lets_nobody_in() -> None:
    with pytest.raises(RequestError):
        Gate([""]).check(b"", b"")
    import whet

    with pytest.raises(OptionError, match="empty"):
        whet.serve("gone.whet", keys=["good", ""])


def test_shared_memory_is_for_this_machine() -> None:
    import whet

    with pytest.raises(OptionError, match="this machine"):
        whet.serve("gone.whet", host="0.0.0.0", shared_memory=True)


def test_a_unix_socket_takes_no_files_place(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    with pytest.raises(HostError, match="file"):
        listening_at(Bind(uds=notes))
    assert notes.read_text() == "mine"
    place = tmp_path / "s.sock"
    first = listening_at(Bind(uds=place))
    with pytest.raises(HostError, match="listens there already"):
        listening_at(Bind(uds=place))
    first.close()
    listening_at(Bind(uds=place)).close()


def test_what_is_refused_while_it_comes_is_counted(
    variant: Callable[..., VariantDraft], bundle_of: Callable[..., Path]
) -> None:
    hosted = host(bundle_of(variant("exact")), Hosting(), name="net")
    client = Client(application(hosted))
    assert client.ask("/v2/models/net/infer", b"{", headers={"Content-Encoding": "br"})[0] == 415
    assert client.ask("/v2/models/net/infer", chunks=[b"{"], leaves=True)[0] == 0
    _, _, text = client.ask("/metrics")
    lines = text.decode().splitlines()
    assert 'whet_requests_total{model="net",version="1",outcome="invalid"} 1' in lines
    assert 'whet_requests_total{model="net",version="1",outcome="left"} 1' in lines
    asyncio.run(hosted.close(1))

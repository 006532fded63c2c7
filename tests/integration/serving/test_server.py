"""The real server as a process of its own, asked over sockets by clients that others wrote."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tritonclient.http as triton
from running_server import DATATYPES, INPUTS, NET, Running, small_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Running]:
    running = Running(f"net={bundle}", "--port", "0", "--server-name", "triton")
    yield running
    assert running.stopped() == 0


@pytest.fixture
def client(server: Running) -> Iterator[Any]:
    found = triton.InferenceServerClient(server.address)
    yield found
    found.close()


def asked(values: dict[str, np.ndarray[Any, Any]], *, binary: bool) -> list[Any]:
    found = []
    for spec in NET.signature.inputs:
        array = values[spec.name]
        tensor = triton.InferInput(spec.name, list(array.shape), DATATYPES[spec.dtype])
        tensor.set_data_from_numpy(array, binary_data=binary)
        found.append(tensor)
    return found


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
def test_tritonclient_gets_the_networks_answers(
    client: Any, binary: bool, coding: str | None
) -> None:
    outputs = [triton.InferRequestedOutput("scores", binary_data=binary)]
    result = client.infer(
        "net",
        asked(INPUTS, binary=binary),
        outputs=outputs,
        request_id="7",
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    np.testing.assert_allclose(
        result.as_numpy("scores"), NET.answer(INPUTS)["scores"], rtol=1e-3, atol=1e-4
    )
    assert result.get_response()["id"] == "7"


def test_tritonclient_sees_what_is_there(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("net")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["name"] == "triton"
    assert client.get_model_metadata("net")["name"] == "net"
    assert client.get_model_config("net")["max_batch_size"] > 1
    assert client.get_inference_statistics("net")["model_stats"][0]["name"] == "net"
    with pytest.raises(triton.InferenceServerException, match="Request for unknown model"):
        client.get_model_metadata("other")


def test_many_clients_at_once_each_get_their_own_rows(server: Running) -> None:
    wrong: list[object] = []

    def ask(seed: int) -> None:
        own = triton.InferenceServerClient(server.address)
        for k in range(20):
            values = NET.inputs(1 + (seed + k) % 3, seed=seed * 100 + k)
            got = own.infer("net", asked(values, binary=True)).as_numpy("scores")
            if not np.allclose(got, NET.answer(values)["scores"], rtol=1e-3, atol=1e-4):
                wrong.append((seed, k))
        own.close()

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    own = triton.InferenceServerClient(server.address)
    (found,) = own.get_inference_statistics("net")["model_stats"]
    assert found["execution_count"] < found["inference_stats"]["success"]["count"]  # some shared
    own.close()


def test_a_unix_socket(bundle: Path, tmp_path: Path) -> None:
    place = tmp_path / "whet.sock"
    running = Running(str(bundle), "--uds", str(place))
    assert running.where == f"unix:{place}"
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(place))
        raw.sendall(b"GET /v2/health/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 200")
    assert running.stopped() == 0
    assert not place.exists()


def test_told_to_stop_it_answers_what_is_there(bundle: Path) -> None:
    running = Running(f"net={bundle}", "--port", "0")
    host, port = running.address.split(":")
    connection = http.client.HTTPConnection(host, int(port))
    values = NET.inputs(1)
    body = json.dumps(
        {
            "inputs": [
                {
                    "name": spec.name,
                    "shape": list(values[spec.name].shape),
                    "datatype": DATATYPES[spec.dtype],
                    "data": values[spec.name].ravel().tolist(),
                }
                for spec in NET.signature.inputs
            ]
        }
    ).encode()
    # Half of a request is there when the signal comes.
    connection.putrequest("POST", "/v2/models/net/infer")
    connection.putheader("content-length", str(len(body)))
    connection.endheaders()
    connection.send(body[:50])
    time.sleep(0.2)
    os.kill(running.process.pid, signal.SIGTERM)
    time.sleep(0.3)
    connection.send(body[50:])
    assert connection.getresponse().status == 200
    connection.close()
    assert running.ended() == 0


def test_loaded_again_under_load_nobody_notices(bundle: Path) -> None:
    running = Running(f"net={bundle}", "--port", "0", "--model-control")
    wrong: list[object] = []
    counts: list[int] = []
    ending = threading.Event()

    def ask(seed: int) -> None:
        own, k = triton.InferenceServerClient(running.address), 0
        while not ending.is_set():
            values = NET.inputs(1 + k % 3, seed=seed * 1000 + k)
            try:
                got = own.infer("net", asked(values, binary=True)).as_numpy("scores")
            except triton.InferenceServerException as error:
                wrong.append(error)
                break
            if not np.allclose(got, NET.answer(values)["scores"], rtol=1e-3, atol=1e-4):
                wrong.append((seed, k))
            k += 1
        counts.append(k)
        own.close()

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    control = triton.InferenceServerClient(running.address, network_timeout=60)
    for _ in range(4):
        control.load_model("net")
    ending.set()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert min(counts) > 3
    control.unload_model("net")
    assert control.get_model_repository_index()[0]["state"] == "UNAVAILABLE"
    assert not control.is_model_ready("net")
    control.load_model("net")
    assert control.is_model_ready("net")
    with pytest.raises(triton.InferenceServerException, match="unknown model"):
        control.load_model("other")
    control.close()
    assert running.stopped() == 0


def test_one_that_can_not_be_loaded_leaves_the_old_one(bundle: Path, tmp_path: Path) -> None:
    place = tmp_path / "copy.whet"
    shutil.copytree(bundle, place)
    running = Running(f"net={place}", "--port", "0", "--model-control")
    own = triton.InferenceServerClient(running.address)
    (place / "manifest.json").write_text("{}")
    with pytest.raises(triton.InferenceServerException, match="failed to load") as found:
        own.load_model("net")
    assert str(tmp_path) not in str(found.value)
    own.infer("net", asked(INPUTS, binary=True))
    own.close()
    assert running.stopped() == 0


def test_nobody_may_load_or_unload_unless_it_was_allowed(client: Any) -> None:
    for change in (client.load_model, client.unload_model):
        with pytest.raises(triton.InferenceServerException):
            change("net")
    assert client.is_model_ready("net")
    assert client.get_model_repository_index()[0]["state"] == "READY"


def test_a_port_that_is_taken_is_said_and_nothing_hangs(server: Running, bundle: Path) -> None:
    port = server.address.split(":")[1]
    done = subprocess.run(
        [sys.executable, "-m", "whet", "serve", str(bundle), "--port", port],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 4
    assert "can't be listened at" in done.stderr


def test_idle_it_takes_no_time(server: Running) -> None:
    process = psutil.Process(server.process.pid)
    before, began = sum(process.cpu_times()[:2]), time.monotonic()
    time.sleep(3)
    used = sum(process.cpu_times()[:2]) - before
    assert used / (time.monotonic() - began) < 0.02

"""What operators need: metrics, an own port for what changes things, certificates, logs, new bundles."""

from __future__ import annotations

import http.client
import importlib
import json
import shutil
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running_server import DATATYPES, INPUTS, NET, Running, small_bundle

import whet
from whet.errors import ServeError, UnreachableError


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory.mktemp("operated"))


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Running]:
    with Running(f"net={bundle}", "--port", "0") as running:
        yield running


def read(url: str, **headers: str) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as got:
        return bytes(got.read())


def test_metrics_count_what_clients_did(server: Running) -> None:
    with whet.Client(server.where) as client:
        for _ in range(3):
            client.infer("net", INPUTS)
        with pytest.raises(ServeError):
            client.infer("net", {})
    lines = read(f"{server.where}/metrics").decode().splitlines()
    assert 'whet_requests_total{model="net",version="1",outcome="ok"} 3' in lines
    assert 'whet_requests_total{model="net",version="1",outcome="invalid"} 1' in lines
    assert 'whet_rows_total{model="net",version="1",variant="exact"} 12' in lines
    assert 'whet_request_duration_seconds_count{model="net",version="1"} 3' in lines
    assert "whet_ready 1" in lines
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)


PROMETHEUS = """
global: {scrape_interval: 1s}
scrape_configs: [{job_name: whet, static_configs: [{targets: ["%s"]}]}]
"""


@pytest.mark.skipif(not shutil.which("prometheus"), reason="no Prometheus here")
def test_prometheus_reads_native_histograms(server: Running, tmp_path: Path) -> None:
    config = tmp_path / "prometheus.yml"
    config.write_text(PROMETHEUS % server.address)
    with whet.Client(server.where) as client:
        for _ in range(50):
            client.infer("net", INPUTS)
    where = "127.0.0.1:39090"
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address={where}",
            "--enable-feature=native-histograms",
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        # Only a native histogram has a count by itself, and quantiles without bounds.
        query = "histogram_quantile(0.5,whet_request_duration_seconds)"
        found: Any = None
        end_s = time.monotonic() + 30
        while not found and time.monotonic() < end_s:
            time.sleep(0.5)
            try:
                said = json.loads(read(f"http://{where}/api/v1/query?query={query}"))
            except OSError:
                continue
            found = said["data"]["result"]
        assert found, "Prometheus has no native histogram of the latency"
        assert 0 < float(found[0]["value"][1]) < 1
    finally:
        process.terminate()
        process.wait(20)


def test_what_changes_things_has_a_port_of_its_own(bundle: Path) -> None:
    with Running(f"net={bundle}", "--port", "0", "--admin-port", "0") as running:
        assert running.admin.startswith("http://127.0.0.1:")
        with whet.Client(running.where) as client, whet.Client(running.admin) as admin:
            for change in (client.load, client.unload):
                with pytest.raises(ServeError):
                    change("net")
            admin.load("net")
            admin.unload("net")
            assert not client.ready("net")
            admin.load("net")
            client.infer("net", INPUTS)
        assert b"whet_ready 1" in read(f"{running.admin}/metrics")
        with pytest.raises(urllib.request.HTTPError):
            read(f"{running.where}/metrics")


def certificate(place: Path) -> tuple[Path, Path]:
    key, own = place / "key.pem", place / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-keyout", str(key), "-out", str(own), "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return own, key


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl to make a certificate with")
def test_certificates_for_both_transports(bundle: Path, tmp_path: Path) -> None:
    import tritonclient.grpc as triton

    own, key = certificate(tmp_path)
    with Running(
        f"net={bundle}", "--port", "0", "--grpc-port", "0",
        "--tls-cert", str(own), "--tls-key", str(key),
    ) as running:  # fmt: skip
        assert running.where.startswith("https://")
        with whet.Client(running.where, ca_file=own) as client:
            client.infer("net", INPUTS)
        with pytest.raises(UnreachableError), whet.Client(running.where) as stranger:
            stranger.infer("net", INPUTS)
        host, _, port = running.address.partition(":")
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(OSError, match=r"(?i)ssl|tls|alert|protocol|reset|version"):
            http.client.HTTPSConnection(host, int(port), context=old).request("GET", "/v2")
        with triton.InferenceServerClient(
            running.place("grpcs"), ssl=True, root_certificates=str(own)
        ) as spoken:
            assert spoken.is_server_ready()


def test_a_new_bundle_in_its_place_is_taken(bundle: Path, tmp_path: Path) -> None:
    place = tmp_path / "watched.whet"
    shutil.copytree(bundle, place)
    log = tmp_path / "log"
    with (
        Running(
            f"net={place}",
            "--port",
            "0",
            "--watch",
            "--log-format",
            "json",
            "--access-log",
            log=log,
        ) as running,
        whet.Client(running.where) as client,
    ):
        client.infer("net", INPUTS)
        for k in range(2):
            shutil.copytree(bundle, tmp_path / "new")
            if k == 1:
                (tmp_path / "new" / "manifest.json").write_text("{}")
            place.rename(tmp_path / f"old-{k}")
            (tmp_path / "new").rename(place)
            event = ("a model was loaded", "a model failed to load")[k]
            wait_for(log, event)
            client.infer("net", INPUTS)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    events = [line["event"] for line in lines]
    assert events.count("request") >= 3
    assert events[-1] == "stopping"
    request = next(line for line in lines if line["event"] == "request")
    assert request["path"] == "/v2/models/net/infer"
    assert request["status"] == 200
    assert request["ms"] > 0
    assert {"time", "level"} <= request.keys()


def wait_for(log: Path, event: str) -> None:
    end_s = time.monotonic() + 30
    while event not in log.read_text():
        assert time.monotonic() < end_s, f"'{event}' is not in the log"
        time.sleep(0.1)


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_tensors_in_shared_memory(bundle: Path, transport: str) -> None:
    module = importlib.import_module(f"tritonclient.{transport}")
    expected = NET.answer(INPUTS)["scores"]
    sizes = {name: array.nbytes for name, array in INPUTS.items()}
    memory = SharedMemory(create=True, size=sum(sizes.values()) + expected.nbytes)
    with Running(f"net={bundle}", "--port", "0", "--grpc-port", "0", "--shared-memory") as running:
        own = module.InferenceServerClient(
            running.address if transport == "http" else running.place("grpc")
        )
        own.register_system_shared_memory("all", memory.name, memory.size)
        inputs, at = [], 0
        for spec in NET.signature.inputs:
            array = INPUTS[spec.name]
            memory.buf[at : at + array.nbytes] = array.tobytes()
            tensor = module.InferInput(spec.name, list(array.shape), DATATYPES[spec.dtype])
            tensor.set_shared_memory("all", array.nbytes, at)
            inputs.append(tensor)
            at += array.nbytes
        output = module.InferRequestedOutput("scores")
        output.set_shared_memory("all", expected.nbytes, at)
        own.infer("net", inputs, outputs=[output])
        got = np.frombuffer(memory.buf, np.float32, expected.size, at).reshape(expected.shape)
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)
        del got
        output.set_shared_memory("all", expected.nbytes - 1, at)
        with pytest.raises(Exception, match="doesn't fit"):
            own.infer("net", inputs, outputs=[output])
        status = own.get_system_shared_memory_status()
        assert "all" in str(status)
        own.unregister_system_shared_memory()
        with pytest.raises(Exception, match="no region"):
            own.infer("net", inputs)
        own.close()
    memory.close()
    memory.unlink()


def test_without_leave_there_is_no_shared_memory(server: Running) -> None:
    own = importlib.import_module("tritonclient.http").InferenceServerClient(server.address)
    for ask in (
        lambda: own.register_system_shared_memory("all", "anything", 10),
        own.get_system_shared_memory_status,
        own.unregister_system_shared_memory,
    ):
        with pytest.raises(Exception, match=r"nothing here|isn't allowed"):
            ask()
    own.close()

"""gRPC, asked by the client that others wrote: the protocol's calls, their errors, and streams."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from running_server import DATATYPES, INPUTS, NET, Running, small_bundle
from tritonclient.grpc import service_pb2

EXPECTED = NET.answer(INPUTS)["scores"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory.mktemp("grpc"))


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Running]:
    with Running(f"net={bundle}", "--port", "0", "--grpc-port", "0", "--model-control") as running:
        yield running


@pytest.fixture
def client(server: Running) -> Iterator[Any]:
    with triton.InferenceServerClient(server.place("grpc")) as found:
        yield found


def asked(values: dict[str, np.ndarray[Any, Any]]) -> list[Any]:
    found = []
    for spec in NET.signature.inputs:
        array = values[spec.name]
        tensor = triton.InferInput(spec.name, list(array.shape), DATATYPES[spec.dtype])
        tensor.set_data_from_numpy(array)
        found.append(tensor)
    return found


@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
def test_it_gives_the_networks_answers(client: Any, coding: str | None) -> None:
    result = client.infer("net", asked(INPUTS), request_id="7", compression_algorithm=coding)
    np.testing.assert_allclose(result.as_numpy("scores"), EXPECTED, rtol=1e-3, atol=1e-4)
    response = result.get_response()
    assert (response.id, response.model_name, response.model_version) == ("7", "net", "1")
    assert response.parameters["variant"].string_param == "exact"


def test_only_outputs_that_are_asked_for(client: Any) -> None:
    outputs = [triton.InferRequestedOutput("scores")]
    result = client.infer("net", asked(INPUTS), outputs=outputs)
    assert [output.name for output in result.get_response().outputs] == ["scores"]
    with pytest.raises(triton.InferenceServerException, match="no output 'other'"):
        client.infer("net", asked(INPUTS), outputs=[triton.InferRequestedOutput("other")])


def test_it_tells_what_is_there(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("net")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata(as_json=True)["name"] == "whet"
    metadata = client.get_model_metadata("net", as_json=True)
    assert [spec["name"] for spec in metadata["inputs"]] == [s.name for s in NET.signature.inputs]
    config = client.get_model_config("net", as_json=True)["config"]
    assert config["max_batch_size"] > 1
    assert "dynamic_batching" in config
    assert {entry["data_type"] for entry in config["input"]} <= {"TYPE_UINT8", "TYPE_INT64"}


def test_statistics_count_rows(client: Any) -> None:
    def rows() -> int:
        (stats,) = client.get_inference_statistics("net").model_stats
        assert stats.inference_stats.compute_infer.count == stats.inference_stats.queue.count
        return int(stats.inference_count)

    before = rows()
    client.infer("net", asked(INPUTS))
    assert rows() == before + 4


def test_typed_contents_do_as_well_as_raw_ones(server: Running) -> None:
    request = service_pb2.ModelInferRequest(model_name="net")
    for spec in NET.signature.inputs:
        array = INPUTS[spec.name]
        tensor = request.inputs.add(
            name=spec.name, datatype=DATATYPES[spec.dtype], shape=array.shape
        )
        field = {"uint8": "uint_contents", "int64": "int64_contents"}[spec.dtype]
        getattr(tensor.contents, field).extend(array.ravel().tolist())
    response = call(server, "ModelInfer", request, service_pb2.ModelInferResponse)
    got = np.frombuffer(response.raw_output_contents[0], np.float32).reshape(EXPECTED.shape)
    np.testing.assert_allclose(got, EXPECTED, rtol=1e-3, atol=1e-4)
    request.raw_input_contents.extend([b""] * len(request.inputs))
    with pytest.raises(grpc.RpcError) as found:
        call(server, "ModelInfer", request, service_pb2.ModelInferResponse)
    assert found.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def call(server: Running, name: str, request: Any, response: Any, **options: Any) -> Any:
    with grpc.insecure_channel(server.place("grpc")) as channel:
        method = channel.unary_unary(
            f"/inference.GRPCInferenceService/{name}",
            request_serializer=lambda m: m if isinstance(m, bytes) else m.SerializeToString(),
            response_deserializer=response.FromString,
        )
        return method(request, timeout=20, **options)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"model_name": "other"}, grpc.StatusCode.NOT_FOUND),
        ({"model_name": "net", "model_version": "9"}, grpc.StatusCode.NOT_FOUND),
        ({"model_name": "net"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"model_name": "net", "raw_input_contents": [b"1"]}, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_errors_have_codes(server: Running, change: dict[str, Any], code: grpc.StatusCode) -> None:
    request = service_pb2.ModelInferRequest(**change)
    with pytest.raises(grpc.RpcError) as found:
        call(server, "ModelInfer", request, service_pb2.ModelInferResponse)
    assert found.value.code() is code
    assert "Traceback" not in found.value.details()


@pytest.mark.parametrize(
    "broken",
    [
        {"shape": [-1]},
        {"shape": [1 << 40, 1 << 40]},
        {"shape": [1] * 20},
        {"datatype": "FP99"},
        {"name": "x" * 5000},
    ],
)
def test_tensors_that_arent_cost_nothing(server: Running, broken: dict[str, Any]) -> None:
    spec = NET.signature.inputs[0]
    fields = {"name": spec.name, "datatype": "UINT8", "shape": [1]} | broken
    request = service_pb2.ModelInferRequest(model_name="net", raw_input_contents=[b"1"])
    request.inputs.add(**fields)
    with pytest.raises(grpc.RpcError) as found:
        call(server, "ModelInfer", request, service_pb2.ModelInferResponse)
    assert found.value.code() in {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }


def test_bytes_that_are_no_message_and_calls_that_are_none(server: Running) -> None:
    for name in ("ModelInfer", "NoSuchCall"):
        with pytest.raises(grpc.RpcError):
            call(server, name, b"\xff\xff\xff", service_pb2.ModelInferResponse)
    assert call(
        server, "ServerLive", service_pb2.ServerLiveRequest(), service_pb2.ServerLiveResponse
    ).live


def test_a_message_too_large_is_refused_also_where_it_is_compressed(server: Running) -> None:
    request = service_pb2.ModelInferRequest(
        model_name="net", raw_input_contents=[bytes((64 << 20) + 1)]
    )
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        with pytest.raises(grpc.RpcError) as found:
            call(
                server,
                "ModelInfer",
                request,
                service_pb2.ModelInferResponse,
                compression=compression,
            )
        assert found.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_what_would_come_too_late_isnt_begun(client: Any) -> None:
    with pytest.raises(triton.InferenceServerException) as found:
        client.infer("net", asked(INPUTS), timeout=1)  # a microsecond
    assert "UNAVAILABLE" in str(found.value.status())


def test_a_stream_is_answered_in_its_order_and_goes_on_after_an_error(client: Any) -> None:
    got: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(callback=lambda result, error: got.put((result, error)))
    for k in range(20):
        values = NET.inputs(1, seed=k)
        client.async_stream_infer("net" if k != 7 else "other", asked(values), request_id=str(k))
    for k in range(20):
        result, error = got.get(timeout=20)
        if k == 7:
            assert "unknown model" in str(error)
            continue
        assert result.get_response().id == str(k)
        expected = NET.answer(NET.inputs(1, seed=k))["scores"]
        np.testing.assert_allclose(result.as_numpy("scores"), expected, rtol=1e-3, atol=1e-4)
    client.stop_stream()


def test_a_call_that_is_cancelled_is_counted_and_harms_nobody(client: Any) -> None:
    calls = [client.async_infer("net", asked(INPUTS), lambda **_: None) for _ in range(50)]
    for each in calls:
        each.cancel()
    np.testing.assert_allclose(
        client.infer("net", asked(INPUTS)).as_numpy("scores"), EXPECTED, rtol=1e-3, atol=1e-4
    )


def test_models_are_loaded_and_unloaded(client: Any) -> None:
    client.load_model("net")
    client.unload_model("net")
    assert not client.is_model_ready("net")
    (entry,) = client.get_model_repository_index().models
    assert (entry.name, entry.state) == ("net", "UNAVAILABLE")
    client.load_model("net")
    assert client.is_model_ready("net")
    with pytest.raises(triton.InferenceServerException, match="unknown model"):
        client.load_model("other")


def test_keys_are_asked_for_at_every_call(bundle: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("sesame\n")
    with (
        Running(f"net={bundle}", "--port", "0", "--grpc-port", "0", "--keys", str(keys)) as running,
        triton.InferenceServerClient(running.place("grpc")) as client,
    ):
        assert client.is_server_live()
        refused = [
            lambda h: client.infer("net", asked(INPUTS), headers=h),
            lambda h: client.get_model_metadata("net", headers=h),
            lambda h: client.get_server_metadata(headers=h),
            lambda h: client.get_inference_statistics("net", headers=h),
            lambda h: client.get_model_config("net", headers=h),
            lambda h: client.get_model_repository_index(headers=h),
            lambda h: client.load_model("net", headers=h),
            lambda h: client.unload_model("net", headers=h),
            lambda h: client.get_system_shared_memory_status(headers=h),
            lambda h: streamed(client, h),
            lambda h: client.is_model_ready("net", headers=h),
        ]
        for ask in refused:
            for headers in (None, {"authorization": "Bearer wrong"}):
                with pytest.raises(triton.InferenceServerException) as found:
                    ask(headers)
                assert "UNAUTHENTICATED" in str(found.value.status())
        client.infer("net", asked(INPUTS), headers={"authorization": "Bearer sesame"})


def streamed(client: Any, headers: Any) -> None:
    got: queue.Queue[Any] = queue.Queue()
    client.start_stream(callback=lambda result, error: got.put(error), headers=headers)
    try:
        client.async_stream_infer("net", asked(INPUTS))
        error = got.get(timeout=20)
    finally:
        client.stop_stream()
    if error is not None:
        raise error


def test_probes_that_know_nothing_of_models(server: Running) -> None:
    def check(service: bytes) -> bytes:
        with grpc.insecure_channel(server.place("grpc")) as channel:
            method = channel.unary_unary("/grpc.health.v1.Health/Check")
            return bytes(method(service, timeout=20))

    assert check(b"") == b"\x08\x01"  # SERVING
    assert check(b"\x0a\x03net") == b"\x08\x01"
    with pytest.raises(grpc.RpcError) as found:
        check(b"\x0a\x05other")
    assert found.value.code() is grpc.StatusCode.NOT_FOUND


def test_told_to_stop_it_answers_what_is_there(bundle: Path) -> None:
    running = Running(f"net={bundle}", "--port", "0", "--grpc-port", "0")
    failed: list[Any] = []
    ending = threading.Event()

    def ask() -> None:
        with triton.InferenceServerClient(running.place("grpc")) as own:
            while not ending.is_set():
                try:
                    own.infer("net", asked(INPUTS))
                except triton.InferenceServerException as error:
                    failed.append(error)
                    return

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    assert running.stopped() == 0
    ending.set()
    for thread in threads:
        thread.join(20)
    # The call that came after the end can't be answered (gRPC cancels those that it has seen but
    # not begun); none that was begun breaks.
    assert {str(error.status()) for error in failed} <= {
        "StatusCode.UNAVAILABLE",
        "StatusCode.CANCELLED",
    }

from __future__ import annotations

import pytest

from whet.errors import EngineError, UnsupportedOperatorError
from whet.runtimes.failure import engine_error, gist

OPENVINO = """Exception from src/inference/src/cpp/core.cpp:84:
Check 'util::file_exists(path)' failed at src/frontends/common/src/frontend.cpp:117:
FrontEnd API failed with GeneralFailure:
onnx: Could not open the file: "a.onnx"
"""


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (OPENVINO, 'onnx: Could not open the file: "a.onnx"'),
        ("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load failed.", "Load failed"),
        ("", "RuntimeError"),
        ("\n\n  plain.  \nmore", "plain"),
    ],
)
def test_the_gist_of_a_message(message: str, says: str) -> None:
    assert gist(RuntimeError(message)) == says


def test_a_long_message_is_cut() -> None:
    assert len(gist(RuntimeError("x" * 5000))) < 300


@pytest.mark.parametrize(
    "message",
    [
        "Fatal error: com.acme:Magic(-1) is not a registered function/op",
        "Could not find an implementation for Gelu(20) node with name 'g'",
        "OpenVINO does not support the following ONNX operations: com.acme.Magic",
    ],
)
def test_a_missing_operator_has_a_type_of_its_own(message: str) -> None:
    error = engine_error("some", "open a.onnx", RuntimeError(message), "Do this.")
    assert isinstance(error, UnsupportedOperatorError)


def test_anything_else_is_an_engine_error() -> None:
    error = engine_error("some", "open a.onnx", RuntimeError("broken."), "Do this.")
    assert type(error) is EngineError
    assert str(error) == "The runtime 'some' could not open a.onnx: broken. Do this."

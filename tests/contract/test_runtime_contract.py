"""Our own runtimes, held to the contract that ships with whet."""

from __future__ import annotations

import pytest

from whet.core.settings import Layout, Settings
from whet.runtimes.registry import get
from whet.testing.runtime_contract import RuntimeContract, Subject
from whet.testing.small_net import SmallNet, WideNet

SMALL, WIDE = SmallNet(), WideNet()
SUBJECTS = [
    Subject(get("onnxruntime"), SMALL.onnx, WIDE.onnx, Settings(streams=2)),
    Subject(get("openvino"), SMALL.onnx, WIDE.onnx, Settings(arena=False)),
    Subject(get("torch"), SMALL.program, WIDE.program, Settings(layout=Layout.CHANNELS_LAST)),
    pytest.param(
        Subject(
            get("inductor"), SMALL.program, WIDE.program, Settings(pin=True), opens_graphs=False
        ),
        marks=pytest.mark.slow,  # each compilation takes g++ half a minute
    ),
]


class TestRuntimes(RuntimeContract):
    @pytest.fixture(scope="session", params=SUBJECTS, ids=str)
    @classmethod
    def subject(cls, request: pytest.FixtureRequest) -> Subject:
        subject: Subject = request.param
        found = subject.runtime.available()
        if not found.ok:
            pytest.skip(found.reason)
        return subject

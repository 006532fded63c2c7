"""Our own runtimes, held to the contract that ships with whet."""

from __future__ import annotations

import pytest

from whet.core.settings import Layout, Settings
from whet.runtimes.registry import get
from whet.testing.runtime_contract import Nets, RuntimeContract, Subject
from whet.testing.small_net import SmallNet, WideNet
from whet.testing.small_recurrent import RecurrentNet

SMALL, WIDE, RECURRENT = SmallNet(), WideNet(), RecurrentNet()
GRAPHS = Nets(SMALL.onnx, WIDE.onnx, RECURRENT.onnx)
PROGRAMS = Nets(SMALL.program, WIDE.program, RECURRENT.program)
SUBJECTS = [
    Subject(get("onnxruntime"), GRAPHS, Settings(streams=2)),
    Subject(get("openvino"), GRAPHS, Settings(arena=False)),
    Subject(get("torch"), PROGRAMS, Settings(layout=Layout.CHANNELS_LAST)),
    pytest.param(
        Subject(get("inductor"), PROGRAMS, Settings(pin=True), opens_graphs=False),
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

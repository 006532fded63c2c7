"""Our own runtimes, held to the contract that ships with whet."""

from __future__ import annotations

import pytest

from whet.core.settings import Layout, Settings
from whet.runtimes.registry import get
from whet.testing.recurrent_net import RecurrentNet
from whet.testing.runtime_contract import RuntimeContract, Subject
from whet.testing.small_net import SmallNet, WideNet

NETS = (SmallNet(), WideNet(), RecurrentNet())
GRAPHS = tuple(net.onnx for net in NETS)
PROGRAMS = tuple(net.program for net in NETS)
SUBJECTS = [
    Subject(get("onnxruntime"), *GRAPHS, Settings(streams=2)),
    Subject(get("openvino"), *GRAPHS, Settings(arena=False)),
    Subject(get("torch"), *PROGRAMS, Settings(layout=Layout.CHANNELS_LAST)),
    pytest.param(
        Subject(get("inductor"), *PROGRAMS, Settings(pin=True), opens_graphs=False),
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

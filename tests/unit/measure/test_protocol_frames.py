from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.errors import MeasurementError
from whet.measure.protocol import (
    Answered,
    Failed,
    Frame,
    Incoming,
    Timed,
    Warm,
    encode_reply,
    frames_of,
)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=50), st.integers(0, 60))
def test_replies_survive_any_cut_into_pieces(cuts: list[int], count: int) -> None:
    arrays = {
        "ms": np.arange(count, dtype=np.float64),
        "é\n": np.arange(6, dtype=np.int8).reshape(2, 3),
    }
    data = encode_reply(Answered(frames_of(arrays)), arrays)
    incoming, position, found = Incoming(), 0, None
    for size in [*cuts, len(data)]:
        found = incoming.add(data[position : position + size])
        position += size
        if position >= len(data):
            break
    assert found is not None
    reply, got = found
    assert isinstance(reply, Answered)
    for name, array in arrays.items():
        assert got[name].dtype == array.dtype
        assert np.array_equal(got[name], array)


def test_replies_follow_each_other() -> None:
    incoming = Incoming()
    first = incoming.add(encode_reply(Warm(8, 0.1, settled=True)))
    second = incoming.add(encode_reply(Failed("EngineError", "a", "b")))
    assert first == (Warm(8, 0.1, settled=True), {})
    assert second == (Failed("EngineError", "a", "b"), {})


@pytest.mark.parametrize(
    "line",
    [
        b"not json\n",
        b'{"type":"Nothing"}\n',
        msgspec.json.encode(Timed(1.0, (Frame("ms", "|O8", (3,)),))) + b"\n",
        msgspec.json.encode(Timed(1.0, (Frame("ms", "<f8", (-3,)),))) + b"\n",
        msgspec.json.encode(Timed(1.0, (Frame("ms", "<f8", (1 << 40,)),))) + b"\n",
        msgspec.json.encode(Timed(1.0, (Frame("ms", "nonsense", (1,)),))) + b"\n",
    ],
)
def test_what_is_no_reply_is_refused_before_anything_is_allocated(line: bytes) -> None:
    with pytest.raises(MeasurementError, match="no reply"):
        Incoming().add(line)

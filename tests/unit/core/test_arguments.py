from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from whet.core.arguments import (
    event_of,
    flag_of,
    function_of,
    instance_of,
    maybe,
    names_of,
    number_of,
    one_of,
    path_of,
    seconds_of,
    text_of,
    whole_of,
)
from whet.errors import OptionError

NAN, INF = float("nan"), float("inf")


def pairs_of(name: str, value: object) -> object:
    return one_of(name, value, ("join", "apart", 3))


@pytest.mark.parametrize(
    ("read", "right", "wrong"),
    [
        (
            path_of,
            [("a.whet", Path("a.whet")), (Path("a.whet"), Path("a.whet"))],
            [3, b"a", ["a"], None],
        ),
        (text_of, [("a", "a"), ("", "")], [3, b"a", ["a"], None]),
        (names_of, [("a", ("a",)), (["a", "b"], ("a", "b"))], [3, [3], (), {}, {"a"}, True, None]),
        (flag_of, [(True, True), (False, False)], ["no", 0, None]),
        (whole_of, [(3, 3), (np.int64(-3), -3)], ["3", 0.5, 3.0, True, None, [1]]),
        (
            number_of,
            [(3, 3.0), (np.float32(0.5), 0.5), (-1, -1.0)],
            ["3", True, NAN, INF, 10**400, None],
        ),
        (
            seconds_of,
            [(60, 60.0), (np.float32(0.5), 0.5)],
            ["60", True, -1, 0, NAN, 10**400, 10**5000, [60], None],
        ),
        (pairs_of, [("join", "join"), (3, 3)], ["none", True, 3.0, None, []]),
    ],
)
def test_what_is_taken_and_what_is_refused_by_name(
    read: Callable[[str, object], object], right: list[tuple[object, object]], wrong: list[object]
) -> None:
    for value, expected in right:
        found = read("it", value)
        assert found == expected
        assert type(found) is type(expected)
        assert maybe(read, "it", value) == expected
    assert maybe(read, "it", None) is None
    for value in wrong:
        with pytest.raises(OptionError, match="it=") as caught:
            read("it", value)
        assert caught.value.remedy


def test_functions_events_and_instances() -> None:
    assert function_of("it", print) is print
    for event in (threading.Event(), multiprocessing.Event()):
        assert event_of("it", event) is event
    assert instance_of("it", 3, (int, str), "Give one.") == 3
    for call in (
        lambda: function_of("it", 3),  # type: ignore[arg-type]
        lambda: event_of("it", True),
        lambda: event_of("it", threading.Event),
        lambda: instance_of("it", {}, (int, str), "Give one."),
    ):
        with pytest.raises(OptionError, match="it"):
            call()


def test_what_can_not_be_written_is_named_by_its_kind() -> None:
    class Silent:
        def __repr__(self) -> str:
            raise RuntimeError

    with pytest.raises(OptionError, match="it=<Silent> is no whole number"):
        whole_of("it", Silent())

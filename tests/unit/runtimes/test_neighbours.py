from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.core.registry import names
from whet.core.settings import Precision, Settings
from whet.errors import OptionError
from whet.runtimes.axes import Axes
from whet.runtimes.neighbours import neighbours
from whet.runtimes.registry import get
from whet.runtimes.settings_space import settings_space

BF16 = frozenset({"avx512_bf16"})
ONE = {"batch": 1}


def spanned(runtime: str, *, lossless: bool, **axes: Any) -> tuple[Settings, ...]:
    """The settings of a runtime, by all that spans them."""
    return settings_space(runtime, Axes(**axes), lossless=lossless)


def beside(runtime: str, own: Settings, *, lossless: bool, **axes: Any) -> tuple[Settings, ...]:
    """The neighbours of settings, by all that spans them."""
    return neighbours(runtime, own, Axes(**axes), lossless=lossless)


axes = st.fixed_dictionaries(
    {
        "cores": st.integers(1, 64),
        "fixed": st.sampled_from([{}, ONE]),
        "flags": st.sampled_from([frozenset(), BF16, BF16 | {"avx512_fp16"}]),
        "lossless": st.booleans(),
        "concurrency": st.integers(1, 16),
    }
)


@given(st.sampled_from(names("runtime")), axes, st.data())
def test_a_neighbour_can_be_run_and_differs_in_one_respect(
    runtime: str, space: dict, data: st.DataObject
) -> None:
    own = data.draw(st.sampled_from(spanned(runtime, **space)))
    found = beside(runtime, own, **space)
    assert own not in found
    assert len(found) == len({repr(s) for s in found}) <= 12
    for one in found:
        changed = {f for f in one.__struct_fields__ if getattr(one, f) != getattr(own, f)}
        assert len(changed - {"threads"}) <= 1
        assert len(changed) == 1 or changed == {"threads", "streams"}
        assert one.changed() <= get(runtime).honours
        assert one.threads * one.streams <= space["cores"]
        assert one.precision is Precision.FP32 or not space["lossless"]


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime", "inductor"])
def test_every_setting_that_a_runtime_honours_is_reached(runtime: str) -> None:
    space = {"cores": 4, "fixed": ONE, "flags": BF16, "lossless": False, "concurrency": 2}
    own = Settings(threads=2, fixed=ONE)
    varied = {
        field
        for one in beside(runtime, own, **space)
        for field in own.__struct_fields__
        if getattr(one, field) != getattr(own, field)
    }
    assert varied == get(runtime).honours - {"round_up"}


def test_what_is_good_in_fp32_is_tried_with_fewer_threads_where_the_cpu_has_bf16() -> None:
    own = Settings(threads=2, fixed=ONE)
    space = {"cores": 2, "fixed": ONE, "flags": BF16, "lossless": False}
    assert beside("openvino", own, **space)[:3] == (
        Settings(threads=2, fixed=ONE, precision=Precision.BF16),
        Settings(threads=1, fixed=ONE),
        Settings(threads=2, fixed=ONE, pin=True),
    )


@given(axes)
def test_from_any_thread_count_all_others_are_within_reach(space: dict) -> None:
    start = spanned("openvino", **space)
    seen, left = {repr(start[0])}, [start[0]]
    while left:
        for one in beside("openvino", left.pop(), **space):
            plain = one.pin is one.flush_denormals is False and one.fixed == start[0].fixed
            if plain and one.precision is start[0].precision and repr(one) not in seen:
                seen.add(repr(one))
                left.append(one)
    wanted = {
        repr(s)
        for s in start
        if not s.pin
        and not s.flush_denormals
        and s.fixed == start[0].fixed
        and s.precision is start[0].precision
    }
    assert wanted <= seen


def test_refuses_nonsense() -> None:
    with pytest.raises(OptionError, match="unheard"):
        beside("unheard", Settings(), cores=1, fixed={}, flags=frozenset(), lossless=True)

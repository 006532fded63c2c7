from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.core.registry import names
from whet.core.settings import Layout, Precision, Settings
from whet.errors import OptionError
from whet.runtimes.axes import Axes
from whet.runtimes.registry import get
from whet.runtimes.settings_space import precisions, settings_space

AMX = frozenset({"avx512_bf16", "amx_bf16", "amx_int8"})
ONE = {"batch": 1}


def spanned(runtime: str, *, lossless: bool, **axes: Any) -> tuple[Settings, ...]:
    """The settings of a runtime, by all that spans them."""
    return settings_space(runtime, Axes(**axes), lossless=lossless)


spaces = st.builds(
    dict,
    runtime=st.sampled_from(names("runtime")),
    cores=st.integers(1, 256),
    fixed=st.sampled_from([{}, ONE, {"batch": 1, "sequence": 128}]),
    flags=st.sampled_from([frozenset(), AMX, AMX | {"avx512_fp16"}]),
    lossless=st.booleans(),
    concurrency=st.integers(1, 64),
)


@given(spaces)
def test_every_point_can_be_run(space: dict) -> None:
    found = spanned(**space)
    honours = get(space["runtime"]).honours
    assert found
    assert len(found) == len({repr(one) for one in found})
    for one in found:
        assert one.changed() <= honours
        assert 1 <= one.threads <= space["cores"]
        assert one.fixed.items() <= space["fixed"].items()
        assert one.threads * one.streams <= space["cores"]
        assert one.streams <= space["concurrency"]
        if space["lossless"] or not space["flags"]:
            assert one.precision is Precision.FP32


CROSSED = {"threads", "streams", "precision", "fixed"}


@given(spaces)
def test_only_a_few_settings_are_crossed_and_the_others_tried_once(space: dict) -> None:
    """The number of trials grows with the logarithm of the cores, not with all combinations."""
    found = spanned(**space)
    cores, sizes = space["cores"], min(len(space["fixed"]), 2) + 1
    counts = cores if cores <= 4 else cores.bit_length()  # every count, or halves
    # With requests at once: streams on the cores, or all cores for fewer of them.
    loads = counts if space["concurrency"] == 1 else 2 * counts
    halves = 0 if space["lossless"] else len(precisions(space["flags"]))
    crossed = [one for one in found if one.changed() <= CROSSED]
    assert len(crossed) <= loads * sizes * (1 + halves)
    others = [one.changed() - CROSSED for one in found if not one.changed() <= CROSSED]
    assert all(len(changed) == 1 for changed in others)
    singles = [changed for changed in others if changed != {"spin"}]
    assert len(singles) == len(set(singles)), "each other setting once"
    # Whether idle threads spin is as good as a number of threads, where there are several.
    assert others.count(frozenset({"spin"})) <= loads * sizes


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime", "torch", "inductor"])
def test_on_two_cores_all_of_it_fits_into_a_usual_search(runtime: str) -> None:
    """A quick timing takes 9 s, and a fifth of ten minutes is for settings."""
    for flags in (frozenset(), AMX):
        found = spanned(runtime, cores=2, fixed=ONE, flags=flags, lossless=False)
        assert len(found) * 9 <= 600 / 5


def test_the_most_promising_comes_first() -> None:
    first = spanned("openvino", cores=2, fixed=ONE, flags=AMX, lossless=False)[0]
    assert first == Settings(threads=2, precision=Precision.BF16, fixed=ONE)
    lossless = spanned("openvino", cores=2, fixed=ONE, flags=AMX, lossless=True)[0]
    assert lossless == Settings(threads=2, fixed=ONE)
    assert spanned("torch", cores=2, fixed=ONE, flags=AMX, lossless=False)[0] == Settings(threads=2)


def test_what_is_varied() -> None:
    def space(runtime: str) -> tuple[Settings, ...]:
        return spanned(runtime, cores=2, fixed=ONE, flags=AMX, lossless=False)

    assert {s.threads for s in space("openvino")} == {1, 2}
    assert {bool(s.fixed) for s in space("openvino")} == {True, False}
    assert {s.pin for s in space("openvino")} == {True, False}
    assert {s.flush_denormals for s in space("openvino")} == {True, False}
    assert {s.spin for s in space("onnxruntime")} == {True, False}
    assert {s.layout for s in space("inductor")} == {Layout.AUTO, Layout.CHANNELS_LAST}


def test_requests_at_once_get_cores_of_their_own_first() -> None:
    def loads(runtime: str, cores: int, concurrency: int) -> list[tuple[int, int]]:
        space = spanned(
            runtime, cores=cores, fixed=ONE, flags=AMX, lossless=True, concurrency=concurrency
        )
        return list(dict.fromkeys((s.threads, s.streams) for s in space))

    assert loads("openvino", 2, 2) == [(1, 2), (2, 1)]
    assert loads("openvino", 2, 9) == [(1, 2), (2, 1)]
    assert loads("openvino", 8, 2) == [(4, 2), (8, 1), (3, 2), (2, 2), (1, 2)]
    assert loads("openvino", 8, 1) == [(8, 1), (4, 1), (2, 1), (1, 1)]
    assert loads("inductor", 2, 2) == [(1, 2), (2, 1)]
    # Callers of ONNX Runtime compute beside its pool, so a pool of all cores is one too many.
    assert loads("onnxruntime", 2, 2) == [(1, 1), (2, 1)]
    assert loads("onnxruntime", 8, 2)[:2] == [(7, 1), (8, 1)]


def test_one_core_has_nobody_to_wait_for() -> None:
    for runtime in ("onnxruntime", "torch", "inductor"):
        found = spanned(runtime, cores=1, fixed=ONE, flags=AMX, lossless=False)
        assert all(one.spin for one in found)


@pytest.mark.parametrize(
    ("flags", "halves"),
    [
        (frozenset(), ()),
        (frozenset({"avx512_bf16"}), (Precision.BF16,)),
        (frozenset({"amx_bf16", "amx_fp16"}), (Precision.BF16, Precision.FP16)),
        (frozenset({"asimdhp"}), (Precision.FP16,)),
    ],
)
def test_half_precisions_of_a_cpu(flags: frozenset[str], halves: tuple[Precision, ...]) -> None:
    assert precisions(flags) == halves


def test_refuses_nonsense() -> None:
    with pytest.raises(OptionError, match="cores=0"):
        spanned("openvino", cores=0, fixed={}, flags=frozenset(), lossless=True)
    with pytest.raises(OptionError, match="concurrency=0"):
        spanned("openvino", cores=1, fixed={}, flags=frozenset(), lossless=True, concurrency=0)
    with pytest.raises(OptionError, match="unheard"):
        spanned("unheard", cores=1, fixed={}, flags=frozenset(), lossless=True)

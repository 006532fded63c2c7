from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundle_factory import INPUTS, WEIGHTS, make_bundle, run_model
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from whet.bundle.check import DTYPES
from whet.bundle.golden import (
    Goldens,
    compare,
    default_tolerance,
    load_goldens,
    npy_bytes,
    parse_npy,
    record,
    replay,
)
from whet.bundle.manifest import GoldenTensor, Tolerance
from whet.bundle.read import Bundle
from whet.core.recipe import Recipe, Step
from whet.core.settings import Precision, Settings
from whet.errors import BundleCorruptError, BundleError, EngineError

LOOSE = Tolerance(0.0, 0.1, 0.75)


def test_goldens_replay_on_the_model_that_made_them(bundle: Bundle) -> None:
    for name in ("exact", "small"):
        goldens = load_goldens(bundle, name)
        assert goldens is not None
        np.testing.assert_array_equal(goldens.inputs["x"], INPUTS["x"])
        np.testing.assert_array_equal(goldens.reference["y:0"], INPUTS["x"] @ WEIGHTS)
        results = replay(goldens, run_model)
        assert [r.ok for r in results] == [True]
        assert results[0].max_difference == 0
        assert results[0].top1 == 1.0


def test_a_wrong_engine_is_noticed(bundle: Bundle) -> None:
    goldens = load_goldens(bundle)
    assert goldens is not None
    (result,) = replay(goldens, lambda inputs: {"y:0": inputs["x"] @ -WEIGHTS})
    assert not result.ok
    assert "differs by up to" in result.sentence
    assert "top-1 stays in" in result.sentence


def test_a_bundle_without_goldens(tmp_path: Path) -> None:
    from bundle_factory import variant

    first = variant(tmp_path / "s", "exact", b"w", goldens=None, tolerance=None)
    made = make_bundle(tmp_path / "b", variants=(first,), default="exact", goldens=None)
    assert load_goldens(made) is None


def test_rows_are_given_as_they_were_when_recorded() -> None:
    seen: list[int] = []

    def run(inputs: dict[str, Any]) -> dict[str, Any]:
        seen.append(len(inputs["x"]))
        return run_model(inputs)

    joined = record(INPUTS, 2, run)
    assert seen == [2, 2]
    np.testing.assert_array_equal(joined["y:0"], INPUTS["x"] @ WEIGHTS)
    for wrong in ({"x": INPUTS["x"], "z": np.zeros(3)}, {}, {"x": np.float32(1)}):
        with pytest.raises(BundleError, match="can't be split"):
            record(wrong, 1, run)  # type: ignore[arg-type]
    with pytest.raises(BundleError):
        record(INPUTS, 3, run)
    with pytest.raises(EngineError, match="can't be joined"):
        record(INPUTS, 2, lambda inputs: {"y": np.float32(1)})  # type: ignore[dict-item]


def test_outputs_belong_to_the_record_not_to_the_engine() -> None:
    buffer = np.zeros((4, 2), np.float32)
    kept = record(INPUTS, 4, lambda inputs: {"y": buffer})
    buffer += 1
    assert not kept["y"].any()


@pytest.mark.parametrize(
    ("have", "ok"),
    [
        ([[0.0, 10.0], [5.0, 0.0]], True),
        ([[0.9, 9.1], [5.9, 0.9]], True),  # limit: 0.1 * 10
        ([[0.0, 10.0], [3.9, 0.0]], False),
        ([[0.0, np.nan], [5.0, 0.0]], False),
        ([[0.0, np.inf], [5.0, 0.0]], False),
    ],
)
def test_the_limit_follows_the_range_of_the_tensor(have: list[list[float]], ok: bool) -> None:
    want = {"y": np.array([[0.0, 10.0], [5.0, 0.0]], np.float32)}
    (result,) = compare(want, {"y": np.array(have, np.float32)}, LOOSE)
    assert result.ok is ok
    assert result.limit == pytest.approx(1.0)


def test_infinities_that_were_recorded_are_meant() -> None:
    want = {"y": np.array([[-np.inf, 1.0], [np.nan, 2.0]])}
    assert compare(want, want, LOOSE)[0].ok
    other = {"y": np.array([[np.inf, 1.0], [np.nan, 2.0]])}
    assert not compare(want, other, LOOSE)[0].ok


def test_top1_is_counted_on_the_first_output_only() -> None:
    want = {"y": np.eye(4, dtype=np.float32), "z": np.eye(4, dtype=np.float32)}
    swapped = np.eye(4, dtype=np.float32)[[1, 0, 2, 3]]
    wide = Tolerance(2.0, 0.0, 0.75)
    assert [r.ok for r in compare(want, {"y": swapped, "z": want["z"]}, wide)] == [False, True]
    assert [r.ok for r in compare(want, {"y": want["y"], "z": swapped}, wide)] == [True, True]


@pytest.mark.parametrize(
    "got", [{}, {"y": np.zeros((2, 3), np.float32)}, {"y": np.zeros((2, 2), np.float64)}]
)
def test_outputs_of_another_shape_or_dtype_fail(got: Mapping[str, Any]) -> None:
    (result,) = compare({"y": np.zeros((2, 2), np.float32)}, got, LOOSE)
    assert not result.ok
    assert result.max_difference == math.inf


def test_integer_and_empty_outputs() -> None:
    want = {"y": np.array([1, 2, 3]), "e": np.zeros((0, 4), np.float32), "b": np.array([True])}
    assert all(r.ok for r in compare(want, want, LOOSE))
    assert not compare({"b": np.array([True])}, {"b": np.array([False])}, LOOSE)[0].ok


def test_tolerance_follows_the_coarsest_arithmetic() -> None:
    plain = Recipe((), "r", Settings())
    reduced = Recipe((), "r", Settings(precision=Precision.BF16))
    coarse = Recipe((Step("quantize-nncf"),), "r", Settings())
    limits = [default_tolerance(r, classifier=True).relative for r in (plain, reduced, coarse)]
    assert limits == sorted(limits)
    assert limits[0] < limits[1] < limits[2]
    assert default_tolerance(plain, classifier=False).top1 is None


@given(
    array=st.sampled_from(sorted(DTYPES)).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))
    )
)
def test_npy_round_trip(array: np.ndarray[Any, Any]) -> None:
    data = npy_bytes(array, "t")
    tensor = GoldenTensor("t", array.dtype.name, array.shape, "t.npy")
    again = parse_npy(data, tensor)
    assert again.dtype == array.dtype
    assert again.tobytes() == array.tobytes()
    assert again.shape == array.shape
    assert again.flags.writeable


def test_foreign_byte_order_and_memory_order_are_normalised() -> None:
    array = np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3))
    again = parse_npy(npy_bytes(array, "t"), GoldenTensor("t", "float32", (2, 3), "f"))
    np.testing.assert_array_equal(again, array)
    assert again.dtype == np.dtype("float32")


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda b: b"\x93NUMPY\x01\x00" + b))
def test_no_bytes_crash_the_npy_reader(data: bytes) -> None:
    with pytest.raises(BundleCorruptError):
        parse_npy(data, GoldenTensor("t", "float32", (2, 3), "f"))


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|O', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}",
        "{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 1000000000000)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3)}",
        "__import__('os').system('true')",
        "(" * 3000,
        "{" + "'a': 1, " * 400 + "}",
    ],
)
def test_evil_npy_headers(header: str) -> None:
    text = header.encode() + b"\n"
    data = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(24)
    with pytest.raises(BundleCorruptError):
        parse_npy(data, GoldenTensor("t", "float32", (2, 3), "f"))


def test_goldens_can_be_made_by_hand() -> None:
    goldens = Goldens(INPUTS, run_model(INPUTS), {}, 4, LOOSE)
    assert all(result.ok for result in replay(goldens, run_model))

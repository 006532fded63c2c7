"""What layers take in, against the plainest way to compute it."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.optimize.graph.io import write_onnx
from whet.optimize.graph.quantize.moments import Intake, Window, gather, in_portions
from whet.optimize.graph.quantize.weighted import weighted_layers
from whet.optimize.graph.runs import run_graph
from whet.testing.small_graphs import make_graph


def patches_by_loops(x: np.ndarray, window: Window, pads: list[tuple[int, int]]) -> np.ndarray:
    padded = np.pad(x, [(0, 0), *pads])
    reach = [d * (k - 1) + 1 for k, d in zip(window.kernel, window.dilations, strict=True)]
    sizes = [
        (n - r) // s + 1 for n, r, s in zip(padded.shape[1:], reach, window.strides, strict=True)
    ]
    rows = []
    for corner in itertools.product(*map(range, sizes)):
        cut = [slice(None)]
        for place, stride, wide, step in zip(
            corner, window.strides, reach, window.dilations, strict=True
        ):
            cut.append(slice(place * stride, place * stride + wide, step))
        rows.append(padded[tuple(cut)].reshape(-1))
    return np.array(rows)


axis = st.tuples(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(0, 2), st.integers(0, 2)
)


@given(axes=st.lists(axis, min_size=1, max_size=2), channels=st.integers(1, 3))
def test_patches_are_what_the_kernel_looks_at(
    axes: list[tuple[int, int, int, int, int]], channels: int
) -> None:
    kernel, strides, dilations, before, after = zip(*axes, strict=True)
    pads = list(zip(before, after, strict=True))
    window = Window(kernel, strides, dilations, tuple(pads))
    x = np.random.default_rng(0).standard_normal((channels, *[7] * len(axes))).astype(np.float32)
    found = window.patches(x, 10_000, np.random.default_rng(0))
    np.testing.assert_array_equal(found, patches_by_loops(x, window, pads))


def test_few_patches_are_some_of_all() -> None:
    window = Window((3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)))
    x = np.random.default_rng(0).standard_normal((2, 9, 9)).astype(np.float32)
    every = {row.tobytes() for row in window.patches(x, 81, np.random.default_rng(0))}
    some = window.patches(x, 10, np.random.default_rng(1))
    assert len({row.tobytes() for row in some}) == 10
    assert {row.tobytes() for row in some} <= every


@pytest.mark.parametrize(("size", "stride"), [(7, 1), (7, 2), (8, 2), (8, 3)])
def test_padding_that_keeps_the_size(size: int, stride: int) -> None:
    window = Window((3,), (stride,), (1,), None)
    found = window.patches(np.ones((1, size), np.float32), 100, np.random.default_rng(0))
    assert len(found) == -(-size // stride)


@pytest.mark.parametrize("pad", ["SAME_UPPER", "SAME_LOWER"])
def test_the_odd_pad_stands_where_the_operator_has_it(pad: str, tmp_path: Path) -> None:
    """A kernel of 1 at one place shows which value each patch has there, as the graph runs it."""
    x = np.arange(1, 7, dtype=np.float32).reshape(1, 1, 6)
    for place in range(4):
        kernel = np.zeros((1, 1, 4), np.float32)
        kernel[0, 0, place] = 1
        body = (
            f'g (float[b, 1, 6] x) => (float[b, 1, 6] y) {{ y = Conv <auto_pad = "{pad}"> (x, w) }}'
        )
        model = make_graph(body, {"w": kernel})
        graph = write_onnx(model, tmp_path, f"g{place}")
        (wanted,) = run_graph(graph, {"x": x}).values()
        ((layer,), _) = weighted_layers(model, "")
        assert layer.intake.window is not None
        patches = layer.intake.window.patches(x[0], 100, np.random.default_rng(0))
        np.testing.assert_array_equal(patches[:, place], wanted.ravel())


def test_an_input_smaller_than_the_kernel_gives_nothing() -> None:
    window = Window((5,), (1,), (1,), ((0, 0),))
    assert window.patches(np.ones((2, 3), np.float32), 9, np.random.default_rng(0)).shape == (0, 10)


def test_moments_of_groups_and_products(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    weights = {
        "w": generator.standard_normal((4, 2, 3)).astype(np.float32),
        "m": generator.standard_normal((6, 5)).astype(np.float32),
    }
    model = make_graph(
        """
        g (float[batch, 4, 6] x) => (float[batch, 4, 5] y) {
            c = Conv <group = 2, pads = [1, 1]> (x, w)
            r = Relu (c)
            y = MatMul (r, m)
        }""",
        weights,
    )
    window = Window((3,), (1,), (1,), ((1, 1),))
    layers = [Intake("x", 6, 2, window), Intake("r", 6)]
    rows = [{"x": generator.standard_normal((1, 4, 6)).astype(np.float32)} for _ in range(30)]
    grouped, whole = gather(model, layers, rows, 30, threads=1, seed=0)
    vectors = np.concatenate([patches_by_loops(r["x"][0], window, [(1, 1)]) for r in rows])
    for group in range(2):
        part = vectors[:, 6 * group : 6 * group + 6]
        np.testing.assert_allclose(grouped[group], part.T @ part / len(part), rtol=1e-4, atol=1e-5)
    taps = vectors.reshape(-1, 2, 6)
    convolved = np.stack(
        [taps[:, o // 2] @ weights["w"][o].reshape(-1) for o in range(4)], axis=1
    ).reshape(30, 6, 4)
    inner = np.maximum(convolved, 0).transpose(0, 2, 1).reshape(-1, 6)
    np.testing.assert_allclose(whole[0], inner.T @ inner / len(inner), rtol=1e-4, atol=1e-5)
    assert len(model.graph.output) == 1  # the graph itself was left alone


def test_portions_keep_the_order_and_the_memory() -> None:
    layers = [Intake(f"v{n}", size) for n, size in enumerate((8000, 8000, 10, 20, 9000, 3))]
    portions = list(in_portions(layers))
    assert [each for portion in portions for each in portion] == layers
    assert all(
        len(portion) == 1 or math.fsum(e.moment_bytes for e in portion) <= 400 << 20
        for portion in portions
    )
    assert len(portions) == 3

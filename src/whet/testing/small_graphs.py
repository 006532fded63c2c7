"""Small ONNX graphs, each with something for a pass to do; for contract suites and tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.core.artifact import Artifact
from whet.optimize.graph.io import write_onnx

if TYPE_CHECKING:
    import onnx

__all__ = ["make_graph", "plain", "unfused", "untidy"]

Weights = dict[str, NDArray[np.generic]]


def make_graph(
    body: str, weights: Weights, *, opset: int = 17, ir_version: int = 8
) -> onnx.ModelProto:
    """A model from ONNX's text form and its weights; ``body`` is ``name (...) => (...) {...}``."""
    onnx = require("onnx", "build a test graph")
    header = f'<ir_version: {ir_version}, opset_import: ["" : {opset}]>\n'
    model = onnx.parser.parse_model(header + body)
    for name, value in weights.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    return model


def _floats(generator: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    return (generator.standard_normal(shape) * 0.3).astype(np.float32)


def _convolutional(seed: int) -> Weights:
    generator = np.random.default_rng(seed)
    return {
        "w1": _floats(generator, 4, 3, 3, 3),
        "b1": _floats(generator, 4),
        "w2": _floats(generator, 6, 4, 3, 3),
        "w3": _floats(generator, 6, 5),
        "b3": _floats(generator, 5),
    }


def plain(folder: Path) -> Artifact:
    """Two convolutions and a matrix; nothing to tidy, nothing to fuse."""
    body = """
    plain (float[batch, 3, 8, 8] input) => (float[batch, 5] logits) {
        c1 = Conv <pads = [1, 1, 1, 1]> (input, w1, b1)
        r1 = Relu (c1)
        c2 = Conv <strides = [2, 2]> (r1, w2)
        r2 = Relu (c2)
        p = GlobalAveragePool (r2)
        f = Flatten (p)
        logits = Gemm (f, w3, b3)
    }"""
    return write_onnx(make_graph(body, _convolutional(1)), folder, "plain")


def untidy(folder: Path) -> Artifact:
    """The same, with identities, arithmetic on constants, a dead branch and an unused weight."""
    body = """
    untidy (float[batch, 3, 8, 8] input) => (float[batch, 5] logits) {
        same = Identity (input)
        bias = Add (b1, zero)
        c1 = Conv <pads = [1, 1, 1, 1]> (same, w1, bias)
        dead = Sigmoid (c1)
        r1 = Relu (c1)
        again = Identity (r1)
        c2 = Conv <strides = [2, 2]> (again, w2)
        r2 = Relu (c2)
        p = GlobalAveragePool (r2)
        f = Flatten (p)
        logits = Gemm (f, w3, b3)
    }"""
    weights = {
        **_convolutional(2),
        "zero": np.zeros(4, np.float32),
        "unused": np.ones((64, 64), np.float32),
    }
    return write_onnx(make_graph(body, weights), folder, "untidy")


def unfused(folder: Path) -> Artifact:
    """Affine maps a channel behind convolutions and matrices, in every spelling."""
    body = """
    unfused (float[batch, 3, 8, 8] input) => (float[batch, 5] logits) {
        c1 = Conv <pads = [1, 1, 1, 1]> (input, w1, b1)
        n1 = BatchNormalization (c1, gamma, beta, mean, variance)
        r1 = Relu (n1)
        c2 = Conv <strides = [2, 2]> (r1, w2)
        m2 = Mul (c2, per_channel)
        a2 = Add (shift, m2)
        d2 = Div (a2, two)
        r2 = Relu (d2)
        p = GlobalAveragePool (r2)
        f = Flatten (p)
        g = Gemm (f, w3, b3)
        s = Sub (g, last)
        logits = Mul (s, two)
    }"""
    generator = np.random.default_rng(3)
    weights = {
        **_convolutional(3),
        "gamma": _floats(generator, 4) + np.float32(1),
        "beta": _floats(generator, 4),
        "mean": _floats(generator, 4),
        "variance": np.abs(_floats(generator, 4)) + np.float32(0.5),
        "per_channel": _floats(generator, 6, 1, 1) + np.float32(1),
        "shift": _floats(generator, 1, 6, 1, 1),
        "two": np.array(2, np.float32),
        "last": _floats(generator, 5),
    }
    return write_onnx(make_graph(body, weights), folder, "unfused")

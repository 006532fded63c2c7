"""A perceptron for scikit-learn's digits as an ONNX file: real, and made in two seconds."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["write_digits"]

_TRAINED_ON = 797
_HIDDEN = (1024, 1024)


def write_digits(folder: Path) -> tuple[Path, Path]:
    """Train it and write the network and the 1,000 pictures that it hasn't seen.

    Returns:
        The `.onnx` file and the `.npz` file.
    """
    from sklearn.datasets import load_digits
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    digits = load_digits()
    x, y = (digits.data / 16).astype(np.float32), digits.target.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(y))
    seen, held_out = order[:_TRAINED_ON], order[_TRAINED_ON:]
    network = MLPClassifier(_HIDDEN, max_iter=8, batch_size=50, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # good enough is reached long before
        network.fit(x[seen], y[seen])
    np.savez(folder / "digits.npz", input=x[held_out], labels=y[held_out])
    _write_onnx(folder / "digits.onnx", network.coefs_, network.intercepts_)
    return folder / "digits.onnx", folder / "digits.npz"


def _write_onnx(
    file: Path, weights: list[NDArray[np.generic]], biases: list[NDArray[np.generic]]
) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, name = [], [], "input"
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        last = i == len(weights) - 1
        for kind, array in (("w", weight), ("b", bias)):
            constants.append(numpy_helper.from_array(array.astype(np.float32), f"{kind}{i}"))
        out = "logits" if last else f"sum{i}"
        nodes.append(helper.make_node("Gemm", [name, f"w{i}", f"b{i}"], [out]))
        if not last:
            nodes.append(helper.make_node("Relu", [out], [f"hidden{i}"]))
        name = f"hidden{i}"
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(file))

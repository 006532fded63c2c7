"""A small recurrent network whose answers numpy knows, as ONNX and as a torch program.

Two LSTM layers, one after the other, over sequences whose first axis is the batch, as most
are built: an exporter puts transposes around each layer, and a runtime that takes these
out must still tell rows from steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.core.artifact import Artifact
from whet.core.spec import Arrays, Signature, TensorSpec
from whet.optimize.graph.io import write_onnx
from whet.optimize.quiet import quiet
from whet.optimize.recurrent import any_length
from whet.testing.small_graphs import make_graph
from whet.testing.small_net import write_program

if TYPE_CHECKING:
    import torch

__all__ = ["RecurrentNet"]

_STEPS, _INPUTS, _HIDDEN = 12, 8, 16
# ONNX keeps the gates as input, output, forget, cell; torch as input, forget, cell, output.
_TORCH_GATES = (0, 2, 3, 1)

Weights = dict[str, NDArray[np.float32]]


def _drawn() -> Weights:
    generator = np.random.default_rng(4)
    wide = 4 * _HIDDEN
    shapes = {"w": (wide, _INPUTS), "r": (wide, _HIDDEN), "b": (2 * wide,)}
    shapes |= {"w2": (wide, _HIDDEN), "r2": (wide, _HIDDEN), "b2": (2 * wide,)}
    return {k: (generator.standard_normal(s) * 0.4).astype(np.float32) for k, s in shapes.items()}


@final
@dataclass(frozen=True)
class RecurrentNet:
    """LSTM on LSTM, 8 inputs, 16 hidden, 12 steps; every step's answer."""

    weights: Weights = field(default_factory=_drawn)

    @property
    def signature(self) -> Signature:
        return Signature(
            (TensorSpec("x", "float32", ("batch", _STEPS, _INPUTS)),),
            (TensorSpec("y", "float32", ("batch", _STEPS, _HIDDEN)),),
        )

    def inputs(self, batch: int, seed: int = 0) -> Arrays:
        """Rows that differ from each other and with the seed."""
        rng = np.random.default_rng(seed)
        return {"x": rng.standard_normal((batch, _STEPS, _INPUTS)).astype(np.float32)}

    def answer(self, inputs: Arrays) -> Arrays:
        """What every runtime has to answer."""
        w = self.weights
        first = _lstm(inputs["x"].astype(np.float32), w["w"], w["r"], w["b"])
        return {"y": _lstm(first, w["w2"], w["r2"], w["b2"])}

    def onnx(self, where: Path) -> Artifact:
        """Write ``recurrent.onnx``."""
        body = f"""
        recurrent (float[batch, {_STEPS}, {_INPUTS}] x) => (float[batch, {_STEPS}, {_HIDDEN}] y) {{
            steps = Transpose <perm = [1, 0, 2]> (x)
            all = LSTM <hidden_size = {_HIDDEN}> (steps, w, r, b)
            first = Squeeze (all, one)
            rows = Transpose <perm = [1, 0, 2]> (first)
            steps2 = Transpose <perm = [1, 0, 2]> (rows)
            all2 = LSTM <hidden_size = {_HIDDEN}> (steps2, w2, r2, b2)
            second = Squeeze (all2, one)
            y = Transpose <perm = [1, 0, 2]> (second)
        }}"""
        one_direction = {name: array[None] for name, array in self.weights.items()}
        model = make_graph(body, {**one_direction, "one": np.array([1])})
        return write_onnx(model, where, "recurrent", self.signature)

    def program(self, where: Path) -> Artifact:
        """Write ``recurrent.pt2``, a torch.export program."""
        require("torch", "build a test network")
        import torch

        lstm = torch.nn.LSTM(_INPUTS, _HIDDEN, 2, batch_first=True).eval()
        torch_names = {"w": "weight_ih", "r": "weight_hh"}
        state = {}
        for layer, suffix in enumerate(("", "2")):
            for ours, name in torch_names.items():
                state[f"{name}_l{layer}"] = _for_torch(self.weights[ours + suffix])
            biases = np.split(self.weights["b" + suffix], 2)
            for name, bias in zip(("bias_ih", "bias_hh"), biases, strict=True):
                state[f"{name}_l{layer}"] = _for_torch(bias)
        lstm.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})

        class Net(torch.nn.Module):  # type: ignore[misc]  # torch is Any to mypy
            """The answers without the last states."""

            def __init__(self) -> None:
                super().__init__()
                self.lstm = lstm

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                answers: torch.Tensor = self.lstm(x)[0]
                return answers

        file = where / "recurrent.pt2"
        with quiet(), torch.no_grad(), any_length():
            return write_program(Net(), file, self.signature, self.inputs(2))


def _for_torch(array: NDArray[np.float32]) -> NDArray[np.float32]:
    gates = np.split(array, 4)
    return np.concatenate([gates[i] for i in _TORCH_GATES])


def _lstm(
    x: NDArray[np.float32],
    w: NDArray[np.float32],
    r: NDArray[np.float32],
    b: NDArray[np.float32],
) -> NDArray[np.float32]:
    """``(n, steps, inputs)`` to ``(n, steps, hidden)``, gates as ONNX keeps them."""
    hidden = cell = np.zeros((len(x), _HIDDEN), np.float32)
    answers = []
    for step in range(x.shape[1]):
        gates = x[:, step] @ w.T + hidden @ r.T + b.reshape(2, -1).sum(0)
        enter, leave, forget, new = np.split(gates, 4, axis=1)
        cell = _sigmoid(forget) * cell + _sigmoid(enter) * np.tanh(new)
        hidden = _sigmoid(leave) * np.tanh(cell)
        answers.append(hidden)
    return np.stack(answers, 1)


def _sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    shares: NDArray[np.float32] = np.reciprocal(1 + np.exp(-x))
    return shares

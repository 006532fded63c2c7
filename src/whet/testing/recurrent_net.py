"""Two LSTM layers on top of each other, whose answers numpy knows, as ONNX and as a torch program.

The ONNX graph gives its layers no first state, as converters from Keras write them: zeros of the
batch's size are then made while the graph runs, which an engine that was exported at one size may
get wrong at another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.core.artifact import Artifact
from whet.core.spec import Arrays, Signature, TensorSpec
from whet.testing.small_net import write_onnx_net, write_program

__all__ = ["RecurrentNet"]

_STEPS, _INPUTS, _HIDDEN = 6, 3, 8
_TORCH_GATES = (0, 2, 3, 1)  # ONNX orders them i, o, f, c; torch i, f, c, o


@dataclass(frozen=True)
class _Layer:
    """Weights in ONNX's order of gates: of inputs, of states, and both biases."""

    inputs: NDArray[np.float32]
    states: NDArray[np.float32]
    biases: NDArray[np.float32]


def _layer(inputs: int, seed: int) -> _Layer:
    rng = np.random.default_rng(seed)
    gates = 4 * _HIDDEN
    shapes = ((gates, inputs), (gates, _HIDDEN), (2 * gates,))
    return _Layer(*(rng.normal(0, 0.5, shape).astype(np.float32) for shape in shapes))


@final
@dataclass(frozen=True)
class RecurrentNet:
    """The last state of the second of two LSTM layers."""

    layers: tuple[_Layer, ...] = field(
        default_factory=lambda: (_layer(_INPUTS, seed=4), _layer(_HIDDEN, seed=5))
    )

    @property
    def signature(self) -> Signature:
        return Signature(
            (TensorSpec("x", "float32", ("batch", _STEPS, _INPUTS)),),
            (TensorSpec("y", "float32", ("batch", _HIDDEN)),),
        )

    def inputs(self, batch: int, seed: int = 0) -> Arrays:
        """Inputs that differ with the seed."""
        rng = np.random.default_rng(seed)
        return {"x": rng.normal(size=(batch, _STEPS, _INPUTS)).astype(np.float32)}

    def answer(self, inputs: Arrays) -> Arrays:
        """What every runtime has to answer."""
        sequence = inputs["x"].astype(np.float32).transpose(1, 0, 2)
        for layer in self.layers:
            sequence = _run(layer, sequence)
        return {"y": sequence[-1]}

    def onnx(self, where: Path) -> Artifact:
        """Write ``recurrent.onnx``."""
        node = require("onnx.helper", "build a test network").make_node
        nodes = [node("Transpose", ["x"], ["in0"], perm=[1, 0, 2])]
        constants: Arrays = {"axis": np.array([1]), "last": np.array(-1)}
        for place, layer in enumerate(self.layers):
            names = [f"{what}{place}" for what in ("inputs", "states", "biases")]
            parts = (layer.inputs, layer.states, layer.biases)
            constants |= {name: part[None] for name, part in zip(names, parts, strict=True)}
            nodes += [
                node("LSTM", [f"in{place}", *names], [f"out{place}"], hidden_size=_HIDDEN),
                node("Squeeze", [f"out{place}", "axis"], [f"in{place + 1}"]),
            ]
        nodes.append(node("Gather", [f"in{len(self.layers)}", "last"], ["y"], axis=0))
        return write_onnx_net(where / "recurrent.onnx", self.signature, nodes, constants)

    def program(self, where: Path) -> Artifact:
        """Write ``recurrent.pt2``, a torch.export program."""
        require("torch", "build a test network")
        import torch

        layers = self.layers

        class Net(torch.nn.Module):  # type: ignore[misc]  # torch is Any to mypy
            """The same in torch."""

            def __init__(self) -> None:
                super().__init__()
                self.lstm = torch.nn.LSTM(_INPUTS, _HIDDEN, len(layers), batch_first=True)
                for place, layer in enumerate(layers):
                    biases = np.split(layer.biases, 2)
                    parts = (layer.inputs, layer.states, *biases)
                    ends = ("weight_ih_l", "weight_hh_l", "bias_ih_l", "bias_hh_l")
                    for end, part in zip(ends, parts, strict=True):
                        weight = self.lstm.get_parameter(f"{end}{place}")
                        weight.data.copy_(torch.from_numpy(_for_torch(part)))

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                states: torch.Tensor = self.lstm(x)[0]
                return states[:, -1]

        return write_program(Net(), where / "recurrent.pt2", self.signature, self.inputs(2))


def _run(layer: _Layer, sequence: NDArray[np.float32]) -> NDArray[np.float32]:
    """All states, ``(steps, batch, inputs)`` to ``(steps, batch, hidden)``."""
    state = cell = np.zeros((sequence.shape[1], _HIDDEN), np.float32)
    states = []
    for step in sequence:
        total = step @ layer.inputs.T + state @ layer.states.T
        total = total + np.add(*np.split(layer.biases, 2))
        enter, leave, forget, new = np.split(total, 4, axis=1)
        cell = _sigmoid(forget) * cell + _sigmoid(enter) * np.tanh(new)
        state = _sigmoid(leave) * np.tanh(cell)
        states.append(state)
    return np.stack(states).astype(np.float32)


def _sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    one = np.float32(1)
    return one / (one + np.exp(-x))


def _for_torch(part: NDArray[np.float32]) -> NDArray[np.float32]:
    gates = np.split(part, 4)
    return np.concatenate([gates[i] for i in _TORCH_GATES])

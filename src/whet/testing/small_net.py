"""Two small networks whose answers numpy knows, as ONNX and as torch programs.

`SmallNet` is made to trip a runtime up: uint8 and int64 inputs, names that no
programming language would allow, a float16 output, outputs that the signature
lists in another order than they are computed in. `WideNet` is one convolution
with enough work to keep several threads busy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.core.artifact import Artifact, Format
from whet.core.spec import Arrays, Signature, TensorSpec

if TYPE_CHECKING:
    import torch

__all__ = ["PICTURE", "SHIFT", "SmallNet", "WideNet", "write_program"]

PICTURE: Final = "in/picture:0"
SHIFT: Final = "1"
_OPSET, _IR = 18, 10
_CLASSES, _CHANNELS, _SIZE = 5, 8, 8


def _weights(*shape: int, seed: int) -> NDArray[np.float32]:
    spread = 1.0 / np.sqrt(np.prod(shape[1:]))
    return np.random.default_rng(seed).normal(0.0, spread, shape).astype(np.float32)


def _convolve(x: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """3×3, padded by one, stride one; ``(n, c, h, w)`` to ``(n, k, h, w)``."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    summed: NDArray[np.float32] = np.einsum("nchwij,kcij->nkhw", windows, kernel, optimize=True)
    return summed


@final
@dataclass(frozen=True)
class SmallNet:
    """Convolution, ReLU, mean over the picture, linear, plus a shift of the scores."""

    kernel: NDArray[np.float32] = field(
        default_factory=lambda: _weights(_CHANNELS, 3, 3, 3, seed=1)
    )
    linear: NDArray[np.float32] = field(
        default_factory=lambda: _weights(_CHANNELS, _CLASSES, seed=2)
    )

    @property
    def signature(self) -> Signature:
        return Signature(
            inputs=(
                TensorSpec(PICTURE, "uint8", ("batch", 3, _SIZE, _SIZE)),
                TensorSpec(SHIFT, "int64", ("batch", 1)),
            ),
            outputs=(
                TensorSpec("scores", "float32", ("batch", _CLASSES)),
                TensorSpec("features.half", "float16", ("batch", _CHANNELS)),
            ),
        )

    def inputs(self, batch: int, seed: int = 0) -> Arrays:
        """Inputs that differ with the seed."""
        rng = np.random.default_rng(seed)
        picture = rng.integers(0, 256, (batch, 3, _SIZE, _SIZE), dtype=np.uint8)
        return {PICTURE: picture, SHIFT: rng.integers(-9, 9, (batch, 1), dtype=np.int64)}

    def answer(self, inputs: Arrays) -> Arrays:
        """What every runtime has to answer."""
        x = inputs[PICTURE].astype(np.float32) / np.float32(255)
        features = np.maximum(_convolve(x, self.kernel), 0).mean((2, 3))
        scores = features @ self.linear + inputs[SHIFT].astype(np.float32)
        return {"scores": scores, "features.half": features.astype(np.float16)}

    def onnx(self, where: Path, *, external: bool = False) -> Artifact:
        """Write ``small.onnx``, on request with its weights in ``small.data``."""
        helper = require("onnx.helper", "build a test network")
        node = helper.make_node
        nodes = [
            node("Cast", [PICTURE], ["x"], to=1),
            node("Div", ["x", "most"], ["scaled"]),
            node("Conv", ["scaled", "kernel"], ["convolved"], pads=[1, 1, 1, 1]),
            node("Relu", ["convolved"], ["rectified"]),
            node("ReduceMean", ["rectified", "axes"], ["features"], keepdims=0),
            node("Cast", ["features"], ["features.half"], to=10),
            node("MatMul", ["features", "linear"], ["product"]),
            node("Cast", [SHIFT], ["by"], to=1),
            node("Add", ["product", "by"], ["scores"]),
        ]
        constants: Arrays = {
            "most": np.float32(255).reshape(1),
            "kernel": self.kernel,
            "axes": np.array([2, 3], dtype=np.int64),
            "linear": self.linear,
        }
        return _write_onnx(where / "small.onnx", self.signature, nodes, constants, external)

    def program(self, where: Path) -> Artifact:
        """Write ``small.pt2``, a torch.export program."""
        require("torch", "build a test network")
        import torch

        kernel, linear = torch.from_numpy(self.kernel), torch.from_numpy(self.linear)

        class Net(torch.nn.Module):  # type: ignore[misc]  # torch is Any to mypy
            """The same in torch."""

            def __init__(self) -> None:
                super().__init__()
                self.kernel = torch.nn.Parameter(kernel)
                self.linear = torch.nn.Parameter(linear)

            def forward(
                self, picture: torch.Tensor, shift: torch.Tensor
            ) -> tuple[torch.Tensor, torch.Tensor]:
                x = torch.nn.functional.conv2d(picture.float() / 255, self.kernel, padding=1)
                features = x.relu().mean((2, 3))
                return features @ self.linear + shift.float(), features.half()

        return write_program(Net(), where / "small.pt2", self.signature, self.inputs(2))


@final
@dataclass(frozen=True)
class WideNet:
    """One convolution, 32 to 32 channels over 96×96: some 85 million multiplications a row."""

    kernel: NDArray[np.float32] = field(default_factory=lambda: _weights(32, 32, 3, 3, seed=3))

    @property
    def signature(self) -> Signature:
        shape = ("batch", 32, 96, 96)
        return Signature((TensorSpec("x", "float32", shape),), (TensorSpec("y", "float32", shape),))

    def inputs(self, batch: int, seed: int = 0) -> Arrays:
        """Inputs that differ with the seed."""
        rng = np.random.default_rng(seed)
        return {"x": rng.normal(size=(batch, 32, 96, 96)).astype(np.float32)}

    def answer(self, inputs: Arrays) -> Arrays:
        """What every runtime has to answer."""
        return {"y": np.maximum(_convolve(inputs["x"].astype(np.float32), self.kernel), 0)}

    def onnx(self, where: Path) -> Artifact:
        """Write ``wide.onnx``."""
        node = require("onnx.helper", "build a test network").make_node
        nodes = [
            node("Conv", ["x", "kernel"], ["convolved"], pads=[1, 1, 1, 1]),
            node("Relu", ["convolved"], ["y"]),
        ]
        constants: Arrays = {"kernel": self.kernel}
        return _write_onnx(where / "wide.onnx", self.signature, nodes, constants, external=False)

    def program(self, where: Path) -> Artifact:
        """Write ``wide.pt2``, a torch.export program."""
        require("torch", "build a test network")
        import torch

        kernel = torch.from_numpy(self.kernel)

        class Net(torch.nn.Module):  # type: ignore[misc]  # torch is Any to mypy
            """The same in torch."""

            def __init__(self) -> None:
                super().__init__()
                self.kernel = torch.nn.Parameter(kernel)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return torch.nn.functional.conv2d(x, self.kernel, padding=1).relu()

        return write_program(Net(), where / "wide.pt2", self.signature, self.inputs(2))


def _write_onnx(
    file: Path, signature: Signature, nodes: list[object], constants: Arrays, external: bool
) -> Artifact:
    onnx = require("onnx", "build a test network")
    inputs, outputs = (
        [
            onnx.helper.make_tensor_value_info(
                spec.name, onnx.helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype)), spec.shape
            )
            for spec in specs
        ]
        # The graph lists its outputs the other way round.
        for specs in (signature.inputs, signature.outputs[::-1])
    )
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = onnx.helper.make_graph(nodes, file.stem, inputs, outputs, tensors)
    opset = [onnx.helper.make_opsetid("", _OPSET)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=_IR)
    onnx.checker.check_model(model)
    weights = f"{file.stem}.data"
    onnx.save(model, str(file), save_as_external_data=external, location=weights, size_threshold=64)
    sidecars = (weights,) if external else ()
    return Artifact(str(file), Format.ONNX, signature, sidecars)


def write_program(
    module: torch.nn.Module, file: Path, signature: Signature, example: Arrays
) -> Artifact:
    """Trace a module with its batch left free, and write the program."""
    torch = require("torch", "build a test network")
    batch = torch.export.Dim("batch", min=1, max=4096)
    tensors = tuple(torch.from_numpy(array) for array in example.values())
    program = torch.export.export(
        module, tensors, dynamic_shapes=tuple({0: batch} for _ in tensors)
    )
    torch.export.save(program, str(file))
    return Artifact(str(file), Format.TORCH, signature)

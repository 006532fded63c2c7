"""Layers and values of a network in 8 bits: while their steps are learnt, and as they end.

While they learn, weights are floats that are rounded anew each time. In the end a layer holds
integers, and a value goes through a pair of operators that torch's exporter writes as QuantizeLinear
and DequantizeLinear. That is what ONNX Runtime and OpenVINO recognise around a layer to compute it
in integers; values are unsigned there, with a 0 anywhere, and weights signed, with a step for each
output channel.
"""

from __future__ import annotations

from copy import deepcopy
from typing import cast

# Registers the operators that the exporter knows.
import torch.ao.quantization.fx._decomposed
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from whet.optimize.network.rounding.grid import LEVELS, MOST, first_steps, rounded

__all__ = ["Int8Layer", "Int8Values", "LearningLayer", "LearningValues"]

_int8 = torch.ops.quantized_decomposed
_LEAST = 1 / 16  # of a first step, that it shrinks to
_TINY = float(torch.finfo(torch.float32).tiny)


class LearningValues(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """Values rounded by a step that is learnt.

    Args:
        step: to begin with.
        zero: which of the levels is 0.
        most: that a step may get to, so that no level lies where a clamp before lets nothing pass.
    """

    def __init__(self, step: float, zero: int, most: float = float("inf")) -> None:
        super().__init__()
        self.zero, self.most = zero, most
        self.register_buffer("first", torch.tensor(step))
        self.factor = nn.Parameter(torch.ones(()))

    def step(self) -> torch.Tensor:
        """As it is by now."""
        return (self.first * self.factor.clamp_min(_LEAST)).clamp_max(self.most)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return rounded(x, self.step(), -self.zero, LEVELS - self.zero)

    def settled(self) -> Int8Values:
        """With the step as it is by now."""
        return Int8Values(self.step().item(), self.zero)


class LearningLayer(nn.Module):  # type: ignore[misc]  # as above
    """A convolution or linear layer whose weights are rounded by steps that are learnt.

    Args:
        layer: taken over, not copied.
        most: steps of a weight in either direction.
    """

    def __init__(self, layer: nn.Module, most: int) -> None:
        super().__init__()
        self.layer, self.most = layer, most
        self.register_buffer("first", first_steps(layer.weight, most))
        self.factor = nn.Parameter(torch.ones_like(self.first))

    @property
    def weight(self) -> nn.Parameter:
        """The layer's own weights, which may hold zeros that stay."""
        return cast("nn.Parameter", self.layer.weight)

    def steps(self) -> torch.Tensor:
        """As they are by now: (channels,)."""
        return self.first * self.factor.clamp_min(_LEAST)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = self.steps().view(-1, *[1] * (self.weight.dim() - 1))
        weight = rounded(self.weight, steps, -self.most, self.most)
        if isinstance(self.layer, _ConvNd):
            return _convolved(self.layer, x, weight)
        return functional.linear(x, weight, self.layer.bias)

    def settled(self, norm: _BatchNorm | None = None) -> Int8Layer:
        """With the weights and steps as they are by now.

        Args:
            norm: the batch norm that takes what the layer gives, to be taken into it.
        """
        with torch.no_grad():
            steps, bias = self.steps(), self.layer.bias
            shape = (-1, *[1] * (self.weight.dim() - 1))
            whole = (self.weight / steps.view(shape)).clamp(-self.most, self.most).round()
            if norm is not None:
                scale = (norm.running_var + norm.eps).rsqrt() * _or(norm.weight, 1.0)
                bias = (_or(bias, 0.0) - norm.running_mean) * scale + _or(norm.bias, 0.0)
                whole = whole * scale.sign().view(shape)
                steps = (steps * scale.abs()).clamp_min(_TINY)
        return Int8Layer(self.layer, whole.to(torch.int8), steps, bias)


class Int8Values(nn.Module):  # type: ignore[misc]  # as above
    """Values rounded to unsigned integers, and floats again.

    Args:
        step: between neighbours.
        zero: which of the levels is 0.
    """

    def __init__(self, step: float, zero: int) -> None:
        super().__init__()
        self.step, self.zero = step, zero  # numbers: as tensors they'd be unknown when it is traced

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        how = (self.step, self.zero, 0, LEVELS, torch.uint8)
        found: torch.Tensor = _int8.dequantize_per_tensor(_int8.quantize_per_tensor(x, *how), *how)
        return found


class Int8Layer(nn.Module):  # type: ignore[misc]  # as above
    """A convolution or linear layer that holds integers.

    Args:
        layer: as it was in floats; it stays as it is.
        whole: its weights as whole numbers: (channels, ...).
        steps: of these: (channels,).
        bias: in floats; ``None`` where there is none.
    """

    def __init__(
        self,
        layer: nn.Module,
        whole: torch.Tensor,
        steps: torch.Tensor,
        bias: torch.Tensor | None,
    ) -> None:
        super().__init__()
        self.convolution: nn.Module | None = None
        if isinstance(layer, _ConvNd):
            self.convolution = deepcopy(layer)
            self.convolution.register_parameter("weight", None)
            self.convolution.register_parameter("bias", None)
        else:
            whole = whole.t().contiguous()  # as a matrix product takes it, without a transposition
        self.axis = 0 if isinstance(layer, _ConvNd) else 1
        self.register_buffer("weight", whole)
        self.register_buffer("steps", steps.detach().clone())
        self.register_buffer("zeros", torch.zeros(len(steps), dtype=torch.int32))
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone(), False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = _int8.dequantize_per_channel(
            self.weight, self.steps, self.zeros, self.axis, -MOST - 1, MOST, torch.int8
        )
        if self.convolution is not None:
            return _convolved(self.convolution, x, weight, self.bias)
        found: torch.Tensor = torch.matmul(x, weight)
        return found if self.bias is None else found + self.bias


def _convolved(
    layer: _ConvNd, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """As the layer does it, with these weights."""
    bias = layer.bias if bias is None else bias
    found: torch.Tensor = layer._conv_forward(x, weight, bias)  # noqa: SLF001 - all kinds at once
    return found


def _or(tensor: torch.Tensor | None, value: float) -> torch.Tensor | float:
    return value if tensor is None else tensor

"""NNCF's fast bias correction without what it takes for damage at the borders of a picture.

For each layer NNCF compares the mean output in float on real rows with that of the rounded layer
on a constant input, of which every position of a channel holds the channel's mean. These differ
for another reason than rounding: padding. Real pictures fade towards the zeros beyond the border
in their own way, where the constant input falls off at once. On the small maps of a decoder or a
late stage this difference is many times the shift that rounding makes, and taken into the biases
it ruins the network (a small U-Net: a signal-to-noise ratio of 13 dB in place of 28).

Here both sides run on the constant input, so that the border cancels and what is left is the
shift that the rounded weights make. For a matrix product, which has no border, nothing changes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from whet._optional import require
from whet.optimize.graph.quantize._quiet import replaced
from whet.optimize.graph.quantize.bypass import without_ir, without_onnx

__all__ = ["borders_cancelled"]

_CORRECTION = "nncf.quantization.algorithms.fast_bias_correction.algorithm"


@contextlib.contextmanager
def borders_cancelled() -> Iterator[None]:
    """Inside, NNCF's fast bias correction runs the layer in float on the input of the rounded one."""
    corrector = require(_CORRECTION, "quantise a graph").FastBiasCorrection
    # Of a graph of one layer: the mean in float on real rows, less the graph's on constant input.
    short_of_real = vars(corrector)["_get_bias_shift"]

    def shift(own: Any, model: Any, *args: Any, **named: Any) -> Any:
        rounded = short_of_real(own, model, *args, **named)
        return rounded - short_of_real(own, _in_float(model), *args, **named)

    with replaced(corrector, "_get_bias_shift", shift):
        yield


def _in_float(model: Any) -> Any:
    """A copy of an ONNX proto or an OpenVINO model whose float weights are rounded no more."""
    if isinstance(model, require("onnx", "quantise a graph").ModelProto):
        rounded = {v for n in model.graph.node if n.op_type == "QuantizeLinear" for v in n.output}
        readers = (n for n in model.graph.node if n.op_type == "DequantizeLinear")
        return without_onnx(model, {n.name for n in readers if n.input[0] in rounded})
    kinds = ((op.get_friendly_name(), op.get_type_name()) for op in model.get_ops())
    return without_ir(model, {name for name, kind in kinds if kind == "FakeQuantize"})

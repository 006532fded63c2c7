"""A torch program exported once more: with sizes fixed, or computing in bfloat16."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whet._optional import require
from whet.core.settings import Precision, Settings
from whet.core.spec import Signature, TensorSpec
from whet.errors import EngineError
from whet.runtimes.guard import fix_symbols
from whet.runtimes.torch_program import Module

if TYPE_CHECKING:
    import torch

__all__ = ["adapt", "need_no_unrolling"]

# Sizes of example inputs for symbols that stay dynamic: distinct, so that the tracer can't take
# two symbols for one, and never 0 or 1, which it would make constants of the program.
_FIRST_SIZE = 2
_NO_LIMIT = 1 << 30


def adapt(
    program: torch.export.ExportedProgram,
    module: torch.nn.Module,
    call: Module,
    signature: Signature,
    settings: Settings,
) -> torch.export.ExportedProgram:
    """The program that inputs in the signature's order can be given to by position.

    The program is traced again only where settings ask for another one, or
    where it takes its inputs by name.

    Args:
        program: as it was loaded.
        module: its module, with the weights.
        call: from tensors in the signature's order to a flat list; calls the module.
        signature: the program's, with its symbols.
        settings: ``fixed`` and ``precision`` are looked at.
    """
    require("torch", "compile with Inductor")
    import torch

    _, keywords = program.call_spec.in_spec.children()
    plain = settings.precision is Precision.FP32 and not settings.fixed
    if plain and not keywords.context and program.example_inputs is not None:
        return program
    half = settings.precision is Precision.BF16
    if half:
        _drop_dtype_checks(module)

    class Adapted(torch.nn.Module):  # type: ignore[misc]  # torch is Any to mypy
        """Calls the program; holds the module so that its weights are found."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
                answers = call(*tensors)
            return tuple(
                answer.to(getattr(torch, spec.dtype))
                for answer, spec in zip(answers, signature.outputs, strict=True)
            )

    specs = fix_symbols(signature, settings.fixed).inputs
    symbols = list(dict.fromkeys(d for spec in specs for d in spec.shape if isinstance(d, str)))
    sizes = {symbol: _size(program, signature, symbol, i) for i, symbol in enumerate(symbols)}
    dims = {symbol: _dim(program, signature, symbol) for symbol in symbols}
    return torch.export.export(
        Adapted(),
        tuple(_example(spec, sizes) for spec in specs),
        dynamic_shapes=(
            tuple(
                {axis: dims[d] for axis, d in enumerate(spec.shape) if isinstance(d, str)}
                for spec in specs
            ),
        ),
    )


def need_no_unrolling(program: torch.export.ExportedProgram) -> None:
    """Refuse a recurrent layer that would be unrolled to the length of the example.

    torch 2.13 does that even where the length is a symbol, and what it makes then answers wrongly,
    or with what lies behind the input, at any other length. LSTM layers are spared where oneDNN
    has an operator for them.

    Raises:
        EngineError: there is such a layer, of a length that varies.
    """
    torch = require("torch", "compile with Inductor")
    aten = torch.ops.aten
    unrolled = {aten.gru.input, aten.rnn_tanh.input, aten.rnn_relu.input}
    if not torch.backends.mkldnn.is_available():
        unrolled.add(aten.lstm.input)
    for node in program.graph.nodes:
        if node.op == "call_function" and node.target in unrolled:
            batch_first = node.args[-1]
            steps = node.args[0].meta["val"].shape[1 if batch_first else 0]
            if not isinstance(steps, int):
                raise EngineError(
                    f"Inductor unrolls the layer '{node.name}' to one length, but the network takes"
                    " sequences of any length.",
                    "Leave this runtime out for this network, or fix the length.",
                )


def _drop_dtype_checks(module: torch.nn.Module) -> None:
    """Remove the tracer's assertions about dtypes, which autocast is about to change."""
    torch = require("torch", "compile with Inductor")
    check = torch.ops.aten._assert_tensor_metadata.default  # noqa: SLF001  # an operator's name
    for node in module.graph.find_nodes(op="call_function", target=check):
        module.graph.erase_node(node)
    module.recompile()


def _example(spec: TensorSpec, sizes: dict[str, int]) -> torch.Tensor:
    torch = require("torch", "compile with Inductor")
    # Zeros are valid indices, token ids and masks alike.
    return torch.zeros(spec.concrete(sizes), dtype=getattr(torch, spec.dtype))


def _range(
    program: torch.export.ExportedProgram, signature: Signature, symbol: str
) -> tuple[int, int]:
    """The range that the program was traced for, found at the axis that bears the symbol."""
    nodes = {node.name: node for node in program.graph.nodes}
    for spec, name in zip(signature.inputs, program.graph_signature.user_inputs, strict=True):
        for have, dim in zip(nodes[name].meta["val"].shape, spec.shape, strict=True):
            if dim == symbol and not isinstance(have, int):
                found = program.range_constraints.get(have.node.expr)
                if found is not None:
                    return max(1, int(found.lower)), min(_NO_LIMIT, _bounded(found.upper))
    return 1, _NO_LIMIT


def _bounded(upper: Any) -> int:
    # Not `is_finite`: torch's own integer infinity says that it is.
    return int(upper) if upper.is_Integer else _NO_LIMIT


def _size(
    program: torch.export.ExportedProgram, signature: Signature, symbol: str, number: int
) -> int:
    low, high = _range(program, signature, symbol)
    return min(max(low, _FIRST_SIZE + number), high)


def _dim(program: torch.export.ExportedProgram, signature: Signature, symbol: str) -> Any:
    torch = require("torch", "compile with Inductor")
    low, high = _range(program, signature, symbol)
    return torch.export.Dim(symbol, min=low, max=high)

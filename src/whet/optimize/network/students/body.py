"""What of a network another one can stand in for: its body, between what it makes of inputs and of scores.

Before its first layer a network may turn raw pictures into numbers (order of axes, scale, mean),
and behind its last one it may make probabilities, pool over a mask or normalise. None of that has
weights, all of it is exact and nearly free, so a student leaves it as it is and learns the rest: it
takes what the original's first layer takes, and gives what its last layer gives. So a student of a
classifier learns its scores even where it answers with probabilities (of which those near 0 and 1
teach little), and raw pictures reach it as they reach the original.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import fx, nn
from torch.fx.experimental.symbolic_shapes import int_oo
from torch.utils._pytree import tree_flatten

from whet.core.spec import Dim, Signature, TensorSpec
from whet.errors import RequirementError
from whet.optimize.network.structure.blocks import Block
from whet.optimize.network.structure.last import has_weights, last_value
from whet.optimize.network.structure.modules import free_name, made_from, over_parts, part_at
from whet.optimize.network.structure.segment import Span
from whet.optimize.network.students.zoo import Takes

__all__ = ["Body", "Text", "body_of", "exchanged", "rows_of"]

_ELSE = "Leave this pass out: narrower, low-rank and bridged networks take any that has layers."
_COLOURS = 4  # channels of a picture at most
_MASKS = ("int64", "int32", "bool", "float32")


@dataclass(frozen=True)
class Text:
    """What each input of a text encoder is.

    Attributes:
        roles: for each value taken ``"ids"``, ``"types"`` or ``"mask"``.
        words: token numbers that there are.
        kinds: type numbers that there are.
        longest: tokens of a text at most.
    """

    roles: tuple[str, ...]
    words: int
    kinds: int
    longest: int


@dataclass(frozen=True)
class Body:
    """The part of a network that has weights.

    Attributes:
        takes: what it is made for.
        inputs: what it takes, by the names that the values have in the network.
        given: shape of what it gives, without the batch axis.
        block: the same as one block.
        text: of texts, which input is what.
    """

    takes: Takes
    inputs: tuple[TensorSpec, ...]
    given: tuple[Dim, ...]
    block: Block
    text: Text | None = None


def body_of(module: fx.GraphModule, signature: Signature) -> Body:
    """The body of a network, as far as the zoo has anything for it.

    Args:
        module: from `whet.optimize.network.layers.with_layers`.
        signature: of it.

    Raises:
        RequirementError: it has several outputs, inputs or outputs of which no family knows, or
            takes a fixed number of rows.
    """
    if signature.batch_symbol is None:
        raise _refusal("the rows of a request are fixed in it")
    last = last_value(module, _refusal)
    given = _dims(last, _symbols(module, signature))
    if last.meta["val"].dtype is not torch.float32:
        raise _refusal(f"it gives {last.meta['val'].dtype}")
    tokens = [n for n in module.graph.find_nodes(op="placeholder") if rows_of(module, n)]
    if tokens:
        return _texts(module, signature, last, given)
    return _pictures(module, signature, last, given)


def exchanged(module: fx.GraphModule, body: Body, student: fx.GraphModule) -> fx.GraphModule:
    """The network with a student's layers in the place of its body's.

    What the body took and gave keeps its name.

    Args:
        module: the network, which stays as it is.
        body: of it.
        student: takes `Body.inputs` in order and gives one tensor; its layers are taken over, not
            copied.
    """
    graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    prefix = free_name("student", {name for name, _ in module.named_modules()})
    nodes = {node.name: node for node in module.graph.nodes}
    last = nodes[body.block.span.exit]
    taken = [nodes[spec.name] for spec in body.inputs]
    around = {*made_from(module.graph.output_node(), {last})}
    around.update(*(made_from(node, ()) for node in taken))
    for node in module.graph.nodes:
        if node is last:
            own = [copies[each] for each in taken]
            copies[last] = _inlined(graph, student.graph, own, prefix, last.name)
            copies[last].meta = dict(last.meta)
        elif node in around or node.op == "placeholder":
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.set_codegen(module.graph._codegen)  # noqa: SLF001 - how the inputs are given

    def part(path: str) -> object:
        own = path.removeprefix(f"{prefix}.")
        return part_at(module, path) if own == path else part_at(student, own)

    return over_parts(graph, part)


def _inlined(
    graph: fx.Graph, student: fx.Graph, taken: list[fx.Node], prefix: str, name: str
) -> fx.Node:
    """The student's nodes in another graph; the last one by the name that is wanted."""
    copies = dict(zip(student.find_nodes(op="placeholder"), taken, strict=True))
    (answer,) = (n for n in tree_flatten(student.output_node().args)[0] if isinstance(n, fx.Node))
    for node in student.nodes:
        if node.op in ("placeholder", "output"):
            continue
        held = node.op in ("call_module", "get_attr")
        copies[node] = graph.create_node(
            node.op,
            f"{prefix}.{node.target}" if held else node.target,
            fx.node.map_arg(node.args, copies.__getitem__),
            fx.node.map_arg(node.kwargs, copies.__getitem__),
            name=name if node is answer else f"{prefix}_{node.name}",
        )
        copies[node].meta = dict(node.meta)
    return copies[answer]


def _pictures(
    module: fx.GraphModule, signature: Signature, last: fx.Node, given: tuple[Dim, ...]
) -> Body:
    entries = list(_entries(module, last))
    if len(entries) != 1:
        raise _refusal(f"its layers take {len(entries)} values made from its inputs")
    (entry,) = entries
    shape = _dims(entry, _symbols(module, signature))
    fixed = all(isinstance(d, int) for d in shape[1:])
    if len(shape) != len("NCHW") or not fixed or not 0 < int(shape[1]) <= _COLOURS:
        raise _refusal(f"its first layer takes {_said(shape)}, no pictures of one size")
    # A classifier's scores, also where a convolution gives them.
    sizes = [d for d in given[1:] if isinstance(d, int)]
    if len(sizes) != len(given) - 1 or not sizes or any(d != 1 for d in sizes[1:]):
        raise _refusal(f"its last layer gives {_said(given)}, not one row of numbers a picture")
    spec = TensorSpec(entry.name, _dtype(entry), shape)
    return Body(Takes.PICTURES, (spec,), given[1:], _block((spec,), last, given))


def _texts(
    module: fx.GraphModule, signature: Signature, last: fx.Node, given: tuple[Dim, ...]
) -> Body:
    symbols = _symbols(module, signature)
    nodes = list(module.graph.find_nodes(op="placeholder"))
    shapes = [_dims(node, symbols) for node in nodes]
    if any(len(s) != len(("batch", "sequence")) or s != shapes[0] for s in shapes):
        raise _refusal("its inputs are no token numbers of one length with what goes with them")
    rows = [rows_of(module, node) for node in nodes]
    ids = rows.index(max(rows))
    others = [i for i in range(len(rows)) if i != ids]
    roles = ["ids" if i == ids else "types" if rows[i] else "mask" for i in range(len(rows))]
    masks = [nodes[i] for i in others if roles[i] == "mask"]
    if len({roles[i] for i in others}) != len(others) or any(
        _dtype(node) not in _MASKS for node in masks
    ):
        raise _refusal("its inputs are more than token numbers, their types and one mask")
    whole = given[1:]
    if not (len(whole) == 1 or (len(whole) == 2 and whole[0] == shapes[0][1])) or not isinstance(
        whole[-1], int
    ):
        raise _refusal(f"its last layer gives {_said(given)}")
    specs = tuple(
        TensorSpec(n.name, _dtype(n), shape) for n, shape in zip(nodes, shapes, strict=True)
    )
    text = Text(tuple(roles), rows[ids], sum(rows[i] for i in others), _longest(nodes[ids]))
    return Body(Takes.TEXTS, specs, whole, _block(specs, last, given), text)


def rows_of(module: fx.GraphModule, given: fx.Node) -> int:
    """Rows of the largest embedding that numbers given as an input choose from; 0 where none does."""
    found = [0]
    for node in module.graph.find_nodes(op="call_module"):
        layer = module.get_submodule(str(node.target))
        if isinstance(layer, nn.Embedding):
            came = made_from(node.args[0], ())
            # Masks tell positions in some encoders; numbers themselves come as they are.
            if given in came and len([n for n in came if n.op == "placeholder"]) == 1:
                found.append(layer.num_embeddings)
    return max(found)


def _longest(ids: fx.Node) -> int:
    size = ids.meta["val"].shape[1]
    if isinstance(size, int):
        return size
    upper = size.node.shape_env.bound_sympy(size.node.expr).upper
    if upper == int_oo or not upper.is_number:
        raise _refusal("how long its texts may be isn't known")
    return int(upper)


def _entries(module: fx.GraphModule, last: fx.Node) -> Iterator[fx.Node]:
    """Tensors that layers take and that are made from inputs alone."""
    layered = set[fx.Node]()
    inputs = set[fx.Node]()
    for node in module.graph.nodes:
        before = node.all_input_nodes
        if has_weights(module, node) or any(each in layered for each in before):
            layered.add(node)
        elif node.op == "placeholder" or any(each in inputs for each in before):
            inputs.add(node)
    inside = made_from(last, inputs)
    for node in module.graph.nodes:
        tensor = isinstance(node.meta.get("val"), torch.Tensor)
        if (
            node in inputs
            and tensor
            and any(each in layered and each in inside for each in node.users)
        ):
            yield node


def _symbols(module: fx.GraphModule, signature: Signature) -> dict[str, str]:
    """The names of free axes by those that the program has for them."""
    found: dict[str, str] = {}
    for node, spec in zip(module.graph.find_nodes(op="placeholder"), signature.inputs, strict=True):
        for have, want in zip(node.meta["val"].shape, spec.shape, strict=True):
            if not isinstance(have, int) and isinstance(want, str):
                found[str(have)] = want
    return found


def _dims(node: fx.Node, symbols: dict[str, str]) -> tuple[Dim, ...]:
    shape = node.meta["val"].shape
    return tuple(d if isinstance(d, int) else symbols.get(str(d), str(d)) for d in shape)


def _dtype(node: fx.Node) -> str:
    return str(node.meta["val"].dtype).removeprefix("torch.")


def _block(specs: tuple[TensorSpec, ...], last: fx.Node, given: tuple[Dim, ...]) -> Block:
    span = Span(None, (last.name,), forks=False)
    return Block("body", span, tuple(spec.name for spec in specs), None, given)


def _said(shape: tuple[Dim, ...]) -> str:
    return f"({', '.join(map(str, shape))})"


def _refusal(why: str) -> RequirementError:
    return RequirementError(f"No student of the zoo fits the network: {why}.", _ELSE)

"""What operators become that are given fewer tokens than they were written for.

- Numbers of tokens that are written into reshapes become the new ones.
- Of what is added to tokens or masks them, and is the same for all, so much is taken as is left.
- To a softmax over tokens the logarithms of their sizes are added (proportional attention; Bolya et
  al. 2023), so that a token that stands for three counts as three.
- In means over tokens each is weighed by its size.

All others do what they did; where that fails, the network can't be treated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx

from whet.errors import RequirementError
from whet.optimize.network.tokens.attention import ATTENTION, SOFTMAX
from whet.optimize.network.tokens.both import LEAVE, Both, Tokens
from whet.optimize.network.tokens.reshapes import sizes_for_fewer

__all__ = ["written_for_fewer"]

_aten = torch.ops.aten
_RESHAPES = (_aten.view.default, _aten.reshape.default, _aten._unsafe_view.default)  # noqa: SLF001 - an operator's own name
_FAILS = (RuntimeError, ValueError, IndexError, TypeError)


def written_for_fewer(both: Both, node: fx.Node) -> fx.Node:
    """The node as it is in the new network.

    Raises:
        RequirementError: it needs the number of tokens that there were, or where they stood.
    """
    if node.op == "placeholder":
        return both.new.given(node, both.was(node))
    tokens = both.of(node) if any(map(both.is_behind, node.all_input_nodes)) else None
    rule = _RULES.get(node.target) if tokens is not None else None
    found = rule(both, node) if rule is not None else None
    return _plain(both, node, tokens) if found is None else found


def _plain(both: Both, node: fx.Node, tokens: Tokens | None) -> fx.Node:
    """As it was; with other numbers written into it, and less of what is the same for all tokens."""
    args, kwargs = both.copied((node.args, node.kwargs))
    if tokens is None:
        return both.new.copy(node, args, kwargs)
    if node.target in _RESHAPES:
        args = (args[0], _sizes(both, node, tokens), *args[2:])
    try:
        return both.new.copy(node, args, kwargs)
    except _FAILS as error:
        less = {n: _less(both, n, tokens) for n in node.all_input_nodes if not both.is_behind(n)}
        copies = {**both.copies, **less}
        args, kwargs = fx.map_arg((node.args, node.kwargs), copies.__getitem__)
        try:
            return both.new.copy(node, args, kwargs)
        except _FAILS:
            reason = str(error).splitlines()[0]
            raise RequirementError(
                f"'{node.name}' doesn't run with fewer tokens: {reason}", LEAVE
            ) from error


def _sizes(both: Both, node: fx.Node, tokens: Tokens) -> list[Any]:
    """The sizes of a reshape, where numbers of tokens are written into it."""
    value, *_ = node.args
    new = sizes_for_fewer(
        both.was(value).shape,
        both.now(value).shape,
        both.was(node).shape,
        tokens.count + tokens.gone,
        tokens.count,
    )
    if new is None:
        raise RequirementError(f"'{node.name}' lays tokens out in another form.", LEAVE)
    found = list(both.copied(node.args[1]))
    for axis, size in new.items():
        if isinstance(found[axis], fx.Node):  # made from the number of rows and that of tokens
            found[axis] = -1
        elif found[axis] != -1:
            found[axis] = size
    return found


def _less(both: Both, aside: fx.Node, tokens: Tokens) -> fx.Node:
    """Of what goes beside tokens as much as there are of them now, if it is the same for all."""
    value, new = both.was(aside), both.copies[aside]
    for axis, size in enumerate(value.shape if isinstance(value, torch.Tensor) else ()):
        if size == tokens.count + tokens.gone:
            if not _same_for_all(both, aside, axis):
                raise RequirementError(
                    f"'{aside.name}' says something else of each token, by where it stands.", LEAVE
                )
            new = both.new.call(_aten.slice.Tensor, new, axis, 0, tokens.count)
    return new


def _same_for_all(both: Both, aside: fx.Node, axis: int) -> bool:
    """Whether a value is the same along an axis, whatever the inputs are."""
    value = both.was(aside)
    return both.is_fixed(aside) and bool((value == value.narrow(axis, 0, 1)).all())


def _attention(both: Both, node: fx.Node) -> fx.Node | None:
    """Sizes take the place of the mask, which is refused where it masks anything."""
    names = [a.name for a in node.target._schema.arguments]  # noqa: SLF001 - no other way
    given = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
    key, mask = given["key"], given.get("attn_mask")
    axis = both.was(key).dim() - 2
    if key not in both.tokens or axis not in both.axes(key):
        return None
    if mask is not None and not _masks_nothing(both, mask):
        raise RequirementError(
            f"'{node.name}' masks some tokens, or treats them by where they stand.", LEAVE
        )
    weighed = both.new.call(_aten.log.default, both.sizes_along(key, axis))
    turned = both.new.call(_aten.transpose.int, weighed, -1, -2)
    given = {name: both.copied(value) for name, value in given.items()}
    query, key, value = (given.pop(name) for name in names[:3])
    return both.new.copy(node, (query, key, value), {**given, "attn_mask": turned})


def _masks_nothing(both: Both, mask: fx.Node) -> bool:
    """Whether a mask lets all be seen, or adds the same to all scores of a query."""
    value = both.was(mask)
    if value.dtype is torch.bool:
        return both.is_fixed(mask) and bool(value.all())
    return _same_for_all(both, mask, value.dim() - 1)


def _softmax(both: Both, node: fx.Node) -> fx.Node | None:
    scores, axis, *rest = node.args
    axis %= both.was(scores).dim()
    if axis not in both.axes(scores):
        return None
    weighed = both.new.call(_aten.log.default, both.sizes_along(scores, axis))
    weighed = both.new.call(_aten.add.Tensor, both.copies[scores], weighed)
    return both.new.copy(node, (weighed, axis, *rest), dict(node.kwargs))


def _mean(both: Both, node: fx.Node) -> fx.Node | None:
    value, *rest = node.args
    if node.target is _aten.adaptive_avg_pool1d.default:
        dims, keep = [-1] if list(rest[0]) == [1] else [], True
    else:
        dims, keep = list(rest[0] or range(both.was(value).dim())), bool(rest[1:] and rest[1])
    axes = [axis % both.was(value).dim() for axis in dims]
    if not set(axes) & {*both.axes(value)}:
        return None
    if len(axes) > 1 or node.kwargs:
        raise RequirementError(f"'{node.name}' is a mean over more than tokens.", LEAVE)
    sizes, sums = both.sizes_along(value, axes[0]), _aten.sum.dim_IntList
    weighed = both.new.call(_aten.mul.Tensor, both.copies[value], sizes)
    parts = (both.new.call(sums, each, axes, keep) for each in (weighed, sizes))
    return both.new.instead(node, _aten.div.Tensor, *parts)


def _slice(both: Both, node: fx.Node) -> fx.Node | None:
    """Sizes go with the tokens that are picked."""
    value, axis, *picked = (*node.args, 0)[: max(2, len(node.args))]
    new = _plain(both, node, both.tokens.get(value))
    tokens = both.tokens.get(value)
    if tokens is None or axis % both.was(value).dim() not in both.axes(value):
        return new
    sizes = both.new.call(_aten.slice.Tensor, tokens.sizes, 1, *both.copied(picked))
    count = both.new.values[sizes].shape[1]
    gone = both.was(node).shape[axis] - both.new.values[new].shape[axis]
    if gone:
        both.tokens[node] = Tokens(sizes, count, gone)
    return new


_RULES: Mapping[object, Callable[[Both, fx.Node], fx.Node | None]] = {
    ATTENTION: _attention,
    _aten.slice.Tensor: _slice,
    _aten.mean.dim: _mean,
    _aten.adaptive_avg_pool1d.default: _mean,
    **dict.fromkeys(SOFTMAX, _softmax),
}

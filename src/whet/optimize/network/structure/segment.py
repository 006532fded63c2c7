"""Where a network can be cut: from what flows to where to blocks with one way in and one way out; pure.

Theory of operation. Of a graph without cycles, between a source and a sink, the nodes that every
path passes are the gates: there a single value is all that is handed on. They are found by counting
paths: a node is passed by all of them where the paths that lead to it, times those that lead on
from it, are as many as there are in all. Between two neighbouring gates lies either nothing, then
the second is a plain step, or a *region*, whose branches fork at the first and join at the second:
a residual block, an attention, a squeeze-and-excite.

Plain steps make *stacks*: one layer with what follows it. A region is a block by itself, with what
follows it. What follows ends where the next layer begins, or where the shape changes (a pooling),
so that a block whose answer has the shape of what it takes can be left out; where it is most of a large
network (two towers; skip connections that lie one in the other, as in a U-Net) it is cut inside its
branches, and the join stays between the blocks. Several answers are cut behind their last common
gate, each for itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Cut", "Flow", "Span", "segment"]

_MOST = 0.5  # share of the layers from which a region is looked into
_LARGE = 8  # layers from which on it is


@dataclass(frozen=True)
class Flow:
    """What a network's values are made from.

    Attributes:
        before: the values that each is made from, by name, in an order in which each comes after
            these.
        answers: values that the network gives.
        layers: values that a layer with weights makes.
        turns: others whose shape is not that of what they are made from.
        single: values that can be handed on; others, such as the parts of a split, can't.
    """

    before: Mapping[str, tuple[str, ...]]
    answers: frozenset[str]
    layers: frozenset[str]
    turns: frozenset[str]
    single: frozenset[str]


@dataclass(frozen=True)
class Span:
    """One block: values made from one value, of which one is used elsewhere.

    Attributes:
        entry: the value that it is made from; ``None`` where it is made from the network's inputs.
        members: what it makes, in order; the last one is used elsewhere.
        forks: whether it has branches.
    """

    entry: str | None
    members: tuple[str, ...]
    forks: bool

    @property
    def exit(self) -> str:
        """The value that is used elsewhere."""
        return self.members[-1]


@dataclass(frozen=True)
class Cut:
    """A network in blocks; each of its values is in one of these parts.

    Attributes:
        spans: the blocks, in an order in which each comes after what it is made from.
        between: values that belong to no block: joins of branches that were cut inside.
        uncut: parts that no single value leads out of.
    """

    spans: tuple[Span, ...]
    between: tuple[str, ...]
    uncut: tuple[tuple[str, ...], ...]


_Names = tuple[str, ...]
_Piece = Span | str | _Names


def segment(flow: Flow) -> Cut:
    """Cut a network into blocks."""
    pieces = tuple(_along(_Net(flow), tuple(flow.before), None))
    return Cut(
        spans=tuple(p for p in pieces if isinstance(p, Span)),
        between=tuple(p for p in pieces if isinstance(p, str)),
        uncut=tuple(p for p in pieces if isinstance(p, tuple)),
    )


class _Net:
    """A flow with what is asked of it often."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.after: dict[str, list[str]] = {name: [] for name in flow.before}
        for name, before in flow.before.items():
            for each in before:
                self.after[each].append(name)

    def layers(self, names: Sequence[str]) -> int:
        return sum(name in self.flow.layers for name in names)

    def goes_on(self, span: Span, name: str) -> bool:
        """Whether a plain step belongs to the block before it."""
        if name in self.flow.layers:
            return not span.forks and not self.layers(span.members)
        return name not in self.flow.turns

    def is_large(self, names: Sequence[str]) -> bool:
        """Whether a region is to be cut inside."""
        own = self.layers(names)
        return own > _LARGE and own > _MOST * len(self.flow.layers)


def _along(net: _Net, names: _Names, entry: str | None) -> Iterator[_Piece]:
    """The pieces of a part that nothing but ``entry`` and the network's inputs lead into."""
    last, open_ = entry, None
    for members, gate in _parts(net, names):
        plain = len(members) == 1 and gate is not None
        if open_ is not None and plain and net.goes_on(open_, members[-1]):
            open_ = Span(open_.entry, (*open_.members, *members), open_.forks)
        else:
            if open_ is not None:
                yield open_
            open_ = None
            if gate is None:
                yield from _apart(net, members, last, alone=len(members) == len(names))
            elif not plain and net.is_large(members):
                yield from _apart(net, members[:-1], last, alone=False)
                yield gate
            else:
                open_ = Span(last, members, forks=not plain)
        last = gate
    if open_ is not None:
        yield open_


def _apart(net: _Net, names: _Names, entry: str | None, *, alone: bool) -> Iterator[_Piece]:
    """The pieces of branches, each for itself.

    Args:
        net: the whole.
        names: of all branches.
        entry: what leads into them.
        alone: they were looked at together, and have no gate.
    """
    branches = _branches(net, names)
    if alone and len(branches) == 1:
        yield names
        return
    for branch in branches:
        yield from _along(net, branch, entry)


def _parts(net: _Net, names: _Names) -> Iterator[tuple[_Names, str | None]]:
    """What ends at each gate, with the gate as its last; at last what has none."""
    gates, part = _gates(net, names), list[str]()
    for name in names:
        part.append(name)
        if name in gates:
            yield tuple(part), name
            part = []
    if part:
        yield tuple(part), None


def _gates(net: _Net, names: _Names) -> frozenset[str]:
    """The single values of a part that all its paths pass."""
    inside, before, after = set(names), net.flow.before, net.after

    def ends(name: str) -> bool:
        used = after[name]
        return name in net.flow.answers or not used or any(each not in inside for each in used)

    # A path begins at what is made from something outside or from nothing.
    to, on = dict[str, int](), dict[str, int]()
    for name in names:
        own = [each for each in before[name] if each in inside]
        begins = not own or len(own) < len(before[name])
        to[name] = begins + sum(to[each] for each in own)
    for name in reversed(names):
        on[name] = ends(name) + sum(on[each] for each in after[name] if each in inside)
    total = sum(to[name] for name in names if ends(name))
    return frozenset(n for n in names if n in net.flow.single and to[n] * on[n] == total)


def _branches(net: _Net, names: _Names) -> list[_Names]:
    """The sets of values that nothing connects, each in order; the first to begin comes first."""
    of: dict[str, int] = {}
    inside = set(names)
    for start in names:
        waiting = [] if start in of else [start]
        while waiting:
            name = waiting.pop()
            if name not in of:
                of[name] = len(of) if name is start else of[start]
                near = (*net.flow.before[name], *net.after[name])
                waiting += [each for each in near if each in inside]
    return [
        tuple(n for n in names if of[n] == which) for which in dict.fromkeys(of[n] for n in names)
    ]

from __future__ import annotations

import torch
from surgery_nets import encoder_net, pictures, residual_net, texts

from whet.optimize.network.structure.blocks import extracted
from whet.optimize.network.structure.walk import Walk


def test_a_walk_ends_with_what_the_network_gives() -> None:
    for net, batches in ((residual_net(), pictures()), (encoder_net(), texts())):
        walk = Walk(net.original, batches)
        for block in net.cut.blocks:
            walk.at(block.span.exit)
        for batch, found in zip(batches, walk.answers(), strict=True):
            torch.testing.assert_close(found[0], net.original(*batch))


def test_only_what_is_needed_ahead_is_held() -> None:
    net = residual_net()
    walk = Walk(net.original, pictures(1))
    block = next(b for b in net.cut.blocks if b.name == "one")
    walk.at(block.span.entry)
    assert [node.name for node in walk._held[0]] == [block.span.entry]
    inner = next(m for m in block.span.members if m != block.span.exit)
    walk.at(inner)
    assert {node.name for node in walk._held[0]} == {block.span.entry, inner}


def test_a_fork_goes_another_way_and_leaves_the_walk_alone() -> None:
    net, batches = residual_net(), pictures(2)
    block = next(b for b in net.cut.blocks if b.name == "two")
    walk = Walk(net.original, batches)
    taken = walk.at(block.span.entry)
    fork = walk.fork()
    fork.put(block.span.exit, taken)  # as if the block weren't there
    with torch.no_grad():
        rest = [net.original.get_submodule("head")(t.mean((2, 3))) for t in taken]
    for found, wanted in zip(fork.answers(), rest, strict=True):
        torch.testing.assert_close(found[0], wanted)
    for batch, found in zip(batches, walk.answers(), strict=True):
        torch.testing.assert_close(found[0], net.original(*batch))


def test_what_a_block_makes_of_what_it_takes_is_what_the_network_makes() -> None:
    net, batches = encoder_net(), texts(2)
    walk = Walk(net.original, batches)
    for block in net.cut.blocks:
        part = extracted(net.original, block)
        inputs = zip(*[walk.at(name) for name in block.inputs], strict=True)
        made = [part(*each) for each in inputs]
        for found, wanted in zip(made, walk.fork().at(block.span.exit), strict=True):
            torch.testing.assert_close(found, wanted)

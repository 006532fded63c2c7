from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
import pytest
import torch
from surgery_nets import context, encoder_net, pictures, residual_net, texts

from whet.core.recipe import Step
from whet.errors import RequirementError
from whet.optimize.network.menus.choices import choices_of
from whet.optimize.network.menus.menu import REQUEST, Choice, Choices, MenuPlan
from whet.optimize.network.structure.blocks import extracted
from whet.optimize.network.structure.net import Net, batches_of
from whet.optimize.network.structure.walk import Walk

PLAN = MenuPlan(
    stay=(0.75, 0.5), low_rank=(0.6,), separable=(2,), tile=4, classes=True, rows=1, judged=16
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Net, Choices]:
    net = residual_net()
    folder = tmp_path_factory.mktemp("menus")
    return net, choices_of(net, context(net, pictures(6, 16), folder), PLAN)


def test_each_block_has_its_menu(made: tuple[Net, Choices]) -> None:
    _, choices = made
    found = [(menu[0].block, [c.steps for c in menu]) for menu in choices.menus]

    def low(**ranks: int) -> tuple[Step, ...]:
        return (Step("factor", {"ranks": {n.replace("_", "."): r for n, r in ranks.items()}}),)

    def each(name: str) -> tuple[Step, ...]:
        return (Step("separate", {"layers": {name: 2}}),)

    def forms(b: str) -> list[tuple[Step, ...]]:
        narrow = [(Step("narrow", {"units": {f"{b}.a": n, f"{b}.b": n}}),) for n in (12, 8)]
        ranks = low(**{f"{b}_a": 4, f"{b}_b": 8, f"{b}_c": 4})
        return [(), *narrow, ranks, each(f"{b}.b"), (Step("drop", {"blocks": [b]}),)]

    assert found == [
        ("stem", [(), low(stem=4), each("stem")]),
        ("one", forms("one")),
        ("two", forms("two")),
        ("head", [(), low(head=2)]),
    ]
    assert choices.entries == (-1, 0, 1, 2)


def test_the_less_is_left_the_more_is_damaged_and_the_smaller_it_is(
    made: tuple[Net, Choices],
) -> None:
    for menu in made[1].menus[1:3]:
        whole, wide, narrow, low, each, bridge = menu
        assert min(low.damage, each.damage) > 0
        assert whole.size_bytes > each.size_bytes
        assert whole.size_bytes > low.size_bytes > bridge.size_bytes
        assert whole.damage == 0.0
        assert 0 < wide.damage < narrow.damage
        assert whole.size_bytes > wide.size_bytes > narrow.size_bytes > bridge.size_bytes


def test_blocks_that_do_the_same_work_share_a_graph(made: tuple[Net, Choices]) -> None:
    one, two = made[1].menus[1:3]
    assert [c.graph.path for c in one] == [c.graph.path for c in two]
    assert len({c.graph.path for c in one}) == len(one)


def test_a_blocks_graph_answers_its_request_as_the_block_does(made: tuple[Net, Choices]) -> None:
    net, choices = made
    whole = choices.menus[1][0]
    request = dict(np.load(Path(whole.graph.path).with_name(REQUEST)))
    session = onnxruntime.InferenceSession(whole.graph.path)
    (found,) = session.run(None, request)
    block = net.block("one")
    with torch.no_grad():
        (asked,) = batches_of(context(net, pictures(6, 16)), net.signature, size=1, most=1)
        (taken,) = Walk(net.original, [asked]).at(block.span.entry or "")
        wanted = extracted(net.original, block)(taken)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)


def test_combinations_say_whether_damages_add_up(made: tuple[Net, Choices]) -> None:
    combined = made[1].combined
    assert len(combined) >= 8
    changed = [c for c in combined if c.alone > 0]
    assert changed
    assert all(c.together > 0 for c in changed)
    assert all(c.together == 0 for c in combined if c.alone == 0)


def units(choice: Choice) -> list[int]:
    found = (step.options["units"] for step in choice.steps if step.name == "narrow")
    return [n for each in found for n in each.values()]


def test_a_text_encoder_has_heads_and_feed_forward_widths(tmp_path: Path) -> None:
    net = encoder_net()
    plan = MenuPlan(
        stay=(0.5,), low_rank=(), separable=(1,), tile=8, classes=False, rows=2, judged=8
    )
    choices = choices_of(net, context(net, texts(), tmp_path), plan)
    menus = {menu[0].block: menu for menu in choices.menus}
    attention = menus["bert.encoder.layer.0.attention"]
    assert [units(c) for c in attention] == [[], [1], []]
    assert [units(c) for c in menus["bert.encoder.layer.0"]] == [[], [16], []]
    assert Path(attention[1].graph.path).is_file()


def test_nothing_to_choose_is_said(tmp_path: Path) -> None:
    net = residual_net()
    cut = replace(net.cut, blocks=(net.block("stem"), net.block("head")))
    plan = msgspec.structs.replace(PLAN, low_rank=(), separable=())
    with pytest.raises(RequirementError, match="anything to choose"):
        choices_of(replace(net, cut=cut), context(net, pictures(), tmp_path), plan)

"""Choices for several blocks at once, against networks put together by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import torch
from surgery_nets import context, pictures, residual_net

from whet.errors import RequirementError
from whet.optimize.network.menus import choices as making
from whet.optimize.network.menus.choices import choices_of
from whet.optimize.network.menus.menu import Choices, MenuPlan
from whet.optimize.network.menus.together import Together, answered
from whet.optimize.network.structure.blocks import extracted, replaced
from whet.optimize.network.structure.modules import copied
from whet.optimize.network.structure.net import Net

PLAN = MenuPlan(
    stay=(0.75, 0.5), low_rank=(0.6,), separable=(2,), tile=4, classes=True, rows=1, judged=16
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Net, Choices, Path]:
    folder = tmp_path_factory.mktemp("menus")
    net = residual_net()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "add_up", lambda _: False)
        return net, choices_of(net, context(net, pictures(6, 16), folder), PLAN), folder


def together(made: tuple[Net, Choices, Path]) -> Together:
    _, choices, folder = made
    net = residual_net()  # another process would open it anew
    return Together(net, context(net, pictures(6, 16), folder), PLAN, choices.menus)


def test_each_choice_alone_does_the_damage_that_its_menu_says(
    made: tuple[Net, Choices, Path],
) -> None:
    damage, menus = together(made), made[1].menus
    for place, menu in enumerate(menus):
        for entry, choice in enumerate(menu):
            picks = tuple(entry if i == place else 0 for i in range(len(menus)))
            assert damage(picks) == pytest.approx(choice.damage, rel=1e-3, abs=1e-7), choice.steps


def test_several_choices_are_run_together(made: tuple[Net, Choices, Path]) -> None:
    damage, menus = together(made), made[1].menus
    alone = {(0, 5, 0, 0): menus[1][5].damage, (0, 0, 5, 0): menus[2][5].damage}
    both = damage((0, 5, 5, 0))
    assert both > max(alone.values()), "two blocks that are bridged do more than one"
    assert both == damage((0, 5, 5, 0)), "and the same when asked again"
    assert damage((0, 0, 0, 0)) == 0, "which left the original as it was"


def test_other_blocks_answer_as_in_a_network_that_is_made_of_them() -> None:
    net, judging = residual_net(), pictures(2)
    parts = {name: copied(extracted(net.original, net.block(name))) for name in ("one", "two")}
    module = net.original
    for name, part in parts.items():
        with torch.no_grad():
            for weight in part.parameters():
                weight.mul_(0.7)
        module = replaced(module, net.block(name), part)
    for found, batch in zip(answered(net, judging, parts), judging, strict=True):
        with torch.no_grad():
            wanted = module(*batch)
            torch.testing.assert_close(found[0], wanted)
            assert (wanted - net.original(*batch)).abs().max() > 1e-3


def test_blocks_are_kept_only_where_damages_do_not_add_up(tmp_path: Path) -> None:
    net = residual_net()
    ctx = context(net, pictures(6, 16), tmp_path)
    whole = choices_of(net, ctx, msgspec.structs.replace(PLAN, stay=(), low_rank=(), separable=()))
    assert not (tmp_path / "parts").exists()
    damage = Together(net, ctx, PLAN, whole.menus)
    with pytest.raises(RequirementError, match="'one' could become wasn't kept"):
        damage((0, 1, 0, 0))


def test_forms_that_menus_have_not_are_refused(made: tuple[Net, Choices, Path]) -> None:
    net, choices, folder = made
    plan = msgspec.structs.replace(PLAN, stay=(0.9,))
    damage = Together(replace(net), context(net, pictures(6, 16), folder), plan, choices.menus)
    with pytest.raises(RequirementError, match="wasn't kept"):
        damage((0, 2, 0, 0))

"""Every member of the zoo stands in for a network of its kind, from raw inputs to scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from surgery_nets import context, encoder_net, pictures, residual_net, texts
from test_body import embedder, raw
from torch import nn

from whet.core.passes import run
from whet.core.spec import TensorSpec
from whet.errors import RequirementError
from whet.optimize.network.menus import untaught
from whet.optimize.network.structure.net import Net
from whet.optimize.network.students.architectures import made
from whet.optimize.network.students.body import Body, body_of
from whet.optimize.network.students.zoo import FAMILIES, Student, Takes, students_of
from whet.optimize.network.substitute import Substitute

PICTURES = [name for name, family in FAMILIES.items() if family.takes is Takes.PICTURES]


def smallest(family: str) -> Student:
    own = FAMILIES[family]
    return Student(family, min(own.widths), min(own.depths), min(own.resolutions))


def picture_body(side: int, channels: int = 3) -> Body:
    net = residual_net()
    body = body_of(net.original, net.signature)
    spec = TensorSpec("x", "float32", ("batch", channels, side, side))
    return Body(body.takes, (spec,), (4,), body.block)


def strides(module: nn.Module) -> int:
    """How many times as small the last map is as what comes in, by what hooks see."""
    sides: list[int] = []
    hooks = [
        m.register_forward_hook(lambda _m, _g, out: sides.append(out.shape[-1]))
        for m in module.modules()
        if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)
    ]
    with torch.no_grad():
        module(torch.zeros(1, 3, 64, 64))
    for hook in hooks:
        hook.remove()
    return 64 // sides[-1]


@pytest.mark.parametrize("family", PICTURES)
@pytest.mark.parametrize(("side", "channels"), [(8, 1), (32, 3), (65, 3)])
def test_pictures_of_any_side_become_scores(family: str, side: int, channels: int) -> None:
    student = made(smallest(family), picture_body(side, channels), seed=0)
    with torch.no_grad():
        scores = student(torch.randn(2, channels, side, side))
    assert scores.shape == (2, 4)
    assert bool(scores.isfinite().all())


@pytest.mark.parametrize("family", PICTURES)
def test_small_pictures_are_halved_less(family: str) -> None:
    """Of a side of 64 there are to be 7 or more left: three halvings, in every family."""
    whole = Student(family, min(FAMILIES[family].widths))
    assert strides(made(whole, picture_body(64), seed=0)) == 8


@pytest.mark.parametrize("family", FAMILIES)
def test_one_seed_draws_one_network(family: str) -> None:
    net = encoder_net()
    body = (
        body_of(net.original, net.signature)
        if FAMILIES[family].takes is Takes.TEXTS
        else picture_body(16)
    )
    before = torch.random.get_rng_state()
    one, two, other = (made(smallest(family), body, seed).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert any(not torch.equal(value, other[name]) for name, value in one.items())
    assert torch.equal(before, torch.random.get_rng_state()), "nobody else's chance is touched"


@pytest.mark.parametrize("family", PICTURES)
def test_it_takes_and_gives_what_the_original_does(family: str, tmp_path: Path) -> None:
    module, signature = raw()
    net = Net(module, module, residual_net().cut, signature)
    batches = tuple((torch.randint(0, 256, (8, 16, 16, 3), dtype=torch.uint8),) for _ in range(4))
    found = run(
        Substitute(family, *_sizes(smallest(family))), net, context(net, batches, tmp_path)
    ).model
    for rows in (1, 5):
        answer = found.module(batches[0][0][:rows])
        assert answer.shape == (rows, 5)
        assert torch.allclose(answer.sum(1), torch.ones(rows)), "probabilities, as the original"


def _sizes(student: Student) -> tuple[float, float, float]:
    return student.width, student.depth, student.resolution


@pytest.mark.parametrize("texts_of", [embedder, None], ids=["vector", "tokens"])
def test_texts_of_any_length(texts_of: Callable[..., object] | None, tmp_path: Path) -> None:
    net = encoder_net()
    batches = texts()
    if texts_of is not None:
        module, signature = embedder()
        net = Net(module, module, net.cut, signature)
        batches = tuple((mask, torch.zeros_like(ids), ids) for ids, mask in batches)
    found = run(Substitute("bert", 0.17, 0.17), net, context(net, batches, tmp_path)).model
    for rows, length in ((1, 3), (4, 9)):
        given = tuple(each[:rows, :length] for each in batches[0])
        answer, wanted = found.module(*given), net.original(*given)
        assert answer.shape == wanted.shape
    if texts_of is not None:
        assert torch.allclose(answer.norm(dim=1), torch.ones(rows))


def test_what_is_masked_is_not_seen(tmp_path: Path) -> None:
    net = encoder_net()
    found = run(Substitute("bert", 0.17, 0.17), net, context(net, texts(), tmp_path)).model
    ids = torch.tensor([[3, 4, 5, 6]])
    longer, mask = torch.tensor([[3, 4, 5, 6, 9, 9]]), torch.tensor([[1, 1, 1, 1, 0, 0]])
    short = found.module(ids, torch.ones_like(ids))
    assert torch.allclose(found.module(longer, mask)[:, :4], short, atol=1e-5)


def test_a_family_for_something_else_is_refused() -> None:
    with pytest.raises(RequirementError, match="takes texts, the network pictures"):
        made(Student("bert"), picture_body(32), seed=0)


def test_all_sizes_that_fit_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    family = "resnet-bottleneck"
    few = {name: FAMILIES[name] for name in (family, "bert")}
    monkeypatch.setattr(untaught, "FAMILIES", few)
    net = residual_net()
    sized, notes = untaught.fitting(net, context(net, pictures(), tmp_path))
    assert notes == ()
    assert [each.student for each in sized] == list(students_of(family)), "none for texts"
    by_student = {each.student: each for each in sized}
    half, whole = by_student[Student(family, 0.5)], by_student[Student(family)]
    assert math.isclose(whole.macs, 4 * half.macs, rel_tol=0.1), "both channels of each layer"
    assert whole.parameters > 3 * half.parameters

"""A network that ends early: what is left of it, what its head answers, and how that is fitted."""

from __future__ import annotations

import functools
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from surgery_nets import Rows, context, encoder_net, pictures, residual_net, under_surgery
from test_blocks import layered, words
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "fixtures"))

from stripes import stripes, train

import whet
from whet.core.passes import Pass, run
from whet.core.spec import Arrays, Signature, TensorSpec
from whet.errors import OptionError, RequirementError
from whet.optimize.network.drop import DropBlocks
from whet.optimize.network.exit_after import ExitAfter
from whet.optimize.network.exits.ending import points_of
from whet.optimize.network.exits.fit import Seen, fitted, ridge
from whet.optimize.network.exits.pool import Head, Pool, Way, pooled, pools_for
from whet.optimize.network.structure.net import Net


class Deep(nn.Module):
    """Three residual blocks, of which the first layer sees enough for the easy half."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 12, 3, padding=1)
        self.parts = nn.ModuleList(
            nn.Sequential(nn.Conv2d(12, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 12, 1))
            for _ in range(3)
        )
        self.head = nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.stem(x))
        for part in self.parts:
            y = torch.relu(y + part(y))
        return self.head(y.mean((2, 3)))


class Reader(nn.Module):
    """Texts told apart by one of their words, wherever it stands; filling is a word as well."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.one, self.two = nn.Embedding(50, 16), nn.Linear(16, 16), nn.Linear(16, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = self.two(torch.relu(self.one(self.words(ids))))
        keep = mask.unsqueeze(-1).to(hidden.dtype)
        return self.head((hidden * keep).sum(1) / keep.sum(1)).softmax(1)


@functools.cache  # that passes leave what they are given, their contract says
def deep() -> Net:
    torch.manual_seed(0)
    network = Deep()
    train(network, *stripes(np.random.default_rng(0), 200))
    signature = Signature(
        (TensorSpec("x", "float32", ("batch", 1, 12, 12)),),
        (TensorSpec("scores", "float32", ("batch", 4)),),
    )
    return under_surgery(layered(network, torch.randn(2, 1, 12, 12)), signature)


def reader() -> Net:
    torch.manual_seed(0)
    batch, length = torch.export.Dim("batch", min=1), torch.export.Dim("length", min=2, max=64)
    module = layered(Reader(), *words(3, 9), names=({0: batch, 1: length},) * 2)
    specs = tuple(TensorSpec(n, "int64", ("batch", "sequence")) for n in ("ids", "mask"))
    return under_surgery(module, Signature(specs, (TensorSpec("p", "float32", ("batch", 3)),)))


def samples(count: int, seed: int) -> tuple[torch.Tensor, np.ndarray]:
    images, labels = stripes(np.random.default_rng(seed), count)
    return torch.from_numpy(images), labels


def drawn(n: int, p: int, classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    rows = torch.randn(n, p, generator=random) * torch.logspace(-2, 3, p) + 5
    return rows, torch.randn(n, classes, generator=random) + 3


@given(st.integers(2, 40), st.integers(1, 12), st.integers(2, 6), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_the_closed_form_is_that_of_least_squares(n: int, p: int, classes: int, seed: int) -> None:
    rows, scores = drawn(n, p, classes, seed)
    pull = 0.1
    weight, bias = (each.numpy() for each in ridge(rows, scores, pull))
    x, y = rows.double().numpy(), scores.double().numpy()
    z = (x - x.mean(0)) / x.std(0)
    # Ridge regression is least squares with a row for each weight that says that it is nothing.
    above = np.concatenate([z, math.sqrt(pull * n) * np.eye(p)])
    below = np.concatenate([y - y.mean(0), np.zeros((p, classes))])
    wanted = np.linalg.lstsq(above, below, rcond=None)[0]
    np.testing.assert_allclose(x @ weight.T + bias, z @ wanted + y.mean(0), atol=1e-7)


def test_what_is_linear_is_found_again_and_a_number_that_says_nothing_does_no_harm() -> None:
    rows, _ = drawn(300, 6, 4, 0)
    rows[:, 2] = 7.0
    truth = torch.randn(4, 6, generator=torch.Generator().manual_seed(1)) / rows.std(0).clamp_min(1)
    scores = 4 * functional.linear(rows, truth)
    noise = torch.randn(300, 5, generator=torch.Generator().manual_seed(2))
    found = fitted(Seen({Pool(Way.FIRST): noise, Pool(Way.ROW): rows}, scores))
    assert found.pool == Pool(Way.ROW)
    assert found.agrees > 0.95
    assert found.held == 60
    off = (found.layer(rows) - scores).detach()
    assert float(off.square().mean() / scores.square().mean()) < 0.02


def test_with_few_samples_the_closed_form_stands_and_with_many_the_cross_entropy_is_followed() -> (
    None
):
    rows, _ = drawn(4000, 8, 3, 0)
    z = (rows - rows.mean(0)) / rows.std(0)
    # Not linear, so that the best of squared distances isn't the best of likelihoods.
    scores = 6 * torch.stack([z[:, 0], z[:, 1] ** 2, z[:, 2] * z[:, 3]], 1)
    many = fitted(Seen({Pool(Way.ROW): rows}, scores))
    assert not many.closed
    few = fitted(Seen({Pool(Way.ROW): rows[:12]}, scores[:12]))
    assert few.held == 3
    assert bool(torch.isfinite(few.layer(rows[:12])).all())


def test_one_sample_is_enough_to_be_fitted_to() -> None:
    rows, scores = drawn(1, 5, 3, 0)
    found = fitted(Seen({Pool(Way.ROW): rows}, scores))
    torch.testing.assert_close(found.layer(rows), scores)


def test_a_head_behind_an_early_block_answers_well_above_chance_without_labels() -> None:
    net = deep()
    learnt, _ = samples(300, 1)
    ctx = context(net, ((learnt,),))
    unseen, labels = samples(400, 2)
    right = {}
    for block in ("stem", "parts.0", "parts.1"):
        result = run(ExitAfter(block), net, ctx)
        (note,) = result.notes
        assert note.where == f"exit-after {block}"
        right[block] = float((result.model.module(unseen).argmax(1).numpy() == labels).mean())
    own = float((net.original(unseen).argmax(1).numpy() == labels).mean())
    assert own > 0.9
    assert right["stem"] > 0.6, right
    assert right["parts.1"] > 0.8, right


def test_it_answers_by_the_blocks_value_alone_and_nothing_behind_it_is_left() -> None:
    net = deep()
    ctx = context(net, ((samples(200, 1)[0],),))
    found = run(ExitAfter("parts.0"), net, ctx).model
    kept = {n for n, _ in found.module.named_parameters() if not n.startswith("exit_head")}
    assert kept == {
        f"{n}.{w}" for n in ("stem", "parts.0.0", "parts.0.2") for w in ("weight", "bias")
    }
    fresh = samples(5, 3)[0]
    live = Deep().eval()
    live.load_state_dict(net.original.state_dict())
    with torch.no_grad():
        y = torch.relu(live.stem(fresh))
        y = torch.relu(y + live.parts[0](y))
        head = found.module.get_submodule("exit_head")
        assert isinstance(head, Head)
        wanted = functional.linear(pooled(y, head.pool), head.layer.weight, head.layer.bias)
    torch.testing.assert_close(found.module(fresh), wanted)


def test_labels_are_learnt_where_they_are_asked_for() -> None:
    net = deep()
    images, labels = samples(400, 1)
    turned = (labels + 1) % 4  # what is right is never what the original says
    ctx = replace(context(net, ((images,),)), labels=turned)
    plain, told = (run(ExitAfter("parts.1", labels=n), net, ctx).model for n in ("", "scores"))
    unseen, own = samples(300, 2)
    likely = [m.module(unseen).softmax(1)[range(300), (own + 1) % 4].mean() for m in (plain, told)]
    assert likely[1] > likely[0] + 0.2


def test_a_texts_filling_changes_nothing_and_its_probabilities_stay_probabilities() -> None:
    net = reader()
    ids, mask = words(200, 9)
    lengths = torch.randint(2, 10, (200,), generator=torch.Generator().manual_seed(5))
    mask = (torch.arange(9) < lengths[:, None]).long()
    ids[mask == 0] = 49
    found = run(ExitAfter("words"), net, context(net, ((ids, mask),))).model
    head = found.module.get_submodule("exit_head")
    assert isinstance(head, Head)
    assert head.pool == Pool(Way.MASKED)
    longer = [functional.pad(each[:4], (0, 5), value=fill) for each, fill in ((ids, 49), (mask, 0))]
    answers = found.module(ids[:4], mask[:4])
    torch.testing.assert_close(found.module(*longer), answers)
    torch.testing.assert_close(answers.sum(1), torch.ones(4))


@pytest.mark.parametrize(
    ("shape", "sizes", "ways"),
    [
        (("s0", 7), (2, 7), [Pool(Way.ROW)]),
        (("s0", "s1"), (2, 7), []),
        (("s0", "s1", 8), (2, 5, 8), [Pool(Way.TOKENS), Pool(Way.FIRST), Pool(Way.MASKED)]),
        (("s0", 8, "s1", "s2"), (2, 8, 4, 4), [Pool(Way.MAPS)]),
        (
            ("s0", 8, 8, 12),
            (2, 8, 8, 12),
            [Pool(Way.MAPS), Pool(Way.MAPS, 2), Pool(Way.MAPS, 4), Pool(Way.TOKENS)],
        ),
        (("s0", 600, 4, 4), (2, 600, 4, 4), [Pool(Way.MAPS), Pool(Way.TOKENS)]),
    ],
)
def test_ways_of_pooling_give_one_row_each(
    shape: tuple[int | str, ...], sizes: tuple[int, ...], ways: list[Pool]
) -> None:
    assert list(pools_for(shape, sizes, mask=True)) == ways
    value, mask = torch.randn(sizes), torch.ones(sizes[:2])
    for pool in ways:
        found = pooled(value, pool, mask)
        assert found.dim() == 2
        assert len(found) == 2
        if pool.way is Way.MAPS:  # means of parts of one size have the mean of the whole
            cells = found.unflatten(1, (sizes[1], -1)).mean(2)
            torch.testing.assert_close(cells, value.flatten(2).mean(2))


def test_only_the_mean_over_the_mask_leaves_out_what_it_does() -> None:
    value, mask = torch.randn(2, 4, 3), torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0]])
    found = pooled(value, Pool(Way.MASKED), mask)
    torch.testing.assert_close(found[0], value[0, :2].mean(0))
    assert not found[1].any()


def test_it_looks_at_few_rows_at_once_and_no_more_than_it_is_told_to() -> None:
    class Counting(Rows):
        seen: ClassVar[list[int]] = []

        def rows(self, indices: np.ndarray) -> Arrays:
            self.seen.append(len(indices))
            return super().rows(indices)

    net = deep()
    feed = Counting({"x": samples(200, 1)[0].numpy()})
    ctx = replace(context(net, ((samples(1, 1)[0],),)), repair=feed)
    run(ExitAfter("stem", rows=150), net, ctx)
    assert sum(feed.seen) == 150
    assert max(feed.seen) <= 32


@pytest.mark.parametrize(
    "after",
    [
        whet.Narrow(0.5),
        whet.Slim(0.5),
        whet.Factor(0.5),
        whet.Separate(1),
        whet.Sparsify(0.5),
        whet.DropBlocks(("one",)),
        whet.Repair(),
        whet.Resize(13),
        whet.Substitute("resnet", 0.125, 0.25),
        ExitAfter("stem"),
    ],
    ids=lambda step: step.name,
)
def test_what_changes_layers_comes_before_it(after: Pass[Net, Net], tmp_path: Path) -> None:
    net = residual_net()
    ctx = context(net, pictures(), tmp_path)
    short = run(ExitAfter("one"), net, ctx).model
    with pytest.raises(RequirementError) as caught:
        run(after, short, ctx)
    assert caught.value.remedy


def test_layers_changed_before_it_stay_changed() -> None:
    net = residual_net()
    ctx = context(net, pictures())
    narrow = run(whet.Narrow(0.5), net, ctx).model
    found = run(ExitAfter("one"), narrow, ctx).model
    assert found.module.get_submodule("one.a").out_channels == 8
    assert "two.a" not in found.kept
    assert [block.name for block in found.cut.blocks] == ["stem", "one", "exit_head"]


def test_it_refuses_what_it_can_not_end() -> None:
    net = residual_net()
    ctx = context(net, pictures())
    with pytest.raises(RequirementError, match="nothing to be left out but the last layer"):
        run(ExitAfter("two"), net, ctx)
    with pytest.raises(RequirementError, match="no block 'none'"):
        run(ExitAfter("none"), net, ctx)
    with pytest.raises(RequirementError, match="no labels"):
        run(ExitAfter("one", labels="scores"), net, ctx)
    with pytest.raises(RequirementError, match="no samples"):
        run(ExitAfter("one"), net, replace(ctx, repair=None))
    tokens = encoder_net()
    ids = words(4, 9)
    with pytest.raises(RequirementError, match="no scores of classes") as caught:
        run(ExitAfter(tokens.cut.blocks[0].name), tokens, context(tokens, (ids,)))
    assert "one row a sample" in caught.value.remedy
    for wrong in ({"block": ""}, {"block": "one", "rows": 0}):
        with pytest.raises(OptionError):
            ExitAfter(**wrong)  # type: ignore[arg-type]


def test_a_bridge_may_stand_before_the_end_but_not_for_the_last_layer() -> None:
    torch.manual_seed(0)
    layers = [*(nn.Linear(6, 6) for _ in range(3)), nn.Linear(6, 3)]
    x = TensorSpec("x", "float32", ("batch", 6))
    signature = Signature((x,), (TensorSpec("p", "float32", ("batch", 3)),))
    net = under_surgery(
        layered(nn.Sequential(*layers, nn.Softmax(1)), torch.randn(2, 6)), signature
    )
    ctx = context(net, ((torch.randn(40, 6),),))
    _, first, _, last = (block.name for block in net.cut.blocks)
    bridged = run(DropBlocks((first,)), net, ctx).model
    assert run(ExitAfter(first), bridged, ctx).model.ends_behind == first
    without = run(DropBlocks((last,)), net, ctx).model
    with pytest.raises(RequirementError, match="isn't there any more"):
        run(ExitAfter(first), without, ctx)


def test_where_it_can_end_is_told_with_the_share_of_the_work_until_there() -> None:
    points = points_of(deep()).points
    assert [p.block for p in points] == ["stem", "parts.0", "parts.1"]
    stem, part = 144 * 9 * 12, 144 * (9 * 12 * 12 + 12 * 12)
    whole = stem + 3 * part + 48
    assert [p.share for p in points] == pytest.approx([(stem + k * part) / whole for k in range(3)])
    assert points[1].before == ("stem", "parts.0")
    nowhere = points_of(encoder_net())
    assert not nowhere.points
    assert "no scores of classes" in nowhere.reason

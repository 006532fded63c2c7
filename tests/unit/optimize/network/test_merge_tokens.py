"""Tokens merged in vision transformers: what is alike is merged without a change, and the rest by little."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
import vision_nets as vision
from surgery_nets import context, encoder_net, residual_net, texts
from torch import nn
from torch.nn import functional
from vision_nets import SIDE, Vision, vision_net

from whet.core.artifact import Artifact, Format
from whet.core.passes import Pass, Pipeline, run
from whet.core.recipe import Step
from whet.core.settings import Settings
from whet.errors import OptionError, RequirementError
from whet.optimize.build import pass_of, step_of
from whet.optimize.graph.runs import run_graph
from whet.optimize.network.distill import Distill
from whet.optimize.network.drop import DropBlocks
from whet.optimize.network.factor import Factor
from whet.optimize.network.merge_tokens import MergeTokens
from whet.optimize.network.narrow import Narrow, widths_in
from whet.optimize.network.repair import Repair
from whet.optimize.network.slim import Slim
from whet.optimize.network.structure.net import Net, example_of
from whet.optimize.network.structure.walk import Walk
from whet.optimize.network.to_graph import ToGraph
from whet.optimize.network.tokens.attention import attentions_in
from whet.optimize.network.tokens.behind import with_fewer_tokens
from whet.optimize.network.tokens.merging import Merging
from whet.runtimes.ov import OpenVinoRuntime


class HuggingFace(nn.Module):
    """transformers' ViT, with attention in one operator or in several."""

    def __init__(self, attention: str) -> None:
        super().__init__()
        from transformers import ViTConfig, ViTForImageClassification

        config = ViTConfig(
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=64,
            image_size=SIDE,
            patch_size=4,
            num_labels=4,
            initializer_range=0.2,
            attn_implementation=attention,
        )
        self.vit = ViTForImageClassification(config)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.vit(x).logits


class Torch(Vision):
    """Layers as torch has them, whose normalisation comes first."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True, norm_first=True)
                for _ in range(3)
            )
        )


def read_two(tokens: torch.Tensor) -> torch.Tensor:
    """As DeiT, which has a second token to be distilled by."""
    return (tokens[:, 0] + tokens[:, 1]) / 2


def read_both(tokens: torch.Tensor) -> torch.Tensor:
    return tokens[:, 0] + tokens[:, 1:].mean(1, keepdim=True).squeeze(1)


def attend_to_all(tokens: torch.Tensor) -> torch.Tensor:
    """Pooled by attention, as SigLIP does."""
    return (tokens * tokens.sum(-1, keepdim=True).softmax(1)).sum(1)


FORMS = {
    "class token": lambda: Vision(),
    "several operators": lambda: Vision(attend=vision.plain),
    "heads in rows": lambda: Vision(attend=vision.folded),
    "mean": lambda: Vision(vision.mean),
    "both": lambda: Vision(read_both, attend=vision.plain),
    "two tokens": lambda: Vision(read_two, own=2),
    "none alone": lambda: Vision(lambda tokens: tokens.mean(1), own=0),
    "pooled by attention": lambda: Vision(attend_to_all),
    "transformers": lambda: HuggingFace("sdpa"),
    "transformers, eager": lambda: HuggingFace("eager"),
    "torch": lambda: Torch(),
}


@functools.cache
def formed(form: str) -> Net:
    """Made once: passes leave what they are given."""
    torch.manual_seed(0)
    return vision_net(FORMS[form]())


def merged(net: Net, step: MergeTokens | None = None) -> Net:
    return run(step or MergeTokens(0.5), net, context(net, vision.shown())).model


def merging_in(net: Net) -> list[Merging]:
    return [m for m in net.module.modules() if isinstance(m, Merging)]


def answers_from(net: Net, name: str | None, tokens: torch.Tensor) -> torch.Tensor:
    """What is answered where the tokens before a block are these."""
    assert name is not None
    walk = Walk(net.module, vision.shown(len(tokens), 1))
    walk.at(name)
    walk.put(name, [tokens])
    return walk.answers()[0][0]


ALONE = {"two tokens": 2, "none alone": 0, "pooled by attention": 0}  # in all others it is one


@pytest.mark.parametrize("form", FORMS)
def test_tokens_that_are_alike_are_merged_without_a_change(form: str) -> None:
    net = formed(form)
    one, two, *_ = attentions_in(net)
    found = merged(net, MergeTokens(tokens={one.block.name: 18, two.block.name: 9}))
    alone = ALONE.get(form, 1)
    assert [(m.fewer, m.first) for m in merging_in(found)] == [(18, alone), (9, alone)]
    four_times = torch.randn(5, 9, 32).repeat_interleave(4, 1)
    tokens = torch.cat([torch.randn(5, one.tokens - 36, 32), four_times], 1)
    wanted, own = (answers_from(each, one.block.span.entry, tokens) for each in (net, found))
    torch.testing.assert_close(own, wanted, rtol=1e-4, atol=1e-4)


def test_no_token_fewer_is_the_network_itself() -> None:
    net = formed("class token")
    step = MergeTokens(tokens={"layers.0": 0})
    result = run(step, net, context(net, vision.shown()))
    assert result.model is net
    assert not result.changed
    assert [note.where for note in result.notes] == ["merge-tokens"]


@pytest.fixture(scope="module")
def learnt() -> Net:
    return vision_net(vision.trained())


def random_keys(merging: Merging, given: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    tokens, keys, *sizes = given
    return (tokens, torch.randn(keys.shape, generator=torch.Generator().manual_seed(0)), *sizes)


def damage(net: Net, pictures: torch.Tensor) -> float:
    with torch.no_grad():
        own, its = (m(pictures).log_softmax(1) for m in (net.module, net.teacher))
    return float(functional.kl_div(own, its, reduction="batchmean", log_target=True))


def test_half_of_the_tokens_say_what_all_said(learnt: Net) -> None:
    pictures, labels = vision.marks(256, 5)
    assert vision.accuracy(learnt.module, pictures, labels) > 0.97
    found = merged(learnt)
    assert vision.accuracy(found.module, pictures, labels) > 0.95
    by_keys = damage(found, pictures)
    for each in merging_in(found):  # merged at random, more is lost
        each.register_forward_pre_hook(random_keys)
    assert by_keys < 0.7 * damage(found, pictures)


@pytest.mark.parametrize("form", ["mean", "transformers, eager"])
def test_both_runtimes_answer_as_the_network(form: str, tmp_path: Path) -> None:
    net = merged(formed(form))
    ctx = context(net, vision.shown(), tmp_path)
    nowhere = Artifact(str(tmp_path / "none.onnx"), Format.ONNX, net.signature)
    graph = run(ToGraph(), net, replace(ctx, reference=nowhere)).model
    settings = Settings(threads=1, precision="fp32")
    with OpenVinoRuntime().open(graph.file, graph, settings) as session:
        for rows in (1, 3):
            picture = vision.marks(rows, rows)[0]
            wanted, given = net.module(picture).detach().numpy(), {"picture": picture.numpy()}
            for found in (run_graph(graph, given), session.run(given)):
                np.testing.assert_allclose(found["scores"], wanted, atol=1e-4)


BEFORE = (
    (Narrow(0.5),),
    (Slim(0.25), Narrow(0.25), Factor(0.5), Repair()),
    (DropBlocks(("vit.vit.layers.1",)), Repair()),
)


@pytest.mark.parametrize("before", BEFORE, ids=lambda passes: "-".join(p.name for p in passes))
def test_it_comes_behind_all_that_changes_blocks(
    before: tuple[Pass[Net, Net], ...], tmp_path: Path
) -> None:
    net = formed("transformers")
    ctx = context(net, vision.shown(), tmp_path)
    changed = run(Pipeline(before), net, ctx).model
    found = run(MergeTokens(0.5), changed, ctx).model
    assert sum(m.fewer for m in merging_in(found)) == 18
    assert found.teacher is net.teacher
    weights = changed.module.state_dict()
    for name, weight in found.module.state_dict().items():
        assert torch.equal(weight, weights[name])
    assert found.module(vision.marks(3, 0)[0]).shape == (3, vision.CLASSES)


def test_queries_keys_and_values_from_one_layer_keep_their_heads() -> None:
    """As timm's vision transformers have them; what lies between the feed-forward layers goes."""
    net = formed("class token")
    assert [width.name for width in widths_in(net)] == ["layers.0.up", "layers.1.up"]
    ctx = context(net, vision.shown())
    narrow = run(Narrow(0.5), net, ctx).model
    assert len(narrow.module.layers.get_submodule("0.up").weight) == 32
    found = run(MergeTokens(0.5), narrow, ctx).model
    assert found.module(vision.marks(2, 0)[0]).shape == (2, vision.CLASSES)


def test_what_was_merged_is_taught_the_answers(learnt: Net, tmp_path: Path) -> None:
    found = merged(learnt, MergeTokens(0.8))
    ctx = context(learnt, vision.shown(256), tmp_path)
    taught = run(Distill(60, 32, rate=1e-2), found, ctx).model
    fresh = vision.marks(256, 99)[0]
    assert damage(taught, fresh) < 0.7 * damage(found, fresh)
    assert len(merging_in(taught)) == 2


@pytest.mark.parametrize(
    "step",
    [Narrow(0.5), Slim(0.5), Factor(0.5), DropBlocks(("layers.1",)), Repair(), MergeTokens(0.1)],
    ids=lambda step: step.name,
)
def test_nothing_that_goes_by_blocks_comes_behind_it(step: Pass[Net, Net]) -> None:
    net = merged(formed("class token"))
    with pytest.raises(RequirementError, match="Tokens were merged") as caught:
        run(step, net, context(net, vision.shown()))
    assert "distill" in caught.value.remedy


class Positions(Vision):
    """Attention adds something for each pair of tokens, as Swin's and BEiT's does."""

    def __init__(self) -> None:
        super().__init__()
        own = nn.Parameter(torch.randn(1, 4, 37, 37))
        self.own_bias = own
        for layer in self.layers:
            layer.attend = lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, own)


class Depthwise(Vision):
    """A convolution over tokens between the layers."""

    def __init__(self) -> None:
        super().__init__()
        self.between = nn.Conv1d(32, 32, 3, 1, 1, groups=32)
        self.read = lambda tokens: (tokens + self.between(tokens.mT).mT).mean(1)


class Longer(Vision):
    """What came before is added again at the end, as in a U-Net."""

    def __init__(self) -> None:
        super().__init__(lambda tokens: tokens.mean(1), layers=3)
        self.layers = Around(self.layers)


class Around(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens + self.inner(tokens)


def summed(tokens: torch.Tensor) -> torch.Tensor:
    return tokens.sum(1)


def last(tokens: torch.Tensor) -> torch.Tensor:
    return tokens[:, -1]


def each(tokens: torch.Tensor) -> torch.Tensor:
    return tokens


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (Positions, "order of its tokens"),
        (Depthwise, "order of its tokens"),
        (lambda: Vision(last), "order of its tokens"),
        (lambda: Vision(each), "an answer for each"),
        (lambda: Vision(summed), "weighs its tokens"),
        (Longer, "order of its tokens"),
    ],
    ids=["positions", "convolution", "last", "an answer for each", "sum", "U-Net"],
)
def test_refuses_networks_that_need_all_tokens(module: type[nn.Module], says: str) -> None:
    net = vision_net(module())
    with pytest.raises(RequirementError, match=says):
        merged(net)


def test_what_is_another_for_each_token_cant_be_cut_to_fewer() -> None:
    """The law of order finds such networks before; what writes them anew doesn't rest on that."""
    net = vision_net(Longer())
    (attention, *_), inputs = attentions_in(net), example_of(net)
    with pytest.raises(RequirementError, match="says something else of each token"):
        with_fewer_tokens(net.module, inputs, {attention: 9}, 1)


def test_refuses_networks_without_a_fixed_number_of_tokens() -> None:
    net = residual_net()
    with pytest.raises(RequirementError, match="No block of the network attends") as caught:
        merged(net)
    assert "resize" in caught.value.remedy
    words = encoder_net()
    with pytest.raises(RequirementError, match="as many tokens as come in"):
        run(MergeTokens(0.5), words, context(words, texts()))


def test_refuses_what_the_network_has_not() -> None:
    net = formed("class token")
    for tokens, says in (
        ({"layers.9": 2}, "'layers.9' doesn't attend"),
        ({"layers.0": 19}, "Of 37 tokens behind 'layers.0' 19 can't be merged"),
        ({"layers.0": 12, "layers.1": 13}, "Of 25 tokens behind 'layers.1' 13 can't"),
    ):
        with pytest.raises(RequirementError, match=says):
            merged(net, MergeTokens(tokens=tokens))
    for options in ({}, {"share": 1.0}, {"share": 0.5, "tokens": {"a": 1}}, {"tokens": {"a": -1}}):
        with pytest.raises(OptionError):
            MergeTokens(**options)


def test_is_written_as_a_step_and_read_back() -> None:
    for made in (MergeTokens(0.5), MergeTokens(tokens={"layers.0": 4})):
        read = msgspec.json.decode(msgspec.json.encode(step_of(made)), type=Step)
        assert pass_of(read) == made

"""Tokens merged in vision transformers: what is alike is merged without a change, and the rest by little."""

from __future__ import annotations

import pytest
import torch
import vision_nets as vision
from surgery_nets import context
from torch import nn
from vision_nets import SIDE, Vision, vision_net

from whet.core.passes import run
from whet.optimize.network.merge_tokens import MergeTokens
from whet.optimize.network.structure.net import Net
from whet.optimize.network.structure.walk import Walk
from whet.optimize.network.tokens.attention import attentions_in
from whet.optimize.network.tokens.merging import Merging


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
    "mean": lambda: Vision(vision.mean),
    "both": lambda: Vision(read_both, attend=vision.plain),
    "two tokens": lambda: Vision(read_two, own=2),
    "none alone": lambda: Vision(lambda tokens: tokens.mean(1), own=0),
    "pooled by attention": lambda: Vision(attend_to_all),
    "transformers": lambda: HuggingFace("sdpa"),
    "transformers, eager": lambda: HuggingFace("eager"),
    "torch": lambda: Torch(),
}


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
    torch.manual_seed(0)
    net = vision_net(FORMS[form]())
    one, two, *_ = attentions_in(net)
    found = merged(net, MergeTokens(tokens={one.block.name: 18, two.block.name: 9}))
    alone = ALONE.get(form, 1)
    assert [(m.fewer, m.first) for m in merging_in(found)] == [(18, alone), (9, alone)]
    four_times = torch.randn(5, 9, 32).repeat_interleave(4, 1)
    tokens = torch.cat([torch.randn(5, one.tokens - 36, 32), four_times], 1)
    wanted, own = (answers_from(each, one.block.span.entry, tokens) for each in (net, found))
    torch.testing.assert_close(own, wanted, rtol=1e-4, atol=1e-4)

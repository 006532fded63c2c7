from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import fx, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "fixtures" / "networks"))

from resnet import cifar_resnet20

from whet.optimize.network.structure.blocks import blocks_of, extracted, replaced
from whet.optimize.network.structure.layers import with_layers
from whet.optimize.quiet import quiet


def layered(net: nn.Module, *given: torch.Tensor, names: Any = None) -> fx.GraphModule:
    batch = torch.export.Dim("batch", min=1, max=1000)
    with quiet():
        program = torch.export.export(
            net.eval(),
            given,
            dynamic_shapes=names or tuple({0: batch} for _ in given),
            strict=False,
        )
    return with_layers(program)


class Inverted(nn.Module):
    """An inverted residual with squeeze-and-excite, as EfficientNet's and MobileNetV3's."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.deep = (
            nn.Conv2d(width, 3 * width, 1),
            nn.Conv2d(3 * width, 3 * width, 3, 1, 1, groups=3 * width),
        )
        self.less, self.more = nn.Conv2d(3 * width, 4, 1), nn.Conv2d(4, 3 * width, 1)
        self.down, self.norm = nn.Conv2d(3 * width, width, 1), nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.silu(self.deep(functional.silu(self.up(x))))
        gate = self.more(functional.silu(self.less(y.mean((2, 3), keepdim=True))))
        return x + self.norm(self.down(y * torch.sigmoid(gate)))


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two = nn.Conv2d(3, 8, 3, 2), Inverted(8), Inverted(8)
        self.wide, self.head = nn.Conv2d(8, 16, 1), nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.two(self.one(functional.relu6(self.stem(x / 255))))
        return self.head(functional.relu(self.wide(y)).mean((2, 3)))


class Encoder(nn.Module):
    """A small BERT, whose mask all layers read."""

    def __init__(self) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel

        config = BertConfig(
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            vocab_size=50,
        )
        self.bert = BertModel(config, add_pooling_layer=False)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.bert(input_ids=ids, attention_mask=mask).last_hidden_state


class Towers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Sequential(*(nn.Linear(6, 6) for _ in range(5)))
        self.right = nn.Sequential(*(nn.Linear(6, 6) for _ in range(5)))
        self.head = nn.Linear(12, 2)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([self.left(a), self.right(b)], 1))


def words(rows: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    ids, mask = torch.randint(0, 50, (rows, length)), torch.ones(rows, length, dtype=torch.long)
    mask[0, length // 2 :] = 0
    return ids, mask


def encoder() -> fx.GraphModule:
    batch, length = (
        torch.export.Dim("batch", min=1, max=99),
        torch.export.Dim("length", min=2, max=99),
    )
    return layered(Encoder(), *words(3, 7), names=({0: batch, 1: length},) * 2)


LAYERS = [f"layer{stage}.{block}" for stage in (1, 2, 3) for block in range(3)]


@pytest.fixture(scope="module")
def networks() -> dict[str, tuple[fx.GraphModule, tuple[torch.Tensor, ...]]]:
    torch.manual_seed(0)
    return {
        "resnet": (
            layered(cifar_resnet20(), torch.randn(2, 3, 32, 32)),
            (torch.randn(4, 3, 32, 32),),
        ),
        "inverted": (layered(Small(), torch.randn(2, 3, 20, 20)), (torch.randn(4, 3, 20, 20),)),
        "encoder": (encoder(), words(4, 9)),
        "towers": (layered(Towers(), *torch.randn(2, 2, 6)), tuple(torch.randn(2, 4, 6))),
    }


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("resnet", ["conv1", *LAYERS, "linear"]),
        ("inverted", ["stem", "one", "two", "wide", "head"]),
        (
            "encoder",
            [
                "bert.embeddings",
                *("bert.encoder.layer.0.attention", "bert.encoder.layer.0"),
                *("bert.encoder.layer.1.attention", "bert.encoder.layer.1"),
            ],
        ),
        (
            "towers",
            [*(f"left.{i}" for i in range(5)), *(f"right.{i}" for i in range(5)), "head"],
        ),
    ],
)
def test_blocks_are_those_that_the_author_would_name(
    networks: dict[str, Any], name: str, wanted: list[str]
) -> None:
    found = blocks_of(networks[name][0])
    assert [b.name for b in found.blocks] == wanted
    assert not found.notes


def test_a_mask_is_taken_beside_what_flows(networks: dict[str, Any]) -> None:
    found = blocks_of(networks["encoder"][0])
    attentions = [b for b in found.blocks if b.name.endswith("attention")]
    assert all(b.takes == b.gives for b in attentions)
    assert all(len(b.aside) == len(attentions[0].aside) > 0 for b in attentions)


@pytest.mark.parametrize("name", ["resnet", "inverted", "encoder", "towers"])
def test_each_block_taken_out_and_put_back_gives_the_same_answers(
    networks: dict[str, Any], name: str
) -> None:
    module, given = networks[name]
    with torch.no_grad():
        wanted = module(*given)
        for block in blocks_of(module).blocks:
            again = replaced(module, block, extracted(module, block))
            assert (
                len(list(again.graph.nodes)) < len(list(module.graph.nodes))
                or len(block.span.members) == 1
            )
            torch.testing.assert_close(again(*given), wanted)


def test_a_block_of_equal_shapes_can_be_left_out(networks: dict[str, Any]) -> None:
    module, given = networks["resnet"]
    block = next(b for b in blocks_of(module).blocks if b.name == "layer2.1")
    assert block.takes == block.gives
    less = replaced(module, block, nn.Identity())
    assert sum(p.numel() for p in less.parameters()) < sum(p.numel() for p in module.parameters())
    assert less(*given).shape == (4, 10)
    net = cifar_resnet20()
    net.load_state_dict(module.state_dict(), strict=False)
    net.layer2[1] = nn.Identity()
    torch.testing.assert_close(less(*given), net.eval()(*given))


def test_several_blocks_are_replaced_one_after_the_other(networks: dict[str, Any]) -> None:
    module, given = networks["resnet"]
    for name in ("layer1.1", "layer3.2"):
        block = next(b for b in blocks_of(module).blocks if b.name == name)
        module = replaced(module, block, nn.Identity())
    assert [b.name for b in blocks_of(module).blocks if b.name.startswith("layer3.")] == [
        "layer3.0",
        "layer3.1",
    ]
    assert module(*given).shape == (4, 10)

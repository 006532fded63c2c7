"""Students made of transformers' architectures, with random weights, for one network's body.

What a family of pictures does to a side of 224 doesn't suit one of 32: five times halved, a single
pixel is left. So as many halvings are taken out, the first ones first, as leave at least the 7 x 7
pixels that all of these families end with on 224 (the CIFAR ResNets of He et al. 2016 halve twice as
well). A ResNet loses whole stages by it, its widest ones, and then its stem's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

from whet._optional import require
from whet.errors import RequirementError
from whet.optimize.network.students.body import Body, Text
from whet.optimize.network.students.draw import draw
from whet.optimize.network.students.zoo import FAMILIES, Student
from whet.optimize.quiet import quiet

__all__ = ["backbone_of", "made", "outlined"]

_LEAST_SIDE = 7  # of what is left of a picture before it is averaged
_STAGES = (64, 128, 256, 512)
_HEAD = 32  # numbers of one attention head, and what widths of texts are multiples of
_TILE = 8
_HIDDEN, _LAYERS = 384, 6
_STRIDED = (2, 2)


def made(student: Student, body: Body, seed: int) -> nn.Module:
    """A student with random weights.

    Args:
        student: which.
        body: what it is to stand in for.
        seed: of the weights.

    Returns:
        A module that takes `Body.inputs` in order and gives one tensor of the shape of what the
        body gives, in evaluation mode.

    Raises:
        RequirementError: the family is for something else.
    """
    family = FAMILIES[student.family]
    if family.takes is not body.takes:
        raise RequirementError(
            f"'{student.family}' takes {family.takes}, the network {body.takes}.",
            "Name a family for"
            f" {body.takes}: {', '.join(n for n, f in FAMILIES.items() if f.takes is body.takes)}.",
        )
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # for what no rule of ours draws
        module = _texts(student, body) if body.text is not None else _pictures(student, body)
    draw(module, torch.Generator().manual_seed(seed))
    return module.eval()


def outlined(student: Student, body: Body) -> nn.Module:
    """A student that only its sizes are wanted of: no weight has a value where it can do without.

    One of texts can't, for the library looks at what is masked.

    Args:
        student: of the body's kind.
        body: what it is to stand in for.
    """
    if body.text is not None:
        return made(student, body, seed=0)
    with quiet(), torch.device("meta"):
        return _pictures(student, body).eval()


def backbone_of(module: nn.Module) -> nn.Module:
    """The library's own part of a student, whose weights may come from a file."""
    found: nn.Module = module.backbone
    return found


# torch is not typed for our checker (see pyproject), so its base class is "Any" to it.
class _Pictures(nn.Module):  # type: ignore[misc]
    """Pictures, smaller ones if asked, to one row of numbers each.

    Args:
        backbone: of the library.
        features: what it makes of pictures, (batch, channels, height, width).
        head: from channels to the numbers wanted.
        side: height and width that it looks at; ``None`` for all.
        axes: of length 1 that the answer has behind its numbers.
    """

    def __init__(
        self,
        backbone: nn.Module,
        features: Callable[[nn.Module, torch.Tensor], torch.Tensor],
        head: nn.Linear,
        side: tuple[int, int] | None,
        axes: int,
    ) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.features, self.side, self.axes = features, side, axes

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        (pictures,) = tensors
        if self.side is not None:
            pictures = nn.functional.interpolate(
                pictures, self.side, mode="bilinear", align_corners=False
            )
        found: torch.Tensor = self.head(self.features(self.backbone, pictures).mean((2, 3)))
        return found[(...,) + (None,) * self.axes]


class _Texts(nn.Module):  # type: ignore[misc]  # see _Pictures
    """Texts to one row of numbers each, or one for each token.

    Args:
        backbone: of the library.
        roles: what each input is.
        head: from its width to the numbers wanted.
        pooled: whether there is one row for each text: the mean over what the mask keeps.
    """

    def __init__(
        self, backbone: nn.Module, roles: tuple[str, ...], head: nn.Linear, *, pooled: bool
    ) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.roles, self.pooled = roles, pooled

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        given = dict(zip(self.roles, tensors, strict=True))
        ids, mask = given["ids"], given.get("mask")
        mask = torch.ones_like(ids) if mask is None else mask.to(ids.dtype)
        hidden = self.backbone(
            input_ids=ids, attention_mask=mask, token_type_ids=given.get("types")
        ).last_hidden_state
        if self.pooled:
            keep = mask.unsqueeze(-1).to(hidden.dtype)
            hidden = (hidden * keep).sum(1) / keep.sum(1).clamp(min=1.0)
        found: torch.Tensor = self.head(hidden)
        return found


def _pictures(student: Student, body: Body) -> nn.Module:
    (spec,) = body.inputs
    channels, height, width = (int(d) for d in spec.shape[1:])
    halvings = max(0, int(math.log2(min(height, width) / _LEAST_SIDE)))
    backbone, features, given = _FAMILIES[student.family](student, channels, halvings)
    share = student.resolution
    side = (round(height * share), round(width * share)) if share != 1 else None
    head = nn.Linear(given, int(body.given[0]))
    return _Pictures(backbone, features, head, side, len(body.given) - 1)


def _texts(student: Student, body: Body) -> nn.Module:
    text = body.text or Text((), 0, 0, 0)
    bert = require("transformers.models.bert", "make a student")
    width = max(1, round(_HIDDEN * student.width / _HEAD)) * _HEAD
    config = bert.BertConfig(
        vocab_size=text.words,
        hidden_size=width,
        num_hidden_layers=max(1, round(_LAYERS * student.depth)),
        num_attention_heads=width // _HEAD,
        intermediate_size=4 * width,
        max_position_embeddings=text.longest,
        type_vocab_size=max(1, text.kinds),
        attn_implementation="eager",  # engines fuse the plain formula better
    )
    backbone = bert.BertModel(config, add_pooling_layer=False)
    return _Texts(
        backbone, text.roles, nn.Linear(width, int(body.given[-1])), pooled=len(body.given) == 1
    )


_Features = Callable[[nn.Module, torch.Tensor], torch.Tensor]
_Backbone = tuple[nn.Module, _Features, int]
"""The library's network, what it makes of pictures, and its channels."""


def _resnet(layer: str, widening: int) -> Callable[[Student, int, int], _Backbone]:
    def make(student: Student, channels: int, halvings: int) -> _Backbone:
        resnet = require("transformers.models.resnet", "make a student")
        stages = min(len(_STAGES), halvings + 1)
        sizes = [_in_tiles(size * student.width) for size in _STAGES[:stages]]
        config = resnet.ResNetConfig(
            num_channels=channels,
            embedding_size=sizes[0],
            hidden_sizes=[widening * size for size in sizes],
            depths=[max(1, round(2 * student.depth))] * stages,
            layer_type=layer,
        )
        network = resnet.ResNetModel(config)
        stem = halvings - (stages - 1)  # halvings that are left to it, of two
        if stem < 2:
            network.embedder.pooler = nn.Identity()
        if stem < 1:
            # A kernel of 7 is for pictures that are halved by it; this is that of He et al. 2016.
            network.embedder.embedder.convolution = nn.Conv2d(
                channels, sizes[0], 3, padding=1, bias=False
            )
        return network, _last_hidden, widening * sizes[-1]

    return make


def _mobilenet(version: str) -> Callable[[Student, int, int], _Backbone]:
    def make(student: Student, channels: int, halvings: int) -> _Backbone:
        library = require(f"transformers.models.mobilenet_{version}", "make a student")
        name = f"MobileNet{version.upper()}"
        # The padding of TensorFlow is an operator more before each strided convolution.
        config = getattr(library, f"{name}Config")(
            num_channels=channels, depth_multiplier=student.width, tf_padding=False
        )
        network = getattr(library, f"{name}Model")(config, add_pooling_layer=False)
        _halve_less(network, halvings)
        last = network.conv_1x1 if version == "v2" else network.layer[-1]
        return network, _last_hidden, last.convolution.out_channels

    return make


def _efficientnet(student: Student, channels: int, halvings: int) -> _Backbone:
    library = require("transformers.models.efficientnet", "make a student")
    usual = library.EfficientNetConfig()
    last = _in_tiles(1280 * student.width)
    strides = list(usual.strides)
    halving = [i for i, stride in enumerate(strides) if stride > 1]
    for place in halving[: max(0, len(halving) - halvings)]:
        strides[place] = 1
    config = library.EfficientNetConfig(
        num_channels=channels,
        width_coefficient=student.width,
        depth_coefficient=student.depth,
        strides=strides,
        hidden_dim=last,
    )
    network = library.EfficientNetModel(config)
    if halvings <= len(halving):
        network.embeddings.padding = nn.ZeroPad2d(1)
        network.embeddings.convolution.stride = (1, 1)
    network.pooler = nn.Identity()
    return network, _encoded, last


_FAMILIES: Mapping[str, Callable[[Student, int, int], _Backbone]] = {
    "resnet": _resnet("basic", 1),
    "resnet-bottleneck": _resnet("bottleneck", 4),
    "mobilenet-v1": _mobilenet("v1"),
    "mobilenet-v2": _mobilenet("v2"),
    "efficientnet": _efficientnet,
}


def _last_hidden(network: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = network(pictures).last_hidden_state
    return found


def _encoded(network: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """Of an EfficientNet, whose own pooling is for one size of pictures."""
    found: torch.Tensor = network.encoder(network.embeddings(pictures)).last_hidden_state
    return found


def _halve_less(network: nn.Module, halvings: int) -> None:
    """Take out the first of a chain's halvings until so many are left."""
    strided = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.stride == _STRIDED]
    for layer in strided[: max(0, len(strided) - halvings)]:
        layer.stride = (1, 1)


def _in_tiles(channels: float) -> int:
    return max(_TILE, round(channels / _TILE) * _TILE)

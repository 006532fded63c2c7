"""What of a network a student stands in for: told from its graph, whoever wrote it."""

from __future__ import annotations

import pytest
import torch
from surgery_nets import encoder_net, residual_net
from test_blocks import layered, words
from torch import fx, nn

from whet.core.spec import Signature, TensorSpec
from whet.errors import RequirementError
from whet.optimize.network.students.body import Text, body_of, exchanged
from whet.optimize.network.students.zoo import Takes


class Raw(nn.Module):
    """Takes raw pictures and gives probabilities; neither needs a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)
        self.register_buffer("slope", torch.tensor([0.01, 0.02, 0.03]).reshape(1, 3, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pictures = x.permute(0, 3, 1, 2).to(torch.float32) * self.slope - 1.0
        return self.head(torch.relu(self.stem(pictures)).mean((2, 3))).softmax(1)


class Embedder(nn.Module):
    """Token vectors, pooled over a mask and made of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.kinds = nn.Embedding(50, 16), nn.Embedding(2, 16)
        self.layer = nn.Linear(16, 16)

    def forward(self, mask: torch.Tensor, kinds: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        hidden = self.layer(self.words(ids) + self.kinds(kinds))
        keep = mask.unsqueeze(-1).to(hidden.dtype)
        return nn.functional.normalize((hidden * keep).sum(1) / keep.sum(1), dim=1)


def signature(given: str, shape: tuple[int | str, ...], *specs: TensorSpec) -> Signature:
    return Signature(specs, (TensorSpec(given, "float32", shape),))


def raw() -> tuple[fx.GraphModule, Signature]:
    torch.manual_seed(0)
    module = layered(Raw(), torch.zeros(2, 16, 16, 3, dtype=torch.uint8))
    spec = TensorSpec("x", "uint8", ("batch", 16, 16, 3))
    return module, signature("p", ("batch", 5), spec)


def embedder() -> tuple[fx.GraphModule, Signature]:
    torch.manual_seed(0)
    batch, length = torch.export.Dim("batch", min=1), torch.export.Dim("length", min=2, max=64)
    dims = tuple({0: batch, 1: length} for _ in range(3))
    ids, mask = words(3, 9)
    module = layered(Embedder(), mask, torch.zeros_like(ids), ids, names=dims)
    specs = [TensorSpec(n, "int64", ("batch", "sequence")) for n in ("mask", "kinds", "ids")]
    return module, signature("vector", ("batch", 16), *specs)


def test_arithmetic_before_the_first_and_behind_the_last_layer_stays() -> None:
    module, given = raw()
    body = body_of(module, given)
    assert body.takes is Takes.PICTURES
    (spec,) = body.inputs
    assert (spec.dtype, spec.shape) == ("float32", ("batch", 3, 16, 16))
    assert body.given == (5,)
    (exit_,) = [n for n in module.graph.nodes if n.name == body.block.span.exit]
    assert exit_.op == "call_module", "scores, not probabilities"


def test_a_student_in_its_place_gets_what_the_first_layer_gets() -> None:
    module, given = raw()

    class Seen(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)[:, :5]

    student = layered(Seen(), torch.zeros(2, 3, 16, 16))
    found = exchanged(module, body_of(module, given), student)
    pictures = torch.randint(0, 256, (4, 16, 16, 3), dtype=torch.uint8)
    arithmetic = pictures.permute(0, 3, 1, 2).float() * module.get_buffer("slope") - 1.0
    assert torch.allclose(found(pictures), Seen()(arithmetic).softmax(1))
    assert not list(found.parameters()), "nothing of the original's layers is left"


def test_inputs_of_texts_are_told_by_what_takes_them() -> None:
    module, given = embedder()
    body = body_of(module, given)
    assert body.takes is Takes.TEXTS
    assert body.text == Text(("mask", "types", "ids"), words=50, kinds=2, longest=64)
    assert body.given == ("sequence", 16), "a row for each token: pooling stays"
    hidden = body_of(encoder_net().original, encoder_net().signature)
    assert hidden.text is not None
    assert hidden.text.roles == ("ids", "mask")
    assert hidden.given == ("sequence", 16)


class Maps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.two(torch.relu(self.one(x)))


class Both(Maps):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.one(x)
        return y, self.two(y)


class Sums(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(7, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.one(x)


@pytest.mark.parametrize(
    ("network", "shape", "why"),
    [
        (Maps(), (3, 8, 8), "not one row of numbers a picture"),
        (Both(), (3, 8, 8), "2 outputs"),
        (Sums(), (7,), "no pictures"),
    ],
)
def test_what_the_zoo_knows_nothing_of_is_refused(
    network: nn.Module, shape: tuple[int, ...], why: str
) -> None:
    module = layered(network, torch.zeros(2, *shape))
    spec = TensorSpec("x", "float32", ("batch", *shape))
    with pytest.raises(RequirementError, match=why):
        body_of(module, signature("y", ("batch", 2), spec))


def test_a_residual_network_has_its_whole_as_body() -> None:
    net = residual_net()
    body = body_of(net.original, net.signature)
    assert [spec.name for spec in body.inputs] == ["x"]
    assert body.block.inputs == ("x",)


def test_rows_that_are_fixed_are_refused() -> None:
    net = residual_net()
    spec = TensorSpec("picture", "float32", (4, 3, 17, 17))
    with pytest.raises(RequirementError, match="rows of a request are fixed"):
        body_of(net.original, signature("scores", (4, 4), spec))

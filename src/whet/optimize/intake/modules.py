"""Wrappers that give every network one shape: tensors in by order, tensors out.

This module needs torch when it is imported; it is imported only by functions
that need it (through `whet._optional.require`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch

__all__ = [
    "Called",
    "Logits",
    "Pooled",
    "WithArithmetic",
    "WrittenOut",
    "named_outputs",
    "unique_outputs",
]


# torch is not typed for our checker (see pyproject), so its base class is "Any" to it.
class Called(torch.nn.Module):  # type: ignore[misc]
    """Calls a module with tensors in a fixed order and gives its tensors in a fixed order.

    Args:
        module: whatever takes tensors.
        positional: names of those that it takes by position, in order.
        keywords: names of those that it takes by name.
        without: outputs, named as `unique_outputs` does, that are left out.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        positional: Sequence[str],
        keywords: Sequence[str] = (),
        without: Collection[str] = (),
    ) -> None:
        super().__init__()
        # Only this wrapper: a module read from a program refuses to change its mode.
        self.training = False
        self.module = module
        self.positional = tuple(positional)
        self.keywords = tuple(keywords)
        self.without = frozenset(without)

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """One tensor, or a tuple of them."""
        found = [tensor for _, tensor in named_outputs(self.raw(*tensors))]
        return found[0] if len(found) == 1 else tuple(found)

    def raw(self, *tensors: torch.Tensor) -> object:
        """What the module itself gives, names and all, but for what is left out."""
        cut = len(self.positional)
        named = dict(zip(self.keywords, tensors[cut:], strict=True))
        value = self.module(*tensors[:cut], **named)
        if not self.without:
            return value
        pairs = unique_outputs(value).items()
        return {name: tensor for name, tensor in pairs if name not in self.without}


def named_outputs(value: object, name: str = "output") -> list[tuple[str, torch.Tensor]]:
    """The tensors in what a network gave, with names, in order.

    Mappings (and the output classes of Hugging Face, which are mappings) name
    them by their keys; nested sequences are numbered. ``None`` and plain
    numbers are left out.
    """
    if isinstance(value, torch.Tensor):
        return [(name, value)]
    if isinstance(value, Mapping):
        return [pair for key, inner in value.items() for pair in named_outputs(inner, str(key))]
    if isinstance(value, tuple | list):
        found: list[tuple[str, torch.Tensor]] = []
        for number, inner in enumerate(value):
            found += named_outputs(inner, name if number == 0 else f"{name}_{number}")
        return found
    return []


def unique_outputs(value: object) -> dict[str, torch.Tensor]:
    """As `named_outputs`, with a number after a name that was there already."""
    found: dict[str, torch.Tensor] = {}
    for name, tensor in named_outputs(value):
        found[name if name not in found else f"{name}_{len(found)}"] = tensor
    return found


class Logits(torch.nn.Module):  # type: ignore[misc]  # see Called
    """A Hugging Face classifier whose one output is ``logits``."""

    def __init__(self, model: torch.nn.Module, inputs: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.inputs = tuple(inputs)

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        """Logits (batch, classes)."""
        out: torch.Tensor = self.model(**dict(zip(self.inputs, tensors, strict=True))).logits
        return out


class Pooled(torch.nn.Module):  # type: ignore[misc]  # see Called
    """A text encoder whose one output is an embedding (batch, width).

    Mean, max or first-token pooling over the last hidden state, and
    normalisation to length 1, as sentence-transformers defines them.
    """

    def __init__(
        self, model: torch.nn.Module, inputs: Sequence[str], pooling: str, *, normalise: bool
    ) -> None:
        super().__init__()
        self.model = model
        self.inputs = tuple(inputs)
        self.pooling = pooling
        self.normalise = normalise

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        """Embeddings."""
        named = dict(zip(self.inputs, tensors, strict=True))
        hidden = self.model(**named).last_hidden_state
        pooled = self._pool(hidden, named.get("attention_mask"))
        return torch.nn.functional.normalize(pooled, p=2.0, dim=1) if self.normalise else pooled

    def _pool(self, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        if self.pooling == "cls":
            return hidden[:, 0]
        if mask is None:
            return hidden.max(dim=1).values if self.pooling == "max" else hidden.mean(dim=1)
        keep = mask.unsqueeze(-1).to(hidden.dtype)
        if self.pooling == "max":
            return hidden.masked_fill(keep == 0, -1e9).max(dim=1).values
        return (hidden * keep).sum(dim=1) / keep.sum(dim=1).clamp(min=1e-9)


class WrittenOut(torch.nn.Module):  # type: ignore[misc]  # see Called
    """A Hugging Face network whose attention is written out while it runs.

    torch's fused attention becomes a longer graph than the plain formula, with
    checks for rows without any token; engines fuse the plain one better. The
    weights are those of ``module``, whose own setting comes back afterwards.
    """

    def __init__(self, module: torch.nn.Module, model: torch.nn.Module) -> None:
        super().__init__()
        self.training = False
        self.module = module
        self.switch = model.set_attn_implementation

    def forward(self, *tensors: torch.Tensor) -> object:
        """What the wrapped network gives."""
        self.switch("eager")
        try:
            return self.module(*tensors)
        finally:
            self.switch("sdpa")


class WithArithmetic(torch.nn.Module):  # type: ignore[misc]  # see Called
    """A network that takes raw pictures: uint8 (batch, height, width, channels).

    The arithmetic is ``x * slope + shift`` a channel; see
    `whet.optimize.graph.fold.slopes_and_shifts`.
    """

    def __init__(
        self, module: torch.nn.Module, slopes: Sequence[float], shifts: Sequence[float], layout: str
    ) -> None:
        super().__init__()
        self.training = False
        self.module = module
        self.layout = layout
        shape = (1, -1, 1, 1) if layout == "NCHW" else (1, 1, 1, -1)
        self.register_buffer("slope", torch.tensor(slopes, dtype=torch.float32).reshape(shape))
        self.register_buffer("shift", torch.tensor(shifts, dtype=torch.float32).reshape(shape))

    def forward(self, pictures: torch.Tensor) -> object:
        """What the wrapped network gives."""
        ordered = pictures.permute(0, 3, 1, 2) if self.layout == "NCHW" else pictures
        return self.module(ordered.to(torch.float32) * self.slope + self.shift)

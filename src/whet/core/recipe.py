"""A candidate as data: the passes to apply, the runtime and its settings."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from whet.core.settings import Precision, Settings

__all__ = ["Recipe", "Step", "digest_of"]


_FEW = 3  # parts of an option that are all said


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One pass by its registered name, with its fields as plain values."""

    name: str
    options: dict[str, Any] = {}

    def brief(self) -> str:
        inside = ", ".join(f"{key}={_said(value)}" for key, value in self.options.items())
        return f"{self.name}({inside})" if inside else self.name


def _said(value: object) -> str:
    """A value, or of many how many they are."""
    many = isinstance(value, dict | list | tuple) and len(value) > _FEW
    return f"{len(value)} of them" if many else str(value)  # type: ignore[arg-type]  # it is sized


def digest_of(steps: tuple[Step, ...]) -> str:
    """16 hex digits that are equal exactly for equal lists of passes."""
    canonical = msgspec.json.encode(steps, order="deterministic")
    return hashlib.sha256(canonical).hexdigest()[:16]


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to make one engine from the exported graph."""

    steps: tuple[Step, ...]
    runtime: str
    settings: Settings

    def digest(self) -> str:
        """16 hex digits that are equal exactly for equal recipes."""
        canonical = msgspec.json.encode(self, order="deterministic")
        return hashlib.sha256(canonical).hexdigest()[:16]

    def has(self, name: str) -> bool:
        """Whether a pass of this name is among its own."""
        return any(step.name == name for step in self.steps)

    @property
    def learns(self) -> bool:
        """Whether weights are found by gradients, for as long as it was given."""
        return self.has("distill") or self.has("learn-int8")

    @property
    def substitutes(self) -> bool:
        """Whether another network stands in the original's place, which nothing of it is left in."""
        return self.has("substitute")

    @property
    def ends_early(self) -> bool:
        """Whether the network ends behind one of its blocks, as an early stage of a cascade does."""
        return self.has("exit-after")

    def build_digest(self) -> str:
        """As `digest`, over the passes only: recipes that share their graph share it."""
        return digest_of(self.steps)

    @property
    def untouched(self) -> bool:
        """No pass, full precision, inputs as they come: the original on some runtime.

        Padding may change answers (of a network that doesn't heed its mask), so a
        padded original has to be judged like any other candidate.
        """
        full = self.settings.precision is Precision.FP32
        return full and not self.steps and not self.settings.round_up

    def brief(self) -> str:
        passes = " + ".join(step.brief() for step in self.steps) or "untouched"
        return f"{passes} on {self.runtime} ({self.settings.brief()})"

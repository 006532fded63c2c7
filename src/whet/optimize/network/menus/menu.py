"""What blocks of a network, and the whole, may become: data that crosses processes; no torch."""

from __future__ import annotations

import hashlib

import msgspec

from whet.core.artifact import Artifact
from whet.core.note import Note
from whet.core.recipe import Step

__all__ = [
    "REQUEST",
    "ROWS",
    "Choice",
    "Choices",
    "Combined",
    "MenuPlan",
    "Plan",
    "Rescored",
    "Scored",
    "Whole",
    "WholePlan",
    "Wholes",
]

ROWS = 384  # samples that menus are made with, at most
REQUEST = "request.npz"  # beside a block's graph: what one request is made of


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How what may become of a network is made and judged.

    Attributes:
        tile: channels and ranks come in multiples of it where there are more.
        classes: whether answers are scores of classes.
        rows: that are asked at once when it serves.
        judged: rows that tell damages, at most a third of all.
    """

    tile: int
    classes: bool
    rows: int
    judged: int

    def digest(self) -> str:
        """16 hex digits that are equal exactly for equal plans."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:16]


class MenuPlan(Plan, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to put on the menus.

    Attributes:
        stay: shares of a width that may stay, each below 1.
        low_rank: shares of what a layer multiplies that a low-rank pair may have, each below 1.
        separable: kernels for each channel that a convolution's separable pair may have, 1 or more.
    """

    stay: tuple[float, ...]
    low_rank: tuple[float, ...]
    separable: tuple[int, ...]


class WholePlan(Plan, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to try on a network as a whole.

    Attributes:
        stream: shares of what flows between blocks that may stay, each below 1.
        pictures: shares of a picture's side that may stay, each below 1.
        tokens: shares of tokens that may be merged into others, each below 1.
    """

    stream: tuple[float, ...]
    pictures: tuple[float, ...]
    tokens: tuple[float, ...]


class Whole(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that a network as a whole may become.

    Attributes:
        step: the pass that makes it.
        damage: alone, after its repair.
        stays: of the stream, the least share of a width that stays; 1 where all of it does.
        graph: the network at the sizes of one request.
    """

    step: Step
    damage: float
    stays: float
    graph: Artifact


class Wholes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a network as a whole may become; ``untouched`` is it as it is."""

    untouched: Artifact
    entries: tuple[Whole, ...]
    notes: tuple[Note, ...]


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that a block may become.

    Attributes:
        block: its name.
        steps: passes that make it, over this block alone; none where it stays as it is. Each has
            one option that names parts of the block.
        damage: alone, after its repair.
        size_bytes: of its weights.
        graph: the block alone.
    """

    block: str
    steps: tuple[Step, ...]
    damage: float
    size_bytes: int
    graph: Artifact

    @property
    def kept(self) -> bool:
        """Whether the block stays as it is."""
        return not self.steps


class Combined(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Choices for several blocks at once.

    Attributes:
        alone: the sum of the damages that they do alone.
        together: what they do together, each repaired by itself.
    """

    alone: float
    together: float


class Choices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The menus of a network.

    Attributes:
        menus: for each block its choices, the block as it is first.
        entries: for each block the place of the block whose answer it takes; ``-1`` for the
            network's inputs.
        combined: some combinations of choices, that tell whether damages add up.
    """

    menus: tuple[tuple[Choice, ...], ...]
    entries: tuple[int, ...]
    combined: tuple[Combined, ...]
    notes: tuple[Note, ...]


class Scored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One choice for each block, and the damage that was measured of all at once.

    Attributes:
        picks: of each menu the place of what is picked; 0 keeps the block as it is.
        damage: each repaired by itself.
    """

    picks: tuple[int, ...]
    damage: float


class Rescored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Choices that were scored together.

    Attributes:
        scored: all of them, each once.
        looks: at how many damages were measured, the remembered ones among them.
        whole: whether nothing is left to look at; else there was no time for more.
    """

    scored: tuple[Scored, ...]
    looks: int
    whole: bool

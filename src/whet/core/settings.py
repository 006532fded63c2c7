"""How an engine is compiled and run: one closed record for all runtimes."""

from __future__ import annotations

import enum

import msgspec

__all__ = ["GraphLevel", "Layout", "Precision", "Settings"]


class Precision(enum.StrEnum):
    """Precision in which a runtime may compute what the graph states as float32."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


class GraphLevel(enum.StrEnum):
    """How far the runtime may rewrite the graph."""

    DISABLED = "disabled"
    BASIC = "basic"
    EXTENDED = "extended"
    ALL = "all"


class Layout(enum.StrEnum):
    """Memory order of the activations, where the runtime lets us choose."""

    AUTO = "auto"
    CHANNELS_LAST = "channels-last"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Everything that decides how a runtime compiles and runs a graph.

    A runtime lists the fields it honours (`Runtime.honours`) and refuses any
    other field that differs from its default: no setting is silently ignored.

    Attributes:
        threads: compute threads for one request.
        streams: requests that run side by side inside the session.
        pin: pin compute threads to cores.
        precision: lowest precision for float32 parts.
        layout: memory order of the activations.
        level: graph optimisation level.
        fixed: sizes for symbols of the signature, e.g. ``{"batch": 1}``;
            symbols that are not named stay dynamic.
        round_up: symbols whose size is rounded up to a multiple by padding with
            zeros, e.g. ``{"sequence": 8}``; outputs are cut back.
        flush_denormals: treat denormal numbers as zero.
        arena: let the runtime keep a memory arena.
        spin: let idle worker threads spin while they wait.
        packing: let the runtime keep pre-packed copies of the weights.
    """

    threads: int = 1
    streams: int = 1
    pin: bool = False
    precision: Precision = Precision.FP32
    layout: Layout = Layout.AUTO
    level: GraphLevel = GraphLevel.ALL
    fixed: dict[str, int] = {}
    round_up: dict[str, int] = {}
    flush_denormals: bool = False
    arena: bool = True
    spin: bool = True
    packing: bool = True

    def changed(self) -> frozenset[str]:
        """Names of the fields that differ from their default."""
        default = Settings()
        return frozenset(
            f for f in self.__struct_fields__ if getattr(self, f) != getattr(default, f)
        )

    def brief(self) -> str:
        """Short text for tables, e.g. ``"2 threads, bf16, batch=1"``."""
        parts = [f"{self.threads} thread{'s' if self.threads != 1 else ''}"]
        parts += [f"{self.streams} streams"] if self.streams != 1 else []
        parts += [str(self.precision)] if self.precision is not Precision.FP32 else []
        parts += [f"{name}={size}" for name, size in self.fixed.items()]
        parts += [f"{name} in {multiple}s" for name, multiple in self.round_up.items()]
        other = self.changed() - {"threads", "streams", "precision", "fixed", "round_up"}
        parts += [f"{name}={getattr(self, name)}" for name in sorted(other)]
        return ", ".join(parts)

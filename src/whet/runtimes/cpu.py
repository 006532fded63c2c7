"""What this CPU can do, as the operating system lists it."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from pathlib import Path

__all__ = ["cpu_digest", "cpu_flags"]


@cache
def cpu_flags(source: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Instruction-set flags, e.g. ``{"avx2", "avx512_bf16", "amx_int8", ...}``.

    Only flags that all cores share are listed. Empty where the system has no
    such list (then `cpu_digest` still tells processor models apart).
    """
    try:
        text = source.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    lists = [
        frozenset(value.split())
        for key, _, value in (line.partition(":") for line in text.splitlines())
        if key.strip() in ("flags", "Features")  # x86 and Arm name the line differently
    ]
    return frozenset.intersection(*lists) if lists else frozenset()


def cpu_digest(flags: frozenset[str] | None = None) -> str:
    """16 hex digits for machine type and flags: engines are kept apart by it."""
    chosen = cpu_flags() if flags is None else flags
    text = " ".join((platform.machine(), *(sorted(chosen) or (platform.processor(),))))
    return hashlib.sha256(text.encode()).hexdigest()[:16]

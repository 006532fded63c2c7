"""Looks at this machine's peaks: measured in a process of their own, kept, and looked at again.

A ceiling is what was reached once, so the highest of all looks stands. A look on a busy
machine, or a single one, may be too low: only quiet looks that agree make a ceiling that a
result can't honestly lie above (`settled`).
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from whet.core.children import import_path
from whet.core.evidence import Ceilings, Machine
from whet.errors import StorageError
from whet.measure.noise import read_cpu_use, unrest
from whet.measure.roofline import peak_of

__all__ = ["Look", "first_look", "higher", "look_again", "settled"]

_FIRST_TIMEOUT_S = 90.0
_AGAIN_TIMEOUT_S = 20.0
_ALIKE = 1.10


@dataclass(frozen=True)
class Look:
    """One measuring of the peaks.

    Attributes:
        ceilings: what was reached; nothing where measuring failed or came too late.
        unrest: why the machine was not quiet meanwhile; empty where it was.
        seconds: that it took.
    """

    ceilings: Ceilings
    unrest: str
    seconds: float


def settled(looks: Iterable[Look], precision: str) -> bool:
    """Whether two looks on a quiet machine agree on the peak, to within 10 %.

    What no counter shows (a neighbour's caches, clocks that change) makes looks differ.
    """
    quiet = (peak_of(look.ceilings, precision) for look in looks if not look.unrest)
    best = sorted((peak for peak in quiet if peak is not None), reverse=True)[:2]
    return len(best) == 2 and best[0] <= _ALIKE * best[1]


def higher(a: Ceilings, b: Ceilings) -> Ceilings:
    """The higher of each figure; one that only one of them has counts as it is."""
    return Ceilings(
        **{
            name: max((v for v in (getattr(a, name), getattr(b, name)) if v), default=None)
            for name in Ceilings.__struct_fields__
        }
    )


def first_look(machine: Machine, cache: Path | None) -> Ceilings:
    """The peaks of a machine, from the cache or measured; a busy machine's aren't kept.

    Args:
        machine: without ceilings.
        cache: folder where they are kept, by machine and versions.

    Raises:
        StorageError: the cache can't be written.
    """
    kept = None if cache is None else _place(machine, cache)
    known = Ceilings() if kept is None else _read(kept)
    if known != Ceilings():
        return known
    look = _look(machine.cores, None, _FIRST_TIMEOUT_S)
    if kept is not None and not look.unrest and look.ceilings != Ceilings():
        _keep(kept, look.ceilings)
    return look.ceilings


def look_again(machine: Machine, precision: str, cache: Path | None) -> Look:
    """Measure one peak afresh. What the cache has rises with it, and never falls.

    Args:
        machine: with or without ceilings.
        precision: ``"fp32"``, ``"bf16"`` (or ``"fp16"``) or ``"int8"``.
        cache: as in `first_look`.

    Raises:
        StorageError: the cache can't be written.
    """
    only = "bf16" if precision == "fp16" else precision
    look = _look(machine.cores, only, _AGAIN_TIMEOUT_S)
    kept = None if cache is None else _place(machine, cache)
    known = Ceilings() if kept is None else _read(kept)
    raised = higher(known, look.ceilings)
    # One figure alone isn't kept, or the others would never be measured.
    if kept is not None and known != Ceilings() and raised != known:
        _keep(kept, raised)
    return look


def _look(cores: int, only: str | None, timeout_s: float) -> Look:
    before = read_cpu_use()
    began = time.monotonic()
    ceilings = _measure(cores, only, timeout_s)
    seconds = time.monotonic() - began
    return Look(ceilings, unrest(before, read_cpu_use()), seconds)


def _measure(cores: int, only: str | None, timeout_s: float) -> Ceilings:
    """Measure in a process of its own, which keeps runtimes and their memory out of this one.

    A machine where that fails has no ceilings; they bound nothing then, and the report shows
    none.
    """
    command = [sys.executable, "-P", "-m", "whet.measure.ceilings", str(cores)]
    try:
        done = subprocess.run(
            command if only is None else [*command, only],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": import_path(), "OPENBLAS_NUM_THREADS": "1"},
            timeout=timeout_s,
            start_new_session=True,  # Ctrl-C at the terminal is for the search, not for its parts
            check=True,
        )
        return msgspec.json.decode(done.stdout.splitlines()[-1], type=Ceilings)
    except (subprocess.SubprocessError, IndexError, msgspec.DecodeError):
        return Ceilings()


def _place(machine: Machine, cache: Path) -> Path:
    relevant = msgspec.structs.replace(machine, ceilings=Ceilings())
    digest = hashlib.sha256(msgspec.json.encode(relevant, order="deterministic")).hexdigest()
    return cache / f"ceilings-{digest[:16]}.json"


def _read(kept: Path) -> Ceilings:
    """What the cache has; nothing where it is damaged, so that it is measured and written anew."""
    try:
        return msgspec.json.decode(kept.read_bytes(), type=Ceilings)
    except (OSError, msgspec.DecodeError):
        return Ceilings()


def _keep(where: Path, ceilings: Ceilings) -> None:
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        beside = where.with_suffix(f".{os.getpid()}")
        beside.write_bytes(msgspec.json.encode(ceilings))
        beside.replace(where)
    except OSError as error:
        raise StorageError(
            f"The measured ceilings can't be kept in {where.parent} ({error.strerror}).",
            "Free some space or choose another cache folder.",
        ) from error

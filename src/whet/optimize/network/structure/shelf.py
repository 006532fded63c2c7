"""Tensors that are found once for all that becomes of a network, and kept on the search's shelf."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

__all__ = ["kept_on"]


def kept_on(
    shelf: Path | None, name: str, find: Callable[[], Mapping[str, torch.Tensor]]
) -> Mapping[str, torch.Tensor]:
    """What the shelf has under this name, or what is found now and put there.

    Args:
        shelf: the folder; ``None`` where nothing is kept.
        name: of the file, without its ending.
        find: makes them.
    """
    file = None if shelf is None else shelf / f"{name}.npz"
    if file is not None and file.exists():
        with np.load(file) as kept:
            return {each: torch.from_numpy(kept[each]) for each in kept.files}
    found = find()
    if file is not None:
        part = file.with_suffix(".part.npz")  # renamed, so that it is whole or not there
        np.savez(part, allow_pickle=False, **{each: t.numpy() for each, t in found.items()})
        part.replace(file)
    return found

"""How much memory an action takes at most, without what only its first call pays."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

__all__ = ["peak_bytes"]


def peak_bytes(action: Callable[[], object]) -> int:
    """Bytes of Python objects and NumPy arrays that ``action`` holds at most at one time.

    It is called twice and the second call is measured: the first one imports
    decoders and compiles their modules where no byte code lies yet, which takes
    more memory than a refusal may.
    """
    action()
    gc.collect()
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

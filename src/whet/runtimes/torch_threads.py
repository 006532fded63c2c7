"""Threads of torch: one number and one waiting policy for the whole process."""

from __future__ import annotations

import os
import sys

from whet.core.settings import Settings
from whet.errors import EngineError

__all__ = ["set_spin", "use_threads"]

_POLICY = "OMP_WAIT_POLICY"


def set_spin(settings: Settings) -> None:
    """Make OpenMP's workers sleep while they wait, if ``spin`` is off.

    OpenMP reads its policy once, when torch is loaded. On busy cores spinning
    at barriers costs more than it gains.

    Raises:
        EngineError: torch is loaded already, with the other policy.
    """
    if settings.spin or os.environ.get(_POLICY, "").upper() == "PASSIVE":
        return
    if "torch" in sys.modules:
        raise EngineError(
            "spin=False comes too late: torch has been loaded in this process with spinning on.",
            f"Open the engine in a fresh process, or set {_POLICY}=PASSIVE before Python starts.",
        )
    os.environ[_POLICY] = "PASSIVE"


def use_threads(count: int) -> None:
    """Let operators use ``count`` threads from here on, in the whole process."""
    import torch  # loaded long since: this is the path of each request

    # Asking is cheap; setting would restart the pool's bookkeeping at each request.
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)

"""Child processes of our own: which package they import, and how they end with their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

import whet.errors

__all__ = ["die_with", "import_path"]

_PR_SET_PDEATHSIG = 1


def import_path() -> str:
    """``PYTHONPATH`` for a child, so that it finds this very package, wherever it was imported from."""
    package = str(Path(whet.errors.__file__).resolve().parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join([package, inherited] if inherited else [package])


def die_with(parent: int) -> None:
    """In a child: end when the parent does.

    The kernel (Linux) takes the thread that started the child for its parent, so that thread has to
    live as long as the child is needed.

    Args:
        parent: its number, as it was before it started the child.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)

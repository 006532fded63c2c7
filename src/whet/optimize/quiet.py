"""Keep libraries from chattering while they work.

The exporter, Hugging Face and torch write progress to the terminal, warn
about their own parts and log what doesn't concern the user. Here that is
caught for the time of one call, and nothing is changed for good. Errors pass.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

__all__ = ["quiet"]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No warnings, prints or log lines of third parties inside the block."""
    level = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                yield
        finally:
            logging.disable(level)

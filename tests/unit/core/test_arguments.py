from __future__ import annotations

from pathlib import Path

import pytest

from whet.core.arguments import path_of, seconds_of
from whet.errors import OptionError


def test_a_path_is_a_path() -> None:
    assert path_of("out", None) is None
    assert path_of("out", "a.whet") == path_of("out", Path("a.whet")) == Path("a.whet")
    for wrong in (3, b"a.whet", ["a"]):
        with pytest.raises(OptionError, match="out="):
            path_of("out", wrong)


def test_a_time_is_a_number_above_zero() -> None:
    assert seconds_of("budget_s", None) is None
    assert seconds_of("budget_s", 60) == 60.0
    for wrong in ("60", True, -1, 0, float("nan"), [60]):
        with pytest.raises(OptionError, match="budget_s="):
            seconds_of("budget_s", wrong)

from __future__ import annotations

from pathlib import Path

import pytest

from whet.core.places import cache_home, engines_home, inductor_home


def test_the_cache_can_be_placed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WHET_CACHE", str(tmp_path))
    assert cache_home() == tmp_path
    monkeypatch.delenv("WHET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_home() == tmp_path / "whet"
    assert engines_home() == tmp_path / "whet" / "engines"


def test_the_compilers_files_lie_in_the_cache_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setenv("WHET_CACHE", str(tmp_path))
    assert inductor_home() == str(tmp_path / "inductor")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/else/where")
    assert inductor_home() == "/else/where"

"""Bundles that can't be trusted, at the command line; `tests/attacks` has the many ways to forge one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "bundle"))

from bundle_factory import change, make_bundle
from terminal import whet

BAD_INPUT = 3
BUNDLE_REFUSED = 5


def _no_manifest(bundle: Path) -> None:
    (bundle / "manifest.json").unlink()


def _weights(bundle: Path) -> Path:
    return next((bundle / "variants").rglob("*.data"))


def _truncated(bundle: Path) -> None:
    os.truncate(_weights(bundle), 10)


def _tampered(bundle: Path) -> None:
    data = bytearray(_weights(bundle).read_bytes())
    data[10] ^= 1
    _weights(bundle).write_bytes(data)


def _newer(bundle: Path) -> None:
    change(bundle, lambda manifest: manifest.update(version=99))


def _named(name: str) -> Callable[[Path], None]:
    def rename(manifest: dict[str, Any]) -> None:
        files = manifest["files"]
        files[name] = files.pop(next(n for n in files if n.startswith("variants/")))

    return lambda bundle: change(bundle, rename)


@pytest.mark.parametrize("verb", ["verify", "inspect", "bench", "report"])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(_no_manifest, "is not a bundle", id="no-manifest"),
        pytest.param(_truncated, "the manifest says", id="truncated"),
        pytest.param(_tampered, "SHA-256", id="tampered"),
        pytest.param(_newer, "newer", id="newer"),
        pytest.param(_named("../../outside"), "../../outside", id="zip-slip"),
        pytest.param(_named("/etc/passwd"), "/etc/passwd", id="absolute"),
    ],
)
def test_it_is_refused_with_one_sentence_and_a_remedy(
    verb: str, spoil: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path / "thing").folder
    spoil(bundle)
    code, said = whet(verb, str(bundle), *(("--out", "-") if verb == "report" else ()))
    assert code == BUNDLE_REFUSED, said
    assert words in said
    assert len(said.strip().splitlines()) == 2
    assert "Traceback" not in said


@pytest.mark.parametrize("verb", ["verify", "inspect", "bench", "report"])
@pytest.mark.parametrize(
    ("name", "words"),
    [("nowhere", "There is no bundle"), ("empty", "has no"), ("notes.txt", "is not a bundle")],
)
def test_a_wrong_path_is_bad_input(verb: str, name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no bundle")
    given = (verb, str(tmp_path / name), *(("--out", "-") if verb == "report" else ()))
    code, said = whet(*given)
    assert code == BAD_INPUT, said
    assert words in said


def test_a_variant_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "thing").folder
    code, said = whet("bench", str(bundle), "--variant", "other")
    assert code == BAD_INPUT, said
    assert "has no variant 'other'" in said

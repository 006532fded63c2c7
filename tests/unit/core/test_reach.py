"""Whether something is there and may be read, without anything that ends inside."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from whet.core.reach import Kind, expanded, found, is_folder, readable
from whet.errors import NetworkError, SamplesError, WhetError

Ask = Callable[[Path, type[WhetError]], Kind]
LONG = "a" * 300


@pytest.mark.parametrize("ask", [found, readable])
def test_what_stands_there_is_told(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "gone").symlink_to("nowhere")
    for name, kind in {
        "file": Kind.FILE,
        "link": Kind.FILE,
        "": Kind.FOLDER,
        "pipe": Kind.OTHER,
        "nothing": Kind.NOTHING,
        "gone": Kind.NOTHING,
        "file/below": Kind.NOTHING,
        "a\0b": Kind.NOTHING,
    }.items():
        assert ask(tmp_path / name, NetworkError) is kind
    assert is_folder(tmp_path)
    assert not is_folder(tmp_path / "file")


@pytest.mark.parametrize("ask", [found, readable])
def test_a_name_that_is_too_long_is_refused(ask: Ask, tmp_path: Path) -> None:
    with pytest.raises(SamplesError, match="too long") as caught:
        ask(tmp_path / LONG, SamplesError)
    assert caught.value.remedy
    assert LONG not in str(caught.value)
    assert not is_folder(tmp_path / LONG)


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(NetworkError, match="symbolic links"):
        found(tmp_path / "link", NetworkError)


def denied(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


def test_a_folder_that_may_not_be_searched_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "stat", denied)
    with pytest.raises(NetworkError, match="Permission denied") as caught:
        found(tmp_path / "net.onnx", NetworkError)
    assert "search the folders above it" in caught.value.remedy


@pytest.mark.parametrize(("name", "call"), [("file", "open"), ("", "scandir")])
def test_what_may_not_be_read_is_refused(
    name: str, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with monkeypatch.context() as patched:
        patched.setattr(os, call, denied)
        assert found(tmp_path / name, SamplesError).there
        with pytest.raises(SamplesError, match="Permission denied"):
            readable(tmp_path / name, SamplesError)


def test_the_home_of_nobody_is_no_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded(Path("~/a")) == tmp_path / "a"
    nobody = Path("~nobody-of-this-name/a")
    assert expanded(nobody) == nobody

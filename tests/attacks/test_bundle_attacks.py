"""Every evil bundle of `bundles/` must be refused: quickly, with a typed error, and without a trace."""

from __future__ import annotations

import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "bundles"), str(HERE.parent / "unit" / "bundle")]

import evil_archives  # noqa: E402 - the folders are put on the path above
import evil_cascades  # noqa: E402
import evil_files  # noqa: E402
import evil_manifests  # noqa: E402
import evil_names  # noqa: E402
from bundle_factory import change, make_bundle  # noqa: E402

from whet.bundle.pack import unpack  # noqa: E402
from whet.bundle.read import read_bundle  # noqa: E402
from whet.bundle.strictjson import JsonLimits, parse  # noqa: E402
from whet.errors import BundleCorruptError, BundleError, NoBundleError  # noqa: E402

FOLDERS = {
    f"{module.__name__}: {name}": attack
    for module in (evil_names, evil_files, evil_manifests, evil_cascades)
    for name, attack in module.ATTACKS.items()
}
pytestmark = pytest.mark.timeout(30)  # a FIFO must not make the reader wait


@contextmanager
def little_memory() -> Iterator[None]:
    """A refusal must come before anything large is allocated."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def everything_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def is_one_sentence_with_a_remedy(error: BundleError) -> bool:
    wanted = 3 if isinstance(error, NoBundleError) else 5
    return len(error.message) < 700 and bool(error.remedy) and error.exit_code == wanted


@pytest.mark.parametrize("name", FOLDERS)
def test_an_evil_folder_is_refused(name: str, tmp_path: Path) -> None:
    craft, wanted = FOLDERS[name]
    good = make_bundle(tmp_path / "good")
    assert read_bundle(good.folder) == good
    craft(good.folder)
    for check_hashes in (True, False):
        if not check_hashes and name == "evil_files: changed":
            continue  # that one shows in the hash only
        with little_memory(), pytest.raises(BundleError) as caught:
            read_bundle(good.folder, check_hashes=check_hashes)
        assert type(caught.value) is wanted, caught.value
        assert is_one_sentence_with_a_remedy(caught.value), caught.value


def test_what_the_cascades_were_broken_from_is_sound(tmp_path: Path) -> None:
    good = make_bundle(tmp_path / "good")
    change(good.folder, evil_cascades.sound)
    assert read_bundle(good.folder).manifest.cascades


@pytest.mark.parametrize("name", evil_files.LATE_ATTACKS)
def test_an_evil_part_is_refused_when_it_is_read(name: str, tmp_path: Path) -> None:
    craft, use = evil_files.LATE_ATTACKS[name]
    good = make_bundle(tmp_path / "good")
    use(good)
    craft(good.folder)
    opened = read_bundle(good.folder)
    with little_memory(), pytest.raises(BundleCorruptError) as caught:
        use(opened)
    assert is_one_sentence_with_a_remedy(caught.value)


@pytest.mark.parametrize("name", evil_archives.ATTACKS)
def test_an_evil_archive_is_refused_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    craft, wanted = evil_archives.ATTACKS[name]
    good = make_bundle(tmp_path / "good")
    file = tmp_path / "evil.whet"
    craft(good.folder, file)
    before = everything_below(tmp_path)
    with little_memory(), pytest.raises(BundleError) as caught:
        unpack(file, tmp_path / "a" / "b" / "out")
    assert isinstance(caught.value, wanted), caught.value
    assert is_one_sentence_with_a_remedy(caught.value), caught.value
    assert everything_below(tmp_path) - before <= {"a", "a/b"}
    assert not Path("/tmp/escaped").exists()


@contextmanager
def without_rights(*closed: Path) -> Iterator[None]:
    """Files that may not be read, for this user or, if that is root, for another."""
    modes = {path: path.stat().st_mode for path in closed}
    for path in closed:
        path.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for path, mode in modes.items():
            path.chmod(mode)


@pytest.mark.parametrize(
    "closed", ["report.html", "manifest.json", "manifest.sha256", "goldens", "."]
)
def test_what_may_not_be_read(closed: str) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        Path(name).chmod(0o755)
        good = make_bundle(Path(name) / "good")
        with without_rights(good.folder / closed), pytest.raises(BundleError) as caught:
            read_bundle(good.folder)
        assert type(caught.value) is BundleError
        assert "may not be read" in caught.value.message
        assert read_bundle(good.folder) == good


@pytest.mark.parametrize(
    "path", ["", "nowhere", "a\0b", "x" * 5000, "loop", "fifo", "text", "/dev/null"]
)
def test_paths_that_hold_no_bundle(path: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path / path)
    assert is_one_sentence_with_a_remedy(caught.value) or path.startswith("x")
    with pytest.raises(BundleError):
        unpack(tmp_path / path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.timeout(5)
@pytest.mark.parametrize("end", [b"", b"\\"])
def test_a_text_that_never_ends_takes_no_time(end: bytes) -> None:
    """Each quote in it once began a search to the end: minutes for a hundred kilobytes."""
    with pytest.raises(BundleCorruptError):
        parse(b'"' + b'\\"' * 1_000_000 + end, "m", JsonLimits(size_bytes=4 << 20))

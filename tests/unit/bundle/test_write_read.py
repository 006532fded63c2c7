from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bundle_factory import (
    INPUTS,
    SIGNATURE,
    draft,
    evidence,
    make_bundle,
    manifest_of,
    run_model,
    variant,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whet.bundle.draft import GoldenDraft
from whet.bundle.manifest import Manifest
from whet.bundle.read import Bundle, read_bundle
from whet.bundle.write import write_bundle
from whet.core.artifact import Artifact, Format
from whet.core.spec import Signature, TensorSpec
from whet.errors import (
    BundleCorruptError,
    BundleError,
    BundlePathError,
    OptionError,
)


def hidden(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.name.startswith("."))


def test_round_trip(tmp_path: Path) -> None:
    given_draft = draft(tmp_path / "sources")
    written = write_bundle(tmp_path / "deep" / "er" / "b", given_draft)
    again = read_bundle(tmp_path / "deep" / "er" / "b")
    assert again == written
    manifest = again.manifest
    assert [v.name for v in manifest.variants] == ["exact", "small"]
    assert again.variant().name == "small"
    assert manifest.transform == given_draft.transform
    assert again.evidence() == given_draft.evidence
    for mine, theirs in zip(manifest.variants, given_draft.variants, strict=True):
        for field in ("runtime", "settings", "recipe", "trial", "latency", "quality", "tolerance"):
            assert getattr(mine, field) == getattr(theirs, field)
        artifact = again.artifact(mine.name)
        assert [f.read_bytes() for f in artifact.files()] == [
            f.read_bytes() for f in theirs.artifact.files()
        ]
        assert artifact.digest() == theirs.artifact.digest()
    assert again.read("report.html", 100) == b"<html>report</html>"
    assert again.size_bytes() == sum(e.size_bytes for e in manifest.files.values())
    assert hidden(tmp_path / "deep" / "er") == []
    assert again.digest == hashlib.sha256((again.folder / "manifest.json").read_bytes()).hexdigest()


def test_the_seal_is_what_sha256sum_reads(bundle: Bundle) -> None:
    done = subprocess.run(
        ["sha256sum", "-c", "manifest.sha256"], cwd=bundle.folder, capture_output=True, check=False
    )
    assert done.returncode == 0


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    given_draft = draft(tmp_path / "sources")
    one = write_bundle(tmp_path / "one", given_draft)
    two = write_bundle(tmp_path / "two", given_draft)
    assert one.digest == two.digest


def test_variants_with_the_same_files_store_them_once(tmp_path: Path) -> None:
    first = variant(tmp_path / "s", "exact", b"weights")
    second = replace(first, name="threads4")
    made = make_bundle(tmp_path / "b", variants=(first, second), default="exact")
    assert made.variant("threads4").files == made.variant("exact").files
    assert sum("exact.onnx.data" in name for name in made.manifest.files) == 1


@pytest.mark.parametrize("form", ["file", "folder", "foreign json", "link", "empty"])
def test_what_is_not_a_bundle_is_never_replaced(form: str, tmp_path: Path) -> None:
    where = tmp_path / "b"
    if form == "file":
        where.write_text("precious")
    elif form == "link":
        (tmp_path / "target").mkdir()
        where.symlink_to(tmp_path / "target")
    else:
        where.mkdir()
        if form == "folder":
            (where / "precious").write_text("precious")
        elif form == "foreign json":
            (where / "manifest.json").write_text('{"kind": "something else"}')
    before = sorted(str(p) for p in tmp_path.rglob("*"))
    for replacing in (False, True):
        with pytest.raises(BundleError):
            write_bundle(where, draft(tmp_path.parent / f"{tmp_path.name}-s"), replace=replacing)
    assert sorted(str(p) for p in tmp_path.rglob("*")) == before


def test_a_bundle_is_replaced_only_when_asked_and_at_once(bundle: Bundle, tmp_path: Path) -> None:
    new = draft(tmp_path / "s", name="other")
    with pytest.raises(BundleError, match="exists already"):
        write_bundle(bundle.folder, new)
    assert read_bundle(bundle.folder).manifest.name == "digits"
    write_bundle(bundle.folder, new, replace=True)
    assert read_bundle(bundle.folder).manifest.name == "other"
    assert hidden(tmp_path) == []


def test_a_damaged_bundle_can_be_replaced(bundle: Bundle, tmp_path: Path) -> None:
    (bundle.folder / "report.html").write_text("cut")
    with pytest.raises(BundleCorruptError):
        read_bundle(bundle.folder)
    new = draft(tmp_path / "s", name="mended")
    write_bundle(bundle.folder, new, replace=True)
    assert read_bundle(bundle.folder).manifest.name == "mended"
    assert (bundle.folder / "report.html").read_text() != "cut"


def test_files_of_the_user_inside_a_bundle_are_never_lost(bundle: Bundle, tmp_path: Path) -> None:
    (bundle.folder / "variants" / "notes.txt").write_text("mine")
    with pytest.raises(BundleError, match=r"notes\.txt"):
        write_bundle(bundle.folder, draft(tmp_path / "s"), replace=True)
    assert (bundle.folder / "variants" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"default": "none"}, "default variant"),
        ({"variants": ()}, "variants"),
        ({"name": "a/b"}, "not allowed"),
        ({"extra": {"../out": b""}}, "not allowed"),
        ({"extra": {"evidence.json": b""}}, "Two files"),
        ({"extra": {"manifest.json": b""}}, "twice"),
        ({"extra": {"Report.HTML": b"", "report.html": b""}}, "twice"),
        ({"extra": {"x": Path("/nowhere/at/all")}}, "can't be"),
        ({"extra": {"x": Path("/")}}, "is no file"),
        ({"transform": {"mean": float("nan")}}, "not a finite number"),
        ({"goldens": None}, "without golden inputs"),
        ({"goldens": GoldenDraft({"x": INPUTS["x"][:3]}, 2)}, "can't be split"),
        ({"goldens": GoldenDraft({"wrong": INPUTS["x"]})}, "GoldenSet|rows|goldens"),
        ({"goldens": GoldenDraft({"x": INPUTS["x"].astype(np.float64)})}, "don't fit"),
        ({"goldens": GoldenDraft({"x": np.array([[object()] * 3] * 4)})}, "plain numbers"),
    ],
)
def test_a_wrong_draft_is_refused_and_leaves_nothing(
    fields: dict[str, object], match: str, tmp_path: Path
) -> None:
    given_draft = draft(tmp_path / "sources", **fields)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(BundleError, match=match):
        write_bundle(out / "b", given_draft)
    assert list(out.iterdir()) == []


def test_a_variant_must_have_the_bundles_face(tmp_path: Path) -> None:
    other = Signature((TensorSpec("x", "int64", ("batch", 3)),), SIGNATURE.outputs)
    first = variant(tmp_path / "s", "exact", b"w")
    stranger = replace(first, artifact=Artifact(first.artifact.path, Format.ONNX, other))
    with pytest.raises(BundleError, match="other tensors"):
        make_bundle(tmp_path / "b", variants=(stranger,), default="exact")


def test_control_characters_of_foreign_messages_are_replaced(tmp_path: Path) -> None:
    made = make_bundle(tmp_path / "b", evidence=evidence("red \x1b[31malarm\x00"))
    kept = made.evidence()
    assert kept is not None
    assert kept.notes[0].reason == "red \ufffd[31malarm\ufffd"


def test_code_in_a_bundle_needs_trust(tmp_path: Path) -> None:
    first = variant(tmp_path / "s", "native", b"w")
    native = replace(first, artifact=Artifact(first.artifact.path, Format.AOTI, SIGNATURE))
    made = make_bundle(tmp_path / "b", variants=(native,), default="native")
    assert made.variant().runs_code
    with pytest.raises(BundleError, match="runs code"):
        made.artifact()
    assert made.artifact(trust_code=True).format is Format.AOTI


def test_a_certain_bundle_can_be_asked_for(bundle: Bundle) -> None:
    assert read_bundle(bundle.folder, expect_digest=bundle.digest) == bundle
    with pytest.raises(BundleCorruptError, match="not the bundle that was asked for"):
        read_bundle(bundle.folder, expect_digest="0" * 64)


def test_reading_through_a_link_to_the_folder_is_allowed(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(bundle.folder)
    assert read_bundle(tmp_path / "latest").folder == bundle.folder


def test_names_outside_the_list_are_not_given_out(bundle: Bundle) -> None:
    for name in ("../good/manifest.json", "/etc/passwd", "manifest.json", ""):
        with pytest.raises(BundleError, match="lists no file"):
            bundle.file(name)
    with pytest.raises(OptionError, match="no variant"):
        bundle.variant("huge")
    with pytest.raises(BundleCorruptError, match="are allowed"):
        bundle.read("report.html", 5)


def test_a_file_changed_after_the_check_is_noticed_when_read(bundle: Bundle) -> None:
    (bundle.folder / "report.html").write_bytes(b"<html>REPORT</html>")
    with pytest.raises(BundleCorruptError, match="changed or damaged"):
        bundle.read("report.html", 100)
    read_bundle(bundle.folder, check_hashes=False)


def flipped(data: bytes, position: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[position % len(data)] ^= 1 << bit
    return bytes(changed)


@pytest.fixture(scope="module")
def shared_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("flip") / "b")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), position=st.integers(0, 1 << 20), bit=st.integers(0, 7))
def test_any_flipped_bit_in_any_file_is_refused(
    shared_bundle: Bundle, data: st.DataObject, position: int, bit: int
) -> None:
    names = sorted(["manifest.json", "manifest.sha256", *shared_bundle.manifest.files])
    file = shared_bundle.folder / data.draw(st.sampled_from(names))
    good = file.read_bytes()
    try:
        file.write_bytes(flipped(good, position, bit))
        with pytest.raises(BundleCorruptError):
            read_bundle(shared_bundle.folder)
    finally:
        file.write_bytes(good)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), cut=st.integers(0, 1 << 20))
def test_any_truncated_file_is_refused(
    shared_bundle: Bundle, data: st.DataObject, cut: int
) -> None:
    names = sorted(["manifest.json", "manifest.sha256", *shared_bundle.manifest.files])
    file = shared_bundle.folder / data.draw(st.sampled_from(names))
    good = file.read_bytes()
    try:
        file.write_bytes(good[: cut % len(good)])
        with pytest.raises(BundleCorruptError):
            read_bundle(shared_bundle.folder, check_hashes=False)
    finally:
        file.write_bytes(good)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs")), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=3), inner),
    max_leaves=10,
)
segment = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True).filter(
    lambda s: not s.endswith(".")
)


@settings(max_examples=40)
@given(
    transform=st.none() | st.dictionaries(st.text("abc", max_size=5), plain, max_size=4),
    rows=st.integers(1, 5),
    seed=st.integers(0, 1000),
    extra=st.dictionaries(segment, st.binary(max_size=50), max_size=3),
)
def test_what_is_written_is_read(
    transform: dict[str, object] | None, rows: int, seed: int, extra: dict[str, bytes]
) -> None:
    inputs = {"x": np.random.default_rng(seed).normal(size=(rows, 3)).astype(np.float32)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = variant(folder / "s", "only", b"w", goldens=run_model(inputs))
        given_draft = draft(
            folder / "s",
            transform=transform,
            goldens=GoldenDraft(inputs, rows),
            variants=(first,),
            default="only",
            extra=extra,
        )
        try:
            write_bundle(folder / "b", given_draft)
        except BundlePathError:  # two names that differ only in case, or a device name
            assert not (folder / "b").exists()
            return
        made = read_bundle(folder / "b")
        assert made.manifest.transform == transform
        assert {n: made.read(n, 100) for n in extra} == extra


def test_the_manifest_says_what_the_format_page_says(bundle: Bundle) -> None:
    page = (Path(sys.modules["whet.bundle"].__file__ or "").parent / "FORMAT.md").read_text("utf-8")
    for field in Manifest.__struct_fields__:
        assert f"`{field}`" in page, f"FORMAT.md doesn't mention {field}"
    for field in bundle.variant().__struct_fields__:
        assert f"`{field}`" in page, f"FORMAT.md doesn't mention {field} of a variant"
    assert manifest_of(bundle.folder)["kind"] == "whet-bundle"

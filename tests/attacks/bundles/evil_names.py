"""Names that lead elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bundle_factory import change, manifest_of, reseal

from whet.errors import BundleCorruptError, BundleError, BundlePathError


def renamed(name: str) -> Callable[[Path], None]:
    """The report under another name, listed everywhere it must be."""

    def craft(bundle: Path) -> None:
        plain = manifest_of(bundle)
        plain["files"][name] = plain["files"].pop("report.html")
        reseal(bundle, plain)

    return craft


def real_traversal(bundle: Path) -> None:
    """The file outside exists and its hash fits."""
    (bundle / "report.html").rename(bundle.parent / "outside.html")
    renamed("../outside.html")(bundle)


def real_absolute(bundle: Path) -> None:
    target = bundle.parent / "outside.html"
    (bundle / "report.html").rename(target)
    renamed(str(target))(bundle)


def link_to_a_file(bundle: Path) -> None:
    """A link whose target has the right bytes."""
    (bundle / "report.html").rename(bundle.parent / "outside.html")
    (bundle / "report.html").symlink_to("../outside.html")


def link_inside(bundle: Path) -> None:
    """Even a link that stays inside."""
    target = bundle / "variants" / "small" / "small.onnx.data"
    target.rename(bundle / "variants" / "exact" / "moved")
    target.symlink_to("../exact/moved")


def link_to_a_folder(bundle: Path) -> None:
    (bundle / "variants").rename(bundle.parent / "elsewhere")
    (bundle / "variants").symlink_to("../elsewhere")


def link_as_manifest(bundle: Path) -> None:
    (bundle / "manifest.json").rename(bundle.parent / "m.json")
    (bundle / "manifest.json").symlink_to("../m.json")


def link_as_seal(bundle: Path) -> None:
    (bundle / "manifest.sha256").rename(bundle.parent / "m.sha256")
    (bundle / "manifest.sha256").symlink_to("../m.sha256")


def dangling_link(bundle: Path) -> None:
    (bundle / "report.html").unlink()
    (bundle / "report.html").symlink_to("nowhere")


def loop_of_links(bundle: Path) -> None:
    (bundle / "report.html").unlink()
    (bundle / "report.html").symlink_to("report.html")


def same_name_in_other_case(bundle: Path) -> None:
    (bundle / "REPORT.html").write_bytes((bundle / "report.html").read_bytes())
    change(bundle, lambda m: m["files"].update({"REPORT.html": m["files"]["report.html"]}))


def file_below_a_file(bundle: Path) -> None:
    change(bundle, lambda m: m["files"].update({"report.html/x": m["files"]["report.html"]}))


def manifest_lists_itself(bundle: Path) -> None:
    change(bundle, lambda m: m["files"].update({"manifest.json": m["files"]["report.html"]}))


def evil_variant_name(bundle: Path) -> None:
    def edit(plain: dict[str, object]) -> None:
        plain["variants"][1]["name"] = plain["default"] = "../../x"  # type: ignore[index]

    change(bundle, edit)


def evil_model_name(bundle: Path) -> None:
    change(bundle, lambda m: m.update(name="\u001b]0;owned\u0007"))


def graph_that_is_not_listed(bundle: Path) -> None:
    change(bundle, lambda m: m["variants"][0]["files"].append("variants/exact/more"))


def tokenizer_that_is_not_listed(bundle: Path) -> None:
    change(bundle, lambda m: m.update(transform_files=["/etc/passwd"]))


def tokenizer_elsewhere(bundle: Path) -> None:
    """The files are listed; the transform names another."""
    change(bundle, lambda m: m["transform"].update(tokenizer="../../../etc/passwd"))


def tokenizer_of_another_type(bundle: Path) -> None:
    change(bundle, lambda m: m["transform"].update(tokenizer=["/etc/passwd"]))


def evidence_that_is_not_listed(bundle: Path) -> None:
    change(bundle, lambda m: m.update(evidence="../evidence.json"))


def sidecar_in_another_folder(bundle: Path) -> None:
    change(bundle, lambda m: m["variants"][0]["files"].append("report.html"))


def unlisted_file(bundle: Path) -> None:
    """A graph may name external data; a runtime would read this file unchecked."""
    (bundle / "variants" / "small" / "more.data").write_bytes(b"evil")


def unlisted_folder(bundle: Path) -> None:
    (bundle / "__pycache__").mkdir()


def unlisted_link(bundle: Path) -> None:
    (bundle / "variants" / "up").symlink_to("/")


ATTACKS: dict[str, tuple[Callable[[Path], None], type[BundleError]]] = {
    "path traversal": (real_traversal, BundlePathError),
    "absolute path": (real_absolute, BundlePathError),
    "link to a file": (link_to_a_file, BundlePathError),
    "link inside": (link_inside, BundlePathError),
    "link to a folder": (link_to_a_folder, BundlePathError),
    "link as manifest": (link_as_manifest, BundlePathError),
    "link as seal": (link_as_seal, BundlePathError),
    "dangling link": (dangling_link, BundlePathError),
    "loop of links": (loop_of_links, BundlePathError),
    "same name in other case": (same_name_in_other_case, BundlePathError),
    "file below a file": (file_below_a_file, BundlePathError),
    "manifest lists itself": (manifest_lists_itself, BundlePathError),
    "evil variant name": (evil_variant_name, BundlePathError),
    "evil model name": (evil_model_name, BundleCorruptError),
    "graph not listed": (graph_that_is_not_listed, BundleCorruptError),
    "tokenizer not listed": (tokenizer_that_is_not_listed, BundleCorruptError),
    "tokenizer elsewhere": (tokenizer_elsewhere, BundleCorruptError),
    "tokenizer of another type": (tokenizer_of_another_type, BundleCorruptError),
    "evidence not listed": (evidence_that_is_not_listed, BundleCorruptError),
    "sidecar in another folder": (sidecar_in_another_folder, BundleCorruptError),
    "unlisted file": (unlisted_file, BundleCorruptError),
    "unlisted folder": (unlisted_folder, BundleCorruptError),
    "unlisted link": (unlisted_link, BundleCorruptError),
    **{
        f"name {name[:20]!r}": (renamed(name), BundlePathError)
        for name in (
            "a/../report.html",
            "..\\report.html",
            "C:\\report.html",
            "report.html\n",
            ".hidden",
            "NUL",
            "a" * 200,
            "x/" * 50 + "y",
            "",
        )
    },
    "name with a NUL": (renamed("report.html\0.png"), BundleCorruptError),
}

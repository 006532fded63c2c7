"""Manifests that are too large, too deep, ambiguous, or simply untrue."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bundle_factory import change, manifest_of, reseal

from whet.errors import BundleCorruptError, BundleError, BundleVersionError


def sealed(data: bytes) -> Callable[[Path], None]:
    return lambda bundle: reseal(bundle, data)


def replaced(old: str, new: str) -> Callable[[Path], None]:
    """A change to the text of the manifest, for what JSON libraries won't write."""

    def craft(bundle: Path) -> None:
        text = json.dumps(manifest_of(bundle))
        assert old in text
        reseal(bundle, text.replace(old, new, 1).encode())

    return craft


def edited(edit: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    return lambda bundle: change(bundle, edit)


def giant(bundle: Path) -> None:
    change(bundle, lambda m: m["transform"].update(x="a" * (4 << 20)))


def sparse_giant(bundle: Path) -> None:
    with (bundle / "manifest.json").open("r+b") as stream:
        stream.truncate(1 << 40)


def many_values(bundle: Path) -> None:
    change(bundle, lambda m: m["transform"].update(x=[0] * 300_000))


def deep(bundle: Path) -> None:
    replaced('"mean": [0.5', '"deep": ' + "[" * 90_000 + "]" * 90_000 + ', "mean": [0.5')(bundle)


def many_files(bundle: Path) -> None:
    def edit(plain: dict[str, Any]) -> None:
        entry = plain["files"]["report.html"]
        plain["files"].update({f"x{number}": entry for number in range(5000)})

    change(bundle, edit)


def newer_with_unknown_fields(bundle: Path) -> None:
    change(bundle, lambda m: (m.update(version=3, unheard_of=[1, 2]), m.pop("files")))


CORRUPT: dict[str, Callable[[Path], None]] = {
    "giant manifest": giant,
    "sparse giant manifest": sparse_giant,
    "many values": many_values,
    "deep nesting": deep,
    "many files": many_files,
    "not json": sealed(b"hello"),
    "empty": sealed(b""),
    "an array": sealed(b"[]"),
    "a string": sealed(b'"whet-bundle"'),
    "null": sealed(b"null"),
    "another kind": edited(lambda m: m.update(kind="pickle-bundle")),
    "no kind": edited(lambda m: m.pop("kind")),
    "version zero": edited(lambda m: m.update(version=0)),
    "version true": edited(lambda m: m.update(version=True)),
    "version text": edited(lambda m: m.update(version="1")),
    "version float": edited(lambda m: m.update(version=1.5)),
    "version huge": replaced('"version": 1', '"version": ' + "9" * 4000),
    "unknown field": edited(lambda m: m.update(hook="os.system('true')")),
    "unknown field inside": edited(lambda m: m["variants"][0].update(library="evil.so")),
    "unknown setting": edited(lambda m: m["variants"][0]["settings"].update(plugin="evil.so")),
    "missing field": edited(lambda m: m.pop("signature")),
    "wrong type": edited(lambda m: m.update(files=[])),
    "duplicate key": replaced('"kind": ', '"kind": "other", "kind": '),
    "duplicate file": replaced('"files": {', '"files": {"report.html": {}, '),
    "NaN": replaced("[0.5", "[NaN"),
    "infinity": replaced("[0.5", "[Infinity"),
    "overflow to infinity": replaced("[0.5", "[1e400"),
    "giant integer": replaced("[0.5", "[" + "9" * 100_000),
    "bad utf-8": lambda bundle: reseal(
        bundle, (bundle / "manifest.json").read_bytes().replace(b"digits", b"dig\xffts")
    ),
    "utf-16": lambda bundle: reseal(
        bundle, (bundle / "manifest.json").read_text("utf-8").encode("utf-16")
    ),
    "terminal escape": edited(lambda m: m.update(created="\x1b[2J")),
    "lone surrogate": replaced('"created": "', '"created": "\\ud800'),
    "no variants": edited(lambda m: m.update(variants=[])),
    "many variants": edited(lambda m: m.update(variants=m["variants"] * 40)),
    "same variant twice": edited(lambda m: m.update(variants=m["variants"][:1] * 2)),
    "unknown default": edited(lambda m: m.update(default="huge")),
    "unknown format": edited(lambda m: m["variants"][0].update(format="pickle")),
    "no files of a variant": edited(lambda m: m["variants"][0].update(files=[])),
    "short hash": edited(lambda m: m["files"]["report.html"].update(sha256="00")),
    "hash with newline": edited(
        lambda m: m["files"]["report.html"].update(
            sha256=m["files"]["report.html"]["sha256"] + "\n"
        )
    ),
    "object dtype": edited(lambda m: m["signature"]["inputs"][0].update(dtype="object")),
    "negative dimension": edited(lambda m: m["signature"]["inputs"][0].update(shape=[-1, 3])),
    "giant dimension": edited(lambda m: m["signature"]["inputs"][0].update(shape=[2**62, 3])),
    "many dimensions": edited(lambda m: m["signature"]["inputs"][0].update(shape=[1] * 1000)),
    "same tensor twice": edited(
        lambda m: m["signature"].update(inputs=m["signature"]["inputs"] * 2)
    ),
    "no inputs": edited(lambda m: m["signature"].update(inputs=[])),
    "million threads": edited(lambda m: m["variants"][0]["settings"].update(threads=10**6)),
    "no threads": edited(lambda m: m["variants"][0]["settings"].update(threads=0)),
    "golden of giant shape": edited(
        lambda m: m["goldens"]["inputs"][0].update(shape=[4, 2_000_000_000])
    ),
    "golden of negative shape": edited(lambda m: m["goldens"]["inputs"][0].update(shape=[4, -3])),
    "golden of object dtype": edited(lambda m: m["goldens"]["inputs"][0].update(dtype="object")),
    "golden not listed": edited(lambda m: m["goldens"]["inputs"][0].update(file="/etc/passwd")),
    "golden rows": edited(lambda m: m["goldens"].update(rows=3)),
    "golden rows per run": edited(lambda m: m["goldens"].update(rows_per_run=3)),
    "goldens without tolerance": edited(lambda m: m["variants"][0].update(tolerance=None)),
    "quality of an output that isn't there": edited(
        lambda m: m["variants"][0]["quality"].update(ignored=["z"])
    ),
    "output judged and ignored": edited(
        lambda m: m["variants"][0]["quality"].update(output="y:0", ignored=["y:0"])
    ),
    "negative tolerance": edited(lambda m: m["variants"][0]["tolerance"].update(absolute=-1)),
}

ATTACKS: dict[str, tuple[Callable[[Path], None], type[BundleError]]] = {
    **{name: (craft, BundleCorruptError) for name, craft in CORRUPT.items()},
    "newer version": (edited(lambda m: m.update(version=3)), BundleVersionError),
    "newer version with unknown fields": (newer_with_unknown_fields, BundleVersionError),
}

"""Cascades that lead nowhere, to themselves, or to what isn't there."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bundle_factory import change

from whet.errors import BundleCorruptError, BundleError, BundlePathError

Edit = Callable[[dict[str, Any]], object]

CASCADE: dict[str, Any] = {
    "name": "cascade",
    "confidence": {"output": "y:0", "measure": "top"},
    "stages": [
        {
            "variant": "small",
            "exit_share": 0.75,
            "gate": {"threshold": 0.8, "temperature": 1.0},
        },
        {"variant": "exact", "exit_share": 0.25},
    ],
}


def sound(manifest: dict[str, Any]) -> None:
    """What a reader takes, so that a refusal is owed to the attack alone."""
    manifest.update(version=2, cascades=[copy.deepcopy(CASCADE)])


def broken(edit: Edit) -> Callable[[Path], None]:
    """A sound cascade with a change."""

    def both(manifest: dict[str, Any]) -> None:
        sound(manifest)
        edit(manifest["cascades"][0])

    return lambda bundle: change(bundle, both)


def around(edit: Edit) -> Callable[[Path], None]:
    """A sound cascade, and a change to the manifest around it."""

    def both(manifest: dict[str, Any]) -> None:
        sound(manifest)
        edit(manifest)

    return lambda bundle: change(bundle, both)


def gate(**fields: Any) -> Callable[[Path], None]:
    return broken(lambda c: c["stages"][0]["gate"].update(fields))


def second(manifest: dict[str, Any], **fields: Any) -> None:
    manifest["cascades"].append(copy.deepcopy(CASCADE) | fields)


def through_each_other(manifest: dict[str, Any]) -> None:
    second(manifest, name="other")
    manifest["cascades"][0]["stages"][0]["variant"] = "other"
    manifest["cascades"][1]["stages"][0]["variant"] = "cascade"


def without_rows(manifest: dict[str, Any]) -> None:
    for each in (manifest, *manifest["variants"]):
        each["signature"]["outputs"][0]["shape"] = [1, 2]


CORRUPT: dict[str, Callable[[Path], None]] = {
    "unknown stage": broken(lambda c: c["stages"][0].update(variant="huge")),
    "itself as a stage": broken(lambda c: c["stages"][1].update(variant="cascade")),
    "through each other": around(through_each_other),
    "a stage twice": broken(lambda c: c["stages"][1].update(variant="small")),
    "one stage": broken(lambda c: c.update(stages=c["stages"][1:])),
    "no stages": broken(lambda c: c.update(stages=[])),
    "many stages": broken(lambda c: c.update(stages=c["stages"][:1] * 1000)),
    "no gate": broken(lambda c: c["stages"][0].pop("gate")),
    "a gate at the last": broken(lambda c: c["stages"][1].update(gate=c["stages"][0]["gate"])),
    "threshold above one": gate(threshold=1.5),
    "negative threshold": gate(threshold=-0.5),
    "threshold of text": gate(threshold="0.8"),
    "no temperature": gate(temperature=0.0),
    "negative temperature": gate(temperature=-1.0),
    "endless temperature": gate(temperature=1e300),
    "unknown measure": broken(lambda c: c["confidence"].update(measure="entropy")),
    "unknown output": broken(lambda c: c["confidence"].update(output="z")),
    "shares beyond one": broken(lambda c: c["stages"][0].update(exit_share=0.9)),
    "negative share": broken(lambda c: c["stages"][0].update(exit_share=-0.1)),
    "unknown field": broken(lambda c: c.update(hook="os.system('true')")),
    "files of its own": broken(lambda c: c["stages"][0].update(files=["/etc/passwd"])),
    "quality of an output that isn't there": broken(
        lambda c: c.update(
            quality={
                "metric": "top1",
                "n": 10,
                "reference": 1,
                "candidate": 1,
                "drop": 0,
                "bound": 0,
                "allowed": 1,
                "confidence": 0.9,
                "verdict": "passed",
                "certified": True,
                "output": "z",
            }
        )
    ),
    "a variant's name": broken(lambda c: c.update(name="small")),
    "the same cascade twice": around(second),
    "many cascades": around(lambda m: m.update(cascades=m["cascades"] * 17)),
    "as the default": around(lambda m: m.update(default="cascade")),
    "in an older version": around(lambda m: m.update(version=1)),
    "without rows": around(without_rows),
}

ATTACKS: dict[str, tuple[Callable[[Path], None], type[BundleError]]] = {
    **{name: (craft, BundleCorruptError) for name, craft in CORRUPT.items()},
    "a name that leads away": (broken(lambda c: c.update(name="../up")), BundlePathError),
}

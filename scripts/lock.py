"""Write the lock files from what is installed: `make lock`.

`lock.txt` pins everything that development, tests and docs need, `run.txt`
only what a machine needs that runs bundles. Both are closures over installed
metadata, so a package that nothing asks for is left out.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
HEAD = "# Written by `make lock`; change pyproject.toml instead.\n"
# Part of every virtual environment; pinning them would make pip replace itself.
LEFT_OUT = frozenset({"pip", "setuptools", "wheel"})

Requires = Callable[[str], Iterable[str]]
Versions = Callable[[str], str]


def closure(wanted: Iterable[str], requires: Requires, own: str) -> set[str]:
    """Names of all packages that ``wanted`` needs, directly or not, without ``own``.

    Args:
        wanted: requirement strings.
        requires: the requirement strings of an installed package.
        own: the project itself; its extras are followed, its name is left out.
    """
    seen: set[tuple[str, str]] = set()
    waiting = [pair for text in wanted for pair in _asked(text, "")]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen or name in LEFT_OUT:
            continue
        seen.add((name, extra))
        waiting += [pair for text in requires(name) for pair in _asked(text, extra)]
    return {name for name, _ in seen} - {own}


def _asked(text: str, extra: str) -> Iterator[tuple[str, str]]:
    """The (package, extra) pairs that one requirement brings here."""
    need = Requirement(text)
    if need.marker is not None and not need.marker.evaluate({"extra": extra}):
        return
    name = canonicalize_name(need.name)
    yield name, ""
    for further in need.extras:
        yield name, canonicalize_name(further)


def pins(names: Iterable[str], version: Versions) -> str:
    """One ``name==version`` a line, sorted; local version labels are dropped."""
    return "".join(f"{name}=={version(name).partition('+')[0]}\n" for name in sorted(names))


def main() -> None:
    """Read pyproject.toml and the environment, write the two files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    optional = project["project"]["optional-dependencies"]

    def requires(name: str) -> list[str]:
        if name != "whet":
            return metadata.requires(name) or []
        # Read from the file, so that an old install of whet can't be believed.
        return project["project"]["dependencies"] + [
            f"{Requirement(text)!s} ; extra == '{extra}'"
            for extra, texts in optional.items()
            for text in texts
        ]

    develop = project["dependency-groups"]["dev"] + project["build-system"]["requires"]
    for file, wanted in (("lock.txt", develop), ("run.txt", ["whet[serve]"])):
        names = closure(wanted, requires, "whet")
        (ROOT / "requirements" / file).write_text(
            HEAD + pins(names, metadata.version), encoding="utf-8"
        )
        print(f"requirements/{file}: {len(names)} packages")


if __name__ == "__main__":
    main()

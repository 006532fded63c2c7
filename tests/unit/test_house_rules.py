"""House rules that no linter holds, read from the syntax trees of `src` (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import itertools
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "whet"
MODULES = sorted(SRC.rglob("*.py"))
TREES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in MODULES}

# Unpickling runs code; these packages unpickle.
PICKLERS = {"pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib"}
# Nothing in src may reach the network on its own.
NETWORK = {"urllib.request", "http.client", "requests", "httpx", "aiohttp", "ftplib", "smtplib"}
HUB_CALLS = {"hf_hub_download", "snapshot_download", "load_state_dict_from_url", "urlopen"}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Each call with the dotted name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def keyword(call: ast.Call, name: str) -> object:
    """The constant given for a keyword; ``None`` where it is absent or no constant."""
    for given in call.keywords:
        if given.arg == name and isinstance(given.value, ast.Constant):
            return given.value.value
    return None


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names that a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def required(tree: ast.AST) -> Iterator[str]:
    """Dotted names that a file imports through ``require("...")``."""
    for name, call in calls(tree):
        if name.endswith("require") and call.args and isinstance(call.args[0], ast.Constant):
            yield str(call.args[0].value)


def where(file: Path, node: ast.AST) -> str:
    return f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def test_no_assert_outside_the_shipped_test_suites() -> None:
    found = [
        where(file, node)
        for file, tree in TREES.items()
        if "testing" not in file.relative_to(SRC).parts
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
    ]
    assert found == [], "raise a typed error instead: asserts vanish under python -O"


def test_no_hasattr() -> None:
    found = [where(f, c) for f, t in TREES.items() for name, c in calls(t) if name == "hasattr"]
    assert found == [], "give the class a declared member, or wrap it"


def test_seconds_are_told_by_one_function() -> None:
    """Sentences take `seconds_words`; the report and the progress stamp have columns to fill."""
    own = {"core/units.py", "report/format.py", "cli/progress.py"}
    found = [
        where(file, node)
        for file, tree in TREES.items()
        if str(file.relative_to(SRC)) not in own
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for value, after in itertools.pairwise(node.values)
        if isinstance(value, ast.FormattedValue)
        and isinstance(after, ast.Constant)
        and re.match(r" s\b", str(after.value))
    ]
    assert found == []


def test_nothing_is_unpickled() -> None:
    """A restricted reader's error may be named; nothing else of a pickling package may be used."""
    found = []
    for file, tree in TREES.items():
        for name in {*imported(tree), *required(tree)}:
            package, _, member = name.partition(".")
            if package in PICKLERS and member:
                found.append(f"{where(file, tree)} imports {name}")
        for node in ast.walk(tree):
            used = isinstance(node, ast.Attribute) and ast.unparse(node.value) in PICKLERS
            if used and not node.attr.endswith("Error"):
                found.append(f"{where(file, node)} {ast.unparse(node)}")
        for name, call in calls(tree):
            if keyword(call, "allow_pickle") is True:
                found.append(f"{where(file, call)} allow_pickle")
            if re.fullmatch(r"_?torch\.load", name) and keyword(call, "weights_only") is not True:
                found.append(f"{where(file, call)} torch.load without weights_only=True")
    assert found == []


def test_no_shell() -> None:
    found = [
        where(file, call)
        for file, tree in TREES.items()
        for name, call in calls(tree)
        if keyword(call, "shell") is True or name in {"os.system", "os.popen"}
    ]
    assert found == [], "start processes with an argument list"


def test_no_network() -> None:
    found = []
    for file, tree in TREES.items():
        names = {*imported(tree), *required(tree)}
        found += [f"{where(file, tree)} imports {n}" for n in sorted(names & NETWORK)]
        for name, call in calls(tree):
            last = name.rpartition(".")[2]
            if last in HUB_CALLS:
                found.append(f"{where(file, call)} {name}")
            if last == "from_pretrained" and keyword(call, "local_files_only") is not True:
                found.append(f"{where(file, call)} {name} without local_files_only=True")
    assert found == [], "whet works offline: files come from paths that the user named"


def test_torch_and_onnx_are_required_where_they_live() -> None:
    """`.importlinter` sees import statements; this sees ``require("torch", ...)``."""
    found = []
    for file, tree in TREES.items():
        place = file.relative_to(SRC)
        at_home = place.parts[0] in {"optimize", "testing"} or (
            place.parts[0] == "runtimes" and place.name.startswith(("torch", "inductor"))
        )
        if not at_home:
            names = {name.partition(".")[0] for name in required(tree)}
            found += [f"{where(file, tree)} {n}" for n in sorted(names & {"torch", "onnx"})]
    assert found == []


# Joined here, so that this file doesn't name what it looks for.
MACHINE_PATHS = tuple("/" + "/".join(p) for p in (("work", ""), ("opt", "wheels")))


def _texts() -> Iterator[Path]:
    folders = ("src", "tests", "docs", "examples", "scripts", "benchmarks", "requirements")
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix in {".py", ".md", ".txt", ".json", ".yml", ".toml", ".html"}:
                yield file
    yield from (file for file in sorted(ROOT.glob("*")) if file.is_file())


def test_no_path_of_one_machine() -> None:
    found = []
    for file in _texts():
        text = file.read_text(encoding="utf-8", errors="replace")
        found += [
            f"{file.relative_to(ROOT)}: {path}"
            for path in MACHINE_PATHS
            if re.search(rf"(?<![\w.}}]){re.escape(path)}", text)
        ]
    assert found == []


def _defined(tree: ast.Module) -> set[str]:
    """Names bound at the top level of a module, also under `if` and `try`."""
    names: set[str] = set()
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(a.asname or a.name).partition(".")[0] for a in node.names}
        elif isinstance(node, ast.If | ast.Try):
            waiting += [*node.body, *node.orelse]
    return names


def _exported(tree: ast.Module) -> list[str] | None:
    """The literal ``__all__``; ``None`` where there is none."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets):
                return list(ast.literal_eval(node.value)) if node.value else None
    return None


def _public(file: Path) -> bool:
    """Whether others may import from the file: it has a public name and says something."""
    parts = file.relative_to(SRC).with_suffix("").parts
    private = any(p.startswith("_") and p not in {"__init__", "_optional"} for p in parts)
    return not private and bool(_defined(TREES[file]) - {"annotations"})


@pytest.mark.parametrize(
    "file", [f for f in MODULES if _public(f)], ids=lambda f: str(f.relative_to(SRC))
)
def test_public_modules_say_what_they_export_and_document_it(file: Path) -> None:
    tree = TREES[file]
    names = _exported(tree)
    assert names is not None, "a public module has a literal __all__"
    missing = set(names) - _defined(tree)
    assert not missing, f"__all__ names what isn't there: {sorted(missing)}"
    bare = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and node.name in names
        and not ast.get_docstring(node)
    ]
    assert not bare, f"public names without a docstring: {bare}"
    assert ast.get_docstring(tree), "a module opens with what it is for"


@pytest.mark.parametrize(("lines", "code"), [(500, 0), (501, 1)])
def test_the_file_length_check(lines: int, code: int, tmp_path: Path) -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "check_file_length.py"))
    (tmp_path / "long.py").write_text("x = 1\n" * lines)
    assert script["main"]([str(tmp_path)]) == code

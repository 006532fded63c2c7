"""What README and docs show is what the code does."""

from __future__ import annotations

import ast
import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SNIPPET = re.compile(r'--8<-- "([^":]+)(?::(\w+))?"')


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return [code for lang, code in FENCE.findall(page.read_text("utf-8")) if lang == language]


def script(name: str) -> dict[str, Any]:
    """The names that a script of scripts/ defines."""
    return runpy.run_path(str(ROOT / "scripts" / f"{name}.py"))


def commands() -> list[str]:
    """Every command line that starts with `whet` on any page."""
    return [
        line.removeprefix("$ ").partition("  #")[0].strip()
        for page in PAGES
        for block in blocks(page, "console")
        for line in block.splitlines()
        if line.startswith("$ whet ")
    ]


def test_the_example_in_the_readme_is_made_of_lines_that_run() -> None:
    """Each call in README's Python block is one of examples/digits.py, but for file names."""
    (code,) = blocks(ROOT / "README.md", "python")
    ran = ast.parse((ROOT / "examples" / "digits.py").read_text("utf-8"))
    known = {
        (ast.unparse(call.func), *sorted(k.arg or "**" for k in call.keywords))
        for call in ast.walk(ran)
        if isinstance(call, ast.Call)
    }
    for call in ast.walk(ast.parse(code)):
        if not isinstance(call, ast.Call):
            continue
        name = ast.unparse(call.func)
        given = {k.arg for k in call.keywords}
        assert any(name == k[0] and given <= set(k[1:]) for k in known), ast.unparse(call)


def test_every_python_block_of_the_docs_is_part_of_an_example() -> None:
    for page in DOCS:
        for code in blocks(page, "python"):
            assert SNIPPET.fullmatch(code.strip()), f"{page.name}: {code}"


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for page in PAGES:
        text = page.read_text("utf-8")
        named = set(re.findall(r"(?:^\$ |`)make ([a-z-]+)", text, re.MULTILINE))
        assert named <= targets, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_file_that_is_named_exists(page: Path) -> None:
    """Paths in code spans and links that start with a folder of the repository."""
    text = page.read_text("utf-8")
    folders = r"(?:src|docs|examples|tests|scripts|benchmarks|requirements|changelog)/"
    named = re.findall(rf"`({folders}[\w./-]*)`", text)
    named += [path for path, _ in SNIPPET.findall(text)]
    if page.name == "README.md":
        named += re.findall(r"\]\((?!http)([^)#]+)", text)
    made_later = {"benchmarks/results/main_job.json"}
    missing = [n for n in named if n not in made_later and not (ROOT / n).exists()]
    assert not missing


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_every_command_line_that_is_shown_parses(line: str) -> None:
    from whet.cli.main import parser
    from whet.cli.words import attached

    words = shlex.split(line)[1:]
    parsed = parser().parse_args(attached(words))
    assert parsed.verb == words[0]
    # Every option that is shown was taken as one, not as the value of another.
    taken = {f"--{name.replace('_', '-')}" for name, value in vars(parsed).items() if value}
    taken |= {"--data"} if parsed.verb in {"optimize", "apply"} else set()
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= taken


def test_the_command_line_reference_is_what_the_parser_takes() -> None:
    assert script("cli_reference")["main"](["--check"]) == 0


def test_the_results_are_spliced_between_the_marks_and_only_there() -> None:
    names = script("readme_results")
    readme = "a\n<!-- results -->\nold\n<!-- /results -->\nb\n"
    result = {
        "machine": {"cpu": "Some CPU", "cores": 2},
        "rows": [
            {
                "network": "n",
                "contender": "c|d",
                "p50_ms": {"value": 1.23456},
                "size_bytes": 25_300_000,
            }
        ],
        "goals": [
            {"name": "fast", "goal": 12, "reached": 13.04, "unit": "×", "met": True},
            {"name": "lost", "goal": 1, "reached": None, "unit": "pt", "met": False},
        ],
    }
    text = names["spliced"](readme, names["render"](result, "r.json"))
    assert text.startswith("a\n<!-- results -->\n")
    assert text.endswith("<!-- /results -->\nb\n")
    assert "old" not in text
    assert "| n | c\\|d | 1.23 | – | – | – | 25.3 | – |" in text
    assert "| fast | 12 × | 13 × | yes |" in text
    assert "| lost | 1 pt | – | **no** |" in text
    assert names["spliced"](text, names["render"](result, "r.json")) == text


def test_a_readme_without_marks_is_an_error() -> None:
    with pytest.raises(ValueError, match="results"):
        script("readme_results")["spliced"]("nothing here", "text")


def test_the_readme_shows_the_committed_result() -> None:
    assert script("readme_results")["main"](["--check"]) == 0


def test_the_tables_of_the_statistics_page_are_what_the_code_computes() -> None:
    assert script("floor_tables")["main"](["--check"]) == 0


def test_the_lock_follows_extras_and_markers() -> None:
    names = script("lock")
    graph = {
        "own": ["a ; extra == 'x'", "b"],
        "a": ["c[fast]>=1", "gone ; sys_platform == 'nowhere'"],
        "b": [],
        "c": ["d ; extra == 'fast'", "e ; extra == 'slow'"],
        "d": ["a"],
    }
    found = names["closure"](["own[x]"], lambda name: graph[name], "own")
    assert found == {"a", "b", "c", "d"}
    assert names["pins"]({"b", "a"}, lambda name: "1.0+cpu") == "a==1.0\nb==1.0\n"

"""The public names are a promise: this file changes only together with the changelog."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import whet
from whet.core.registry import names, resolve

VERBS = (
    "apply",
    "bench",
    "bench_service",
    "inspect",
    "load",
    "optimize",
    "read_recipe",
    "recipe_of",
    "serve",
    "verify",
    "write_recipe",
)
PUBLIC = [
    "AsyncClient",
    "Cast",
    "Client",
    "Contract",
    "ConvertIr",
    "Distill",
    "Drop",
    "DropBlocks",
    "ExitAfter",
    "Factor",
    "FoldTransform",
    "Fuse",
    "ImageTransform",
    "LearnInt8",
    "MergeTokens",
    "Narrow",
    "Pipeline",
    "QuantizeDynamic",
    "QuantizeNncf",
    "QuantizeNncfIr",
    "QuantizeOrt",
    "QuantizeWeights",
    "QuantizeWeightsIr",
    "Repair",
    "Resize",
    "Restore",
    "RestoreIr",
    "RestoreWeights",
    "Retries",
    "RoundWeights",
    "Separate",
    "Slim",
    "Sparsify",
    "StoreInt8",
    "Substitute",
    "TextTransform",
    "Tidy",
    "ToGraph",
    "WhetError",
    "__version__",
    "apply",
    "bench",
    "bench_service",
    "inspect",
    "load",
    "optimize",
    "read_recipe",
    "recipe_of",
    "serve",
    "verify",
    "write_recipe",
]


def test_the_public_names_are_exactly_these() -> None:
    assert sorted(whet.__all__) == PUBLIC
    assert dir(whet) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_each_public_name_resolves(name: str) -> None:
    assert getattr(whet, name) is not None


def test_each_verb_is_documented_where_it_is_written() -> None:
    for verb in VERBS:
        found = getattr(whet, verb)
        assert found.__module__.startswith("whet.api"), verb
        assert found.__doc__, verb


def test_every_registered_pass_is_public_under_the_name_of_its_class() -> None:
    for name in names("pass"):
        found = resolve("pass", name)
        assert getattr(whet, found.__name__) is found
        assert found.name == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = whet.no_such_name


def test_the_types_a_checker_sees_are_the_names_at_run_time() -> None:
    """The imports under TYPE_CHECKING and the lazy table must not drift apart."""
    tree = ast.parse(Path(whet.__file__ or "").read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If))
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == whet._WHERE

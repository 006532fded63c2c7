from __future__ import annotations

import subprocess
import sys

import pytest

from whet.core.registry import REGISTRY, names, resolve
from whet.errors import OptionError
from whet.runtimes.registry import available, get


@pytest.mark.parametrize("name", names("runtime"))
def test_runtimes_resolve_to_classes_of_that_name(name: str) -> None:
    assert resolve("runtime", name)().name == name
    assert get(name).name == name


@pytest.mark.parametrize("name", names("pass"))
def test_passes_resolve_to_classes_of_that_name(name: str) -> None:
    assert resolve("pass", name).name == name  # type: ignore[attr-defined]


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(OptionError) as refusal:
        get("onnx-runtime")
    assert "onnx-runtime" in refusal.value.message
    assert all(name in refusal.value.remedy for name in REGISTRY["runtime"])


def test_entries_are_import_strings() -> None:
    assert all(entry.count(":") == 1 for section in REGISTRY.values() for entry in section.values())


def test_asking_what_is_available_loads_no_runtime() -> None:
    code = (
        "import sys; from whet.runtimes.registry import available; print(*available());"
        "print(*{'torch', 'onnx', 'onnxruntime', 'openvino'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True
    )
    found, loaded = done.stdout.split("\n")[:2]
    assert set(found.split()) == set(names("runtime"))
    assert loaded == ""


def test_available_names_versions() -> None:
    assert all(found.version or found.reason for found in available().values())

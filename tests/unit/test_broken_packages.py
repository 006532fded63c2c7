"""An installed package that can't be imported is the host's fault, not the user's file's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from whet._optional import require
from whet.data.userfile import load_function
from whet.errors import HostError, MissingExtraError, NetworkError, SamplesError
from whet.optimize.intake import load_network

PACKAGE = "sklearn"  # of those that extras bring, one that nothing here has loaded halfway


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site" / PACKAGE
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("from . import parts\n")
    (folder / "parts.py").write_text("raise OSError('libparts.so: cannot open\\nshared object')\n")
    for name in [n for n in sys.modules if n.partition(".")[0] == PACKAGE]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(folder.parent))
    return folder


@pytest.mark.usefixtures("broken")
def test_what_is_broken_is_told_from_what_is_missing() -> None:
    with pytest.raises(HostError, match="OSError: libparts") as caught:
        require(PACKAGE, "test")
    assert not isinstance(caught.value, MissingExtraError)
    assert "--force-reinstall 'whet[demo]'" in caught.value.remedy


@pytest.mark.parametrize(
    ("top", "module", "said"),
    [
        (f"import {PACKAGE}._C", PACKAGE, f"but can't be imported: .*'{PACKAGE}._C'"),
        ("import a_missing_one", PACKAGE, "but can't be imported: .*'a_missing_one'"),
        ("raise SystemExit(3)", PACKAGE, "but can't be imported: SystemExit: 3"),
        ("", f"{PACKAGE}.gone", f"but its module '{PACKAGE}.gone' can't be imported"),
        ("", f"{PACKAGE}.parts", f"but its module '{PACKAGE}.parts' can't be .*: OSError"),
        ("", f"{PACKAGE}.needy", f"but its module '{PACKAGE}.needy' can't .*'a_missing_one'"),
    ],
)
def test_what_is_there_in_part_is_not_called_missing(
    broken: Path, top: str, module: str, said: str
) -> None:
    (broken / "__init__.py").write_text(top)
    (broken / "needy.py").write_text("import a_missing_one")
    with pytest.raises(HostError, match=said) as caught:
        require(module, "test")
    assert not isinstance(caught.value, MissingExtraError)
    assert f"import {module}'" in caught.value.remedy
    sys.modules.pop(PACKAGE, None)


@pytest.mark.parametrize("module", [PACKAGE, f"{PACKAGE}.linear_model"])
def test_what_is_not_there_is_to_be_installed(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == PACKAGE]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, PACKAGE, None)  # type: ignore[arg-type]
    with pytest.raises(MissingExtraError, match=f"'{PACKAGE}' .* is not installed"):
        require(module, "test")


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize(
    "code",
    [f"import {PACKAGE}\ndef make(): pass", f"def make():\n    import {PACKAGE}.parts"],
    ids=["at the top", "in the function"],
)
def test_a_factory_that_asks_for_a_broken_package_is_not_blamed(code: str, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(code)
    with pytest.raises(HostError, match=f"'{PACKAGE}' is installed here but can't be imported"):
        load_network(f"{tmp_path / 'net.py'}:make")


@pytest.mark.usefixtures("broken")
def test_a_file_of_samples_that_asks_for_it_is_not_blamed(tmp_path: Path) -> None:
    (tmp_path / "samples.py").write_text(f"from {PACKAGE} import parts\ndef make(): pass")
    with pytest.raises(HostError, match=PACKAGE):
        load_function(f"{tmp_path / 'samples.py'}:make")


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize(
    ("load", "error"), [(load_network, NetworkError), (load_function, SamplesError)]
)
@pytest.mark.parametrize(
    "code",
    [
        "import my_missing_module",
        "import my_broken_module",
        "raise ImportError('no')",
        f"try:\n    import {PACKAGE}\nexcept OSError:\n    pass\nraise ImportError('no')",
    ],
    ids=["missing", "broken", "raised", "caught"],
)
def test_a_module_of_ones_own_stays_ones_own(
    code: str, load: Callable[[str], object], error: type[Exception], tmp_path: Path
) -> None:
    (tmp_path / "my_broken_module.py").write_text("raise OSError('broken')")
    (tmp_path / "mine.py").write_text(f"{code}\ndef make(): pass")
    with pytest.raises(error):
        load(f"{tmp_path / 'mine.py'}:make")
    sys.modules.pop("my_broken_module", None)


def test_a_torch_that_does_not_load_ends_an_optimisation_with_the_hosts_exit_code(
    tmp_path: Path,
) -> None:
    (tmp_path / "site" / "torch").mkdir(parents=True)
    (tmp_path / "site" / "torch" / "__init__.py").write_text("raise OSError('libtorch.so')")
    (tmp_path / "net.py").write_text("import torch\ndef make(): return torch.nn.Linear(2, 2)")
    np.savez(tmp_path / "x.npz", x=np.arange(200, dtype=np.float32).reshape(100, 2))
    path = os.pathsep.join([str(tmp_path / "site"), *filter(None, [os.environ.get("PYTHONPATH")])])
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "whet", "optimize", "net.py:make", "--samples", "x.npz"),
            *("--ledger", "ledger.sqlite", "--quiet"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == HostError.exit_code, ran.stderr
    assert "'torch' is installed here but can't be imported: OSError: libtorch.so" in ran.stderr

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch
from torch import nn

from whet.core.spec import Signature
from whet.errors import StorageError
from whet.optimize.saving import save_program

NOTHING = Signature((), ())


def program() -> torch.export.ExportedProgram:
    return torch.export.export(nn.Linear(64, 64).eval(), (torch.zeros(2, 64),))


def test_what_was_saved_can_be_loaded(tmp_path: Path) -> None:
    made = save_program(program(), NOTHING, tmp_path)
    again = torch.export.load(made.path)
    assert again.module()(torch.zeros(2, 64)).shape == (2, 64)
    assert [p.name for p in tmp_path.iterdir()] == ["network.pt2"]


def test_a_full_disk_ends_neither_the_process_nor_in_half_a_file(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, hard))
    try:
        with pytest.raises(StorageError, match=r"network\.pt2"):
            save_program(program(), NOTHING, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []

"""Checkpoints that hold something else than weights, and how to get the weights out of them."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
import torch

from whet.errors import NetworkError
from whet.optimize.intake.weights import read_weights

STATE = {"a.weight": torch.ones(2), "a.bias": torch.zeros(2)}


@pytest.mark.parametrize(
    ("held", "said", "remedy"),
    [
        (
            {"net": STATE, "epoch": 3},
            r"no tensors by name but net \(dict\), epoch \(int\)",
            "torch.save(torch.load('w.pth.tar', weights_only=True)['net'], 'weights.pt')",
        ),
        (
            {"epoch": 3, "note": "a"},
            r"but epoch \(int\), note \(str\)",
            "torch.save(model.state_dict(), 'weights.pt')",
        ),
        (
            {str(i): {} for i in range(7)},
            r"but 0 \(dict\), .*4 \(dict\) and 2 more",
            "torch.save(model.state_dict(), 'weights.pt')",
        ),
        (torch.ones(2), "holds a Tensor", "torch.save(model.state_dict(), path)"),
    ],
)
def test_what_it_holds_is_named(tmp_path: Path, held: object, said: str, remedy: str) -> None:
    torch.save(held, tmp_path / "w.pth.tar")
    with pytest.raises(NetworkError, match=said) as caught:
        read_weights(tmp_path / "w.pth.tar")
    assert remedy in caught.value.remedy


def test_the_remedy_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"net": STATE, "epoch": 3}, "w.bin")
    with pytest.raises(NetworkError) as caught:
        read_weights(Path("w.bin"))
    exec(caught.value.remedy.partition(": ")[2].rstrip("."), {"torch": torch})
    assert read_weights(Path("weights.pt")).keys() == STATE.keys()


@pytest.mark.parametrize("data", [b"", b"hello, this is text", b"\x01\x02" * 30, b"\x80\x02x"])
@pytest.mark.parametrize("name", ["w.bin", "w.pth.tar", "w.ckpt"])
def test_files_of_another_kind_get_one_sentence(tmp_path: Path, data: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(NetworkError, match=name) as caught:
        read_weights(tmp_path / name)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


def test_a_real_archive_is_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(b"x")
    with tarfile.open(tmp_path / "w.tar", "w") as archive:
        archive.add(tmp_path / "w.pt", "w.pt")
    with pytest.raises(NetworkError, match="archive of files") as caught:
        read_weights(tmp_path / "w.tar")
    assert "weights_only" not in str(caught.value)

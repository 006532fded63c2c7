"""Checkpoints that hold something else than weights, and how to get the weights out of them."""

from __future__ import annotations

import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_model

from whet.errors import NetworkError
from whet.optimize.intake.checkpoint import weights_in
from whet.optimize.intake.load import load_network
from whet.optimize.intake.weights import fill, read_weights

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
        (
            {"model": {"ema": {"x": STATE}, "state_dict": STATE}},
            r"no tensors by name but model \(dict\)",
            "torch.load('w.pth.tar', weights_only=True)['model']['state_dict']",
        ),
        (
            {**STATE, "epoch": 3},
            r"tensors by name, but also epoch \(int\)",
            (
                "{k: v for k, v in torch.load('w.pth.tar', weights_only=True).items()"
                " if isinstance(v, torch.Tensor)}"
            ),
        ),
        (
            dict(enumerate(STATE.values())),
            r"no tensors by name but 0 \(Tensor\), 1 \(Tensor\)",
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


@pytest.mark.parametrize(
    "held",
    [{"net": STATE, "epoch": 3}, {"model": {"state_dict": STATE}}, {**STATE, "epoch": 3}],
    ids=["nested", "nested twice", "mixed"],
)
def test_the_remedy_works(
    held: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(held, "w.bin")
    with pytest.raises(NetworkError) as caught:
        read_weights(Path("w.bin"))
    exec(caught.value.remedy.partition("alone: ")[2].rstrip("."), {"torch": torch})
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


def network() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))


def filled_as(path: Path, state: dict[str, torch.Tensor]) -> bool:
    module = network()
    fill(module, path)
    return all(torch.equal(module.state_dict()[name], state[name]) for name in state)


@pytest.mark.parametrize("order", ["<", ">"])
def test_arrays_of_any_shape_and_byte_order_fill_the_network(tmp_path: Path, order: str) -> None:
    state = network().state_dict()
    arrays = {n: t.numpy().astype(t.numpy().dtype.newbyteorder(order)) for n, t in state.items()}
    np.savez(tmp_path / "w.npz", **arrays)
    assert filled_as(tmp_path / "w.npz", state)


def test_what_is_no_array_in_an_archive_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(NetworkError, match=r"'w.npz' can't be read"):
        read_weights(tmp_path / "w.npz")


def test_a_mapping_that_holds_itself_is_refused(tmp_path: Path) -> None:
    held: dict[str, object] = {"epoch": 3}
    held["self"] = held
    with pytest.raises(NetworkError, match="no tensors by name"):
        weights_in(held, tmp_path / "w.pt")


@pytest.mark.parametrize("held", [{}, {"a": 1}], ids=["empty", "no tensors"])
def test_a_usual_key_without_weights_does_not_hide_another(
    tmp_path: Path, held: dict[str, object]
) -> None:
    state = network().state_dict()
    torch.save({"state_dict": held, "model": state}, tmp_path / "w.pt")
    assert filled_as(tmp_path / "w.pt", state)


@pytest.mark.parametrize(
    "prefix",
    ["module.", "model.", "module.model.", "_orig_mod.", "module._orig_mod.", "model._orig_mod."],
)
def test_what_a_wrapper_put_before_all_names_is_taken_off(tmp_path: Path, prefix: str) -> None:
    state = network().state_dict()
    named = {prefix + n: t for n, t in state.items() if not n.endswith("num_batches_tracked")}
    torch.save({"state_dict": named}, tmp_path / "w.ckpt")
    assert filled_as(tmp_path / "w.ckpt", state)


def test_parts_compiled_each_alone_are_taken_for_what_they_are(tmp_path: Path) -> None:
    whole, again, plain = (network() for _ in range(3))
    for net in (whole, again):
        net.head = torch.nn.Module()
        net.head._orig_mod = torch.nn.Linear(3, 2)  # as torch.compile holds what it wraps
    plain.head = torch.nn.Linear(3, 2)
    torch.save(whole.state_dict(), tmp_path / "w.pt")
    fill(plain, tmp_path / "w.pt")
    assert torch.equal(plain.head.weight, whole.head._orig_mod.weight)
    fill(again, tmp_path / "w.pt")
    assert torch.equal(again.head._orig_mod.weight, whole.head._orig_mod.weight)


@pytest.mark.parametrize("name", ["module", "model"])
def test_parts_called_like_wrappers_keep_their_names(tmp_path: Path, name: str) -> None:
    whole, again = (torch.nn.Module() for _ in range(2))
    for net in (whole, again):
        setattr(net, name, torch.nn.Linear(2, 2))
    torch.save(whole.state_dict(), tmp_path / "w.pt")
    fill(again, tmp_path / "w.pt")
    torch.save({f"module.{n}": t for n, t in whole.state_dict().items()}, tmp_path / "d.pt")
    fill(again, tmp_path / "d.pt")
    assert torch.equal(getattr(again, name).weight, getattr(whole, name).weight)


def test_averaged_weights_are_read(tmp_path: Path) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(network())
    torch.save(averaged.state_dict(), tmp_path / "w.pt")
    state = {n: t for n, t in averaged.module.state_dict().items() if "num_batches" not in n}
    assert filled_as(tmp_path / "w.pt", state)


def test_a_tensor_that_parts_share_may_be_in_the_file_once(tmp_path: Path) -> None:
    first, again = (torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)) for _ in "ab")
    for net in (first, again):
        net[1].weight = net[0].weight
    save_model(first, str(tmp_path / "w.safetensors"))
    fill(again, tmp_path / "w.safetensors")
    assert torch.equal(again[1].weight, first[1].weight)
    with pytest.raises(NetworkError, match=r"1 missing \(1\.weight\)"):
        fill(
            torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)),
            tmp_path / "w.safetensors",
        )


def test_a_part_called_model_keeps_its_name(tmp_path: Path) -> None:
    whole = torch.nn.Module()
    whole.model = network()
    torch.save(whole.state_dict(), tmp_path / "w.pt")
    fill(whole, tmp_path / "w.pt")
    torch.save({f"model.{n}": t for n, t in STATE.items()}, tmp_path / "other.pt")
    with pytest.raises(NetworkError, match=r"unexpected \(model\.a"):
        fill(network(), tmp_path / "other.pt")


def quantised(tensor: torch.Tensor) -> torch.Tensor:
    return torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (torch.Tensor.to_sparse, "is sparse"),
        (quantised, "is quantised"),
        (lambda t: t.to("meta"), "is without values"),
        (lambda t: t.to(torch.complex64), "holds complex numbers"),
    ],
)
def test_tensors_without_plain_values_are_refused(
    tmp_path: Path, change: Callable[[torch.Tensor], torch.Tensor], said: str
) -> None:
    state = network().state_dict()
    torch.save({**state, "0.weight": change(state["0.weight"])}, tmp_path / "w.pt")
    with pytest.raises(NetworkError, match=f"'0.weight' in 'w.pt' {said}") as caught:
        fill(network(), tmp_path / "w.pt")
    assert caught.value.remedy


def test_a_torchscript_program_is_named(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(network()), str(tmp_path / "w.pt"))
    with pytest.raises(NetworkError, match="TorchScript") as caught:
        read_weights(tmp_path / "w.pt")
    assert "torch.jit.load('w.pt').state_dict()" in caught.value.remedy
    with pytest.raises(NetworkError, match="is a TorchScript program") as caught:
        load_network(tmp_path / "w.pt")
    assert "file.py:factory" in caught.value.remedy

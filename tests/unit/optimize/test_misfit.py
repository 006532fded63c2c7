"""Samples that don't fit a torch network: the error names the array, not torch's layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from whet.core.spec import Arrays, TensorSpec
from whet.errors import ExportError, InputError, SamplesError
from whet.optimize.export import export
from whet.optimize.intake import load_network

F32 = np.float32
ROWS = 4


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4 * 8 * 8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.conv(x)).flatten(1))


class Scaled(Classifier):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.float() / 255)


class Bag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.words(ids).mean(1))


class Picked(nn.Module):
    """Takes int64 only, in an operator that is no layer."""

    def forward(self, x: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(at, 8).float() + x


class Product(nn.Module):
    """Has no layers at all."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(12, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight


def refused(module: nn.Module | str | Path, folder: Path, **arrays: np.ndarray) -> InputError:
    inputs = tuple(TensorSpec(n, a.dtype.name, ("batch", *a.shape[1:])) for n, a in arrays.items())
    example: Arrays = dict(arrays)
    with pytest.raises((SamplesError, ExportError)) as caught:
        export(load_network(module), inputs, example, folder)
    assert caught.value.remedy
    return caught.value


def pictures(*shape: int, dtype: type = F32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (ROWS, *shape)).astype(dtype)


@pytest.mark.parametrize(
    ("network", "array", "given", "taken", "cure"),
    [
        (Classifier, pictures(8, 8, 3), "float32[batch, 8, 8, 3]", "3, height, width", "transpose"),
        (Classifier, pictures(7), "float32[batch, 7]", "3, height, width", "4 axes"),
        (Classifier, pictures(1, 8, 8), "[batch, 1, 8, 8]", "3, height, width", "repeat(3"),
        (Classifier, pictures(3, 8, 8, dtype=np.uint8), "uint8[", "float32[", "astype('float32')"),
        (
            Classifier,
            pictures(3, 8, 8, dtype=np.float16),
            "float16[",
            "float32[",
            "astype('float32')",
        ),
        (Scaled, pictures(8, 8, 3, dtype=np.uint8), "uint8[batch, 8, 8, 3]", "3, h", "transpose"),
        (Bag, pictures(5), "float32[batch, 5]", "int64[batch, 5]", "token ids"),
    ],
)
def test_the_array_is_named_with_what_the_network_takes(
    network: Callable[[], nn.Module],
    array: np.ndarray,
    given: str,
    taken: str,
    cure: str,
    tmp_path: Path,
) -> None:
    error = refused(network().eval(), tmp_path, pictures=array)
    assert isinstance(error, SamplesError)
    assert error.message.startswith("The array 'pictures' is ")
    before, after = error.message.split(", but the network takes ")
    assert given in before
    assert taken in after
    assert cure in error.remedy


def test_a_size_that_only_a_later_layer_minds(tmp_path: Path) -> None:
    error = refused(Classifier().eval(), tmp_path, x=pictures(3, 9, 9))
    assert isinstance(error, SamplesError)
    assert "'x' is float32[batch, 3, 9, 9]" in error.message
    assert "'head' (Linear) gets float32[batch, 324], but it takes float32[batch, 256]" in str(
        error
    )


def test_an_id_that_the_network_does_not_know(tmp_path: Path) -> None:
    error = refused(Bag().eval(), tmp_path, ids=np.full((ROWS, 5), 77))
    assert error.message == "The array 'ids' holds the id 77, but the network knows 0 to 49."


def test_what_makes_it_run_is_the_remedy(tmp_path: Path) -> None:
    at = np.zeros(ROWS, np.int32)
    error = refused(Picked(), tmp_path, x=pictures(8), at=at)
    assert "'at' is int32[batch]" in error.message
    assert "With at.astype('int64') it runs" in error.remedy
    error = refused(Product(), tmp_path, x=pictures(12, 2, 2))
    assert "'x' is float32[batch, 12, 2, 2]" in error.message
    assert "With x.transpose(0, 2, 3, 1) it runs" in error.remedy


def test_without_a_cure_the_arrays_are_named_all_the_same(tmp_path: Path) -> None:
    error = refused(Product(), tmp_path, x=pictures(7))
    assert isinstance(error, ExportError)
    assert "it fails on the samples ('x' is float32[batch, 7])" in error.message
    assert "test_misfit.py, line" in error.message


def test_an_error_that_no_array_can_cause_stays_the_networks(tmp_path: Path) -> None:
    class Unfinished(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise KeyError("later")

    error = refused(Unfinished(), tmp_path, x=pictures(3))
    assert "KeyError" in error.message
    assert "samples" not in error.message


def test_no_hook_is_left_on_the_users_network(tmp_path: Path) -> None:
    module = Classifier().eval()
    refused(module, tmp_path, x=pictures(7))
    assert not any(part._forward_pre_hooks or part._forward_hooks for part in module.modules())


def test_a_single_array_of_another_name_is_taken_and_noted(tmp_path: Path) -> None:
    arrays: Arrays = {"photos": pictures(3, 8, 8)}
    spec = TensorSpec("photos", "float32", ("batch", 3, 8, 8))
    made = export(load_network(Classifier().eval()), (spec,), arrays, tmp_path)
    assert [s.name for s in made.graph.signature.inputs] == ["photos"]
    assert "only input, 'x', is called 'photos' from here on" in made.notes[0].reason

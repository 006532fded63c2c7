"""Outputs of a real network after int8: rounding passes the guards, destroyed channels don't."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from whet.core.evidence import Verdict
from whet.measure.guards import hold
from whet.optimize.intake import load_network

FACTORIES = Path(__file__).parents[2] / "fixtures" / "networks" / "resnet.py"
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
Floats = NDArray[np.float32]

pytestmark = pytest.mark.data


def verdict(want: Floats, have: Floats) -> Verdict:
    return hold("beside", want, have, rows=1, allowed=0.01, confidence=0.95).verdict


def int8(values: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    """Rounded to 255 levels, of which the largest value over the axes sets the step."""
    step = values.abs().amax(axes, keepdim=True).clamp(min=1e-12) / 127
    return torch.round(values / step) * step


def answers(network: torch.nn.Module, pictures: torch.Tensor) -> tuple[Floats, Floats]:
    """Logits and pooled features."""
    kept: list[torch.Tensor] = []
    hook = network.layer3.register_forward_hook(lambda _m, _i, out: kept.append(out.mean((2, 3))))
    with torch.no_grad():
        logits = network(pictures)
    hook.remove()
    return logits.numpy(), kept[0].numpy()


@pytest.fixture(scope="module")
def outputs(data_dir: Path) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """The original's logits and features, and those with weights and activations in int8."""
    weights = data_dir / "weights" / "resnet20_cifar10.safetensors"
    network = load_network(f"{FACTORIES}:cifar_resnet20", weights=weights).module
    with np.load(data_dir / "cifar10_jpeg.npz") as data:
        blob, ends = data["test_jpeg"], data["test_offsets"]
    opened = [Image.open(io.BytesIO(blob[ends[i] : ends[i + 1]])) for i in range(400)]
    raw = np.stack([np.asarray(picture.convert("RGB")) for picture in opened])
    pictures = torch.from_numpy(((raw / np.float32(255) - MEAN) / STD).transpose(0, 3, 1, 2).copy())
    before = answers(network, pictures)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data = int8(module.weight.data, (1, 2, 3))
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_hook(lambda _m, _i, out: int8(out, (0, 1, 2, 3)))
    return before, answers(network, pictures)


def test_int8_passes_and_what_is_lost_fails(
    outputs: tuple[tuple[Floats, Floats], tuple[Floats, Floats]],
) -> None:
    rng = np.random.default_rng(0)
    for before, after in zip(*outputs, strict=True):
        assert not np.array_equal(before, after)
        assert verdict(before, after) is Verdict.PASSED
        lost = after.copy()
        lost[:, :4] = rng.permutation(after[:, :4])
        assert verdict(before, lost) is Verdict.FAILED


def test_a_feature_that_all_but_died_changes_nothing(
    outputs: tuple[tuple[Floats, Floats], tuple[Floats, Floats]],
) -> None:
    """The rounding goes by the living ones, and is many times what a dead one varies."""
    (_, before), (_, after) = outputs
    dead, rounded = before.copy(), after.copy()
    noise = (after - before)[:, 7]
    dead[:, 7] *= 1e-4
    rounded[:, 7] = dead[:, 7] + noise
    assert noise.var() > 100 * dead[:, 7].var()
    assert verdict(dead, rounded) is Verdict.PASSED

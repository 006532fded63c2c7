"""The transform of a Hugging Face directory makes what its own processor makes of a picture."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from whet.data.transform import ImageTransform
from whet.optimize.intake.huggingface import describe_directory

transformers = pytest.importorskip("transformers")

SQUARE = {"height": 48, "width": 48}
CROPPED = {"size": {"shortest_edge": 56}, "crop_size": SQUARE}


def directory(folder: Path, processor: Any) -> Path:
    """Of a small network, with the processor's own file."""
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def jpeg(width: int, height: int) -> bytes:
    """Edges and gradients, which show a shift by one pixel and another filter."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=95)
    return stream.getvalue()


@pytest.mark.parametrize("shape", [(90, 70), (71, 64), (64, 97), (61, 85)])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ViT", {"size": SQUARE}),
        ("ViT", {"size": SQUARE, "resample": 3, "do_normalize": False}),
        ("Beit", {"size": SQUARE, "do_center_crop": False}),
        ("Pvt", {"size": SQUARE}),
        ("Segformer", {"size": SQUARE}),
        ("DeiT", {"size": SQUARE, "do_center_crop": False}),
        ("CLIP", CROPPED),
        ("Bit", CROPPED),
        ("MobileNetV1", CROPPED),
        ("MobileNetV2", CROPPED),
    ],
)
def test_pixels_are_those_of_the_processor(
    tmp_path: Path, name: str, options: dict[str, Any], shape: tuple[int, int]
) -> None:
    processor = getattr(transformers, f"{name}ImageProcessor")(**options)
    transform = describe_directory(directory(tmp_path, processor)).transform
    assert isinstance(transform, ImageTransform)
    blob = jpeg(*shape)
    picture = Image.open(io.BytesIO(blob)).convert("RGB")
    want: NDArray[np.float32] = processor(picture, return_tensors="np")["pixel_values"][0]
    got = transform.arithmetic(transform.decode(blob)[None])[0]
    assert got.shape == want.shape
    # Resizing only what is kept rounds otherwise, by two grey levels at most; another crop or
    # filter is far beyond.
    level = 1 / 255 / float(np.min(transform.std))
    assert np.abs(got - want).max() <= 2.05 * level
    assert np.abs(got - want).mean() <= 0.3 * level


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Levit", CROPPED),
        ("EfficientNet", {"size": SQUARE}),
        ("ConvNext", {"size": {"shortest_edge": 48}}),
        ("PoolFormer", {"size": {"shortest_edge": 48}}),
    ],
)
def test_a_processor_that_does_more_is_not_taken_over(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    processor = getattr(transformers, f"{name}ImageProcessor")(**options)
    found = describe_directory(directory(tmp_path, processor))
    assert found.transform is None
    (note,) = (n for n in found.notes if n.where == "transform")
    assert f"{name}ImageProcessor" in note.reason


@pytest.mark.parametrize("key", ["image_processor_type", "feature_extractor_type"])
def test_older_names_of_the_same_processor(tmp_path: Path, key: str) -> None:
    folder = directory(tmp_path, transformers.ViTImageProcessor(size=SQUARE))
    file = folder / "preprocessor_config.json"
    config = json.loads(file.read_text())
    config.pop("image_processor_type", None)
    for known, taken in (("ViTFeatureExtractor", True), ("LevitFeatureExtractor", False)):
        file.write_text(json.dumps(config | {key: known}))
        assert (describe_directory(folder).transform is not None) is taken

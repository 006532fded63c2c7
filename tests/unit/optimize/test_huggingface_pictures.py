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
from whet.optimize.intake.huggingface_families import PROCESSORS, processor_name

transformers = pytest.importorskip("transformers")

VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
SQUARE = {"height": 48, "width": 48}
CROPPED = {"size": {"shortest_edge": 56}, "crop_size": SQUARE}


def directory(folder: Path, processor: Any) -> Path:
    """Of a small network, with the processor's own file."""
    network(folder)
    processor.save_pretrained(folder)
    return folder


def network(folder: Path, model: str = "ViT", **preprocessor: object) -> Path:
    """A small network's directory with a hand-written preprocessor file."""
    sizes = {"ViT": VIT, "DeiT": VIT, "ResNet": {"embedding_size": 8, "hidden_sizes": [8, 8]}}
    config = getattr(transformers, f"{model}Config")(**sizes[model])
    getattr(transformers, f"{model}ForImageClassification")(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def jpeg(width: int, height: int) -> bytes:
    """Edges and gradients, which show a shift by one pixel and another filter."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=95)
    return stream.getvalue()


def assert_same_pixels(folder: Path, shape: tuple[int, int]) -> None:
    """What transformers itself makes of the directory's file is the oracle."""
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    transform = describe_directory(folder).transform
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


SHAPES = [(90, 70), (71, 64), (64, 97), (61, 85)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ViT", {"size": SQUARE}),
        ("ViT", {"size": SQUARE, "resample": 3, "do_normalize": False}),
        ("ViT", {"size": SQUARE, "do_rescale": False}),
        ("Beit", {"size": SQUARE, "do_center_crop": False}),
        ("Beit", {"size": SQUARE, "do_center_crop": True, "crop_size": 33}),
        ("Pvt", {"size": SQUARE}),
        ("Segformer", {"size": SQUARE}),
        ("Siglip", {"size": SQUARE}),
        ("DeiT", {"size": SQUARE, "do_center_crop": False}),
        ("DeiT", {"size": {"height": 57, "width": 64}, "crop_size": SQUARE}),
        ("CLIP", CROPPED),
        ("Bit", CROPPED),
        ("Levit", CROPPED),
        ("MobileNetV1", CROPPED),
        ("MobileNetV2", CROPPED),
        ("MobileViT", CROPPED),
        ("MobileViT", CROPPED | {"do_flip_channel_order": False}),
        ("ConvNext", {"size": {"shortest_edge": 48}}),
        ("ConvNext", {"size": {"shortest_edge": 51}, "crop_pct": 0.9}),
        ("ConvNext", {"size": {"shortest_edge": 400}}),
        ("PoolFormer", {"size": {"shortest_edge": 48}, "crop_size": SQUARE}),
        ("PoolFormer", {"size": SQUARE, "crop_size": SQUARE, "crop_pct": 0.8}),
        ("EfficientNet", {"size": SQUARE, "image_mean": [0.4, 0.5, 0.6]}),
        ("EfficientNet", {"size": SQUARE, "rescale_offset": True, "rescale_factor": 1 / 127.5}),
        ("EfficientNet", {"size": SQUARE, "include_top": False, "resample": 0}),
        ("EfficientNet", {"size": SQUARE, "do_normalize": False, "image_std": [0.3, 0.4, 0.5]}),
    ],
)
def test_pixels_are_those_of_the_processor(
    tmp_path: Path, name: str, options: dict[str, Any], shape: tuple[int, int]
) -> None:
    processor = getattr(transformers, f"{name}ImageProcessor")(**options)
    assert_same_pixels(directory(tmp_path, processor), shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "stated",
    [
        {"feature_extractor_type": "ViTFeatureExtractor", "size": 48},
        {"feature_extractor_type": "DeiTFeatureExtractor", "size": 56, "crop_size": 48},
        {"feature_extractor_type": "BeitFeatureExtractor", "size": 48},
        {
            "feature_extractor_type": "BeitFeatureExtractor",
            "size": 56,
            "crop_size": 48,
            "do_center_crop": True,
            "resample": 2,
        },
        {"feature_extractor_type": "CLIPFeatureExtractor", "size": 56, "crop_size": 48},
        {"feature_extractor_type": "ConvNextFeatureExtractor", "size": 48},
        {"feature_extractor_type": "LevitFeatureExtractor", "size": 48, "crop_size": 48},
        {"feature_extractor_type": "MobileNetV1FeatureExtractor", "size": 56, "crop_size": 48},
        {"feature_extractor_type": "MobileViTFeatureExtractor", "size": 56, "crop_size": 48},
        {"feature_extractor_type": "PoolFormerFeatureExtractor", "size": 48, "crop_size": 48},
        {"feature_extractor_type": "SegformerFeatureExtractor", "size": 48},
        {"feature_extractor_type": "ViTFeatureExtractor", "size": [40, 48], "image_mean": 0.4},
        {"feature_extractor_type": "ConvNextFeatureExtractor", "size": 384, "crop_pct": None},
        {"feature_extractor_type": "ViTFeatureExtractor", "size": 48, "do_normalize": None},
        {
            "image_processor_type": "CLIPImageProcessor",
            "size": 48,
            "crop_size": 40,
            "default_to_square": True,
        },
        {"size": 48},
    ],
    ids=lambda stated: str(stated.get("feature_extractor_type", "none")),
)
def test_an_older_file_is_read_as_its_processor_reads_it(
    tmp_path: Path, stated: dict[str, object], shape: tuple[int, int]
) -> None:
    assert_same_pixels(network(tmp_path, **stated), shape)


@pytest.mark.parametrize("model", ["ViT", "DeiT", "ResNet"])
def test_a_file_that_names_no_processor_is_read_by_the_network_s_own(
    tmp_path: Path, model: str
) -> None:
    assert_same_pixels(network(tmp_path, model, do_resize=True), (300, 341))


def test_a_square_of_an_older_vit_by_hand(tmp_path: Path) -> None:
    """Left half black, right half white: the whole picture is squeezed, nothing is cut off."""
    folder = network(tmp_path, feature_extractor_type="ViTFeatureExtractor", size=4, resample=0)
    picture = Image.fromarray(np.repeat(np.uint8([[0] * 6 + [255] * 2]), 4, axis=0))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    transform = describe_directory(folder).transform
    assert isinstance(transform, ImageTransform)
    got = transform.arithmetic(transform.decode(stream.getvalue())[None])
    assert got.tolist() == [[[[-1.0, -1.0, -1.0, 1.0]] * 4] * 3]


@pytest.mark.parametrize("name", sorted(PROCESSORS))
def test_what_a_family_does_by_default_is_what_its_processor_does(name: str) -> None:
    processor = getattr(transformers, f"{name}ImageProcessor")()
    ours = PROCESSORS[name]
    short = isinstance(ours.size, int)
    assert dict(processor.size) == (
        {"shortest_edge": ours.size} if short else dict(zip(SQUARE, ours.size, strict=True))
    )
    assert processor.default_to_square is ours.square
    assert int(processor.resample) == ours.resample
    assert (tuple(processor.image_mean), tuple(processor.image_std)) == ours.moments
    assert bool(getattr(processor, "do_center_crop", False)) is ours.crops
    crop = getattr(processor, "crop_size", None)
    assert (dict(crop) if crop else None) == (
        {"height": ours.crop_size, "width": ours.crop_size} if ours.crop_size else None
    )
    assert getattr(processor, "crop_pct", None) == ours.crop_pct


def test_a_network_s_own_processor_is_the_library_s() -> None:
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as CLASSIFIERS,
    )

    own = {
        model: IMAGE_PROCESSOR_MAPPING_NAMES[model]["pil"].removesuffix("ImageProcessorPil")
        for model in CLASSIFIERS
        if "pil" in IMAGE_PROCESSOR_MAPPING_NAMES.get(model, {})
    }
    expected = {model: name if name in PROCESSORS else "" for model, name in own.items()}
    assert {model: processor_name({}, {"model_type": model}) for model in own} == expected


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"image_processor_type": "PerceiverImageProcessor"}, "PerceiverImageProcessor"),
        ({"image_processor_type": "ViTImageProcessor", "size": {"shortest_edge": 9}}, "short side"),
        ({"image_processor_type": "ViTImageProcessor", "do_resize": False}, "of any size"),
        ({"image_processor_type": "ViTImageProcessor", "resample": 1}, "filter"),
        ({"image_processor_type": "ViTImageProcessor", "image_std": None}, "no number"),
        ({"image_processor_type": "PoolFormerImageProcessor", "crop_pct": None}, "no number"),
        ({"image_processor_type": "ViTImageProcessor", "crop_pct": 0.9}, "crop_pct"),
        ({"image_processor_type": "BitImageProcessor", "size": 40, "crop_size": 48}, "fills up"),
        ({"image_processor_type": "MobileViTImageProcessor"}, "fills up"),
        ({"image_processor_type": "DeiTImageProcessor", "size": 40, "crop_size": 48}, "fills up"),
        (
            {
                "image_processor_type": "BitImageProcessor",
                "size": {"shortest_edge": 48, "longest_edge": 60},
            },
            "longest_edge",
        ),
        (
            {
                "image_processor_type": "ConvNextImageProcessor",
                "do_center_crop": True,
                "crop_size": 9,
            },
            "crops twice",
        ),
    ],
)
def test_what_has_no_exact_form_is_left_to_the_user(
    tmp_path: Path, stated: dict[str, object], said: str
) -> None:
    found = describe_directory(network(tmp_path, **stated))
    assert found.transform is None
    (note,) = (n for n in found.notes if n.where == "transform")
    assert said in note.reason
    assert found.untransformed() == note.reason


@pytest.mark.parametrize("beside", [True, False])
def test_the_newer_file_of_a_whole_processor_is_read_first(tmp_path: Path, beside: bool) -> None:
    """transformers itself reads the same file for the oracle, and prefers the nested fields."""
    folder = network(tmp_path, image_processor_type="ViTImageProcessor", size=20)
    nested = {"image_processor_type": "BitImageProcessor", **CROPPED, "image_std": [0.2, 0.3, 0.4]}
    whole = {"processor_class": "CLIPProcessor", "image_processor": nested}
    (folder / "processor_config.json").write_text(json.dumps(whole))
    if not beside:
        (folder / "preprocessor_config.json").unlink()
    transform = describe_directory(folder).transform
    assert isinstance(transform, ImageTransform)
    assert (transform.size, transform.resize_short) == ((48, 48), 56)
    assert_same_pixels(folder, (90, 70))


def test_a_processor_file_without_a_picture_processor_decides_nothing(tmp_path: Path) -> None:
    folder = network(tmp_path, image_processor_type="ViTImageProcessor", size=20)
    (folder / "processor_config.json").write_text('{"processor_class": "CLIPProcessor"}')
    transform = describe_directory(folder).transform
    assert isinstance(transform, ImageTransform)
    assert transform.size == (20, 20)
    (folder / "preprocessor_config.json").unlink()
    assert "preprocessor_config.json" in describe_directory(folder).untransformed()


def test_a_network_of_an_unknown_kind_names_its_processor(tmp_path: Path) -> None:
    folder = network(tmp_path, size=48)
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_type": "own"}))
    assert describe_directory(folder).transform is None

"""What a Hugging Face directory says about making inputs from texts and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from whet.core.note import Note
from whet.data.transform import ImageTransform, TextTransform
from whet.errors import OptionError
from whet.optimize.intake.huggingface_config import Layout, integer, read_json

__all__ = ["image_transform", "text_transform"]


def text_transform(folder: Path, layout: Layout) -> tuple[TextTransform | None, tuple[Note, ...]]:
    """How texts become the network's inputs, where ``tokenizer.json`` is there."""
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.is_file():
        return None, (
            Note("transform", "There is no tokenizer.json, so samples must be token ids."),
        )
    settings = _Settings.of(folder)
    if settings.unusual:
        reason = (
            f"{settings.unusual}, which the transform has no form for: samples must be token ids."
        )
        return None, (Note("transform", reason),)
    positions = integer(layout.config, "max_position_embeddings", 512)
    pad = integer(layout.config, "pad_token_id", 0)
    if layout.config.get("model_type") in {"roberta", "xlm-roberta", "camembert", "mpnet"}:
        positions -= pad + 1  # their positions are counted from behind the padding's
    transform = TextTransform(
        tokenizer=str(tokenizer),
        max_length=min((positions, *settings.limits)),
        inputs=layout.inputs,
        pad_id=pad,
        prefix=settings.prefix,
        lower=settings.lower,
    )
    return transform, ()


@dataclass(frozen=True)
class _Settings:
    """What the files beside a tokenizer say.

    Attributes:
        limits: of the length in tokens.
        prefix: what sentence-transformers puts before each text by itself.
        lower: texts are lower-cased before the tokenizer sees them.
        unusual: what can't be done here; empty where all can.
    """

    limits: tuple[int, ...]
    prefix: str
    lower: bool
    unusual: str

    @classmethod
    def of(cls, folder: Path) -> Self:
        sentence, tokenizer, prompts = (
            read_json(folder / name) if (folder / name).is_file() else {}
            for name in (
                "sentence_bert_config.json",
                "tokenizer_config.json",
                "config_sentence_transformers.json",
            )
        )
        lengths = sentence.get("max_seq_length"), tokenizer.get("model_max_length")
        named = prompts.get("prompts")
        prefix = named.get(prompts.get("default_prompt_name")) if isinstance(named, dict) else None
        sides = [key for key in ("truncation_side", "padding_side") if tokenizer.get(key) == "left"]
        unusual = f"The tokenizer's {' and '.join(sides)} is left" if sides else ""
        if prefix and not _pools_prompt(folder):
            unusual = "Its pooling leaves the prompt out"
        return cls(
            tuple(int(n) for n in lengths if isinstance(n, int | float) and 0 < n < 1e6),
            prefix if isinstance(prefix, str) else "",
            bool(sentence.get("do_lower_case")),
            unusual,
        )


def _pools_prompt(folder: Path) -> bool:
    poolings = folder.glob("*_Pooling/config.json")
    return all(read_json(file).get("include_prompt", True) for file in poolings)


_RESAMPLE: dict[int, Literal["nearest", "bilinear", "bicubic"]] = {
    0: "nearest",
    2: "bilinear",
    3: "bicubic",
}
# Processors that do the common steps and nothing else, by their names without "ImageProcessor";
# what others do besides (Levit resizes to more than it is told, EfficientNet shifts) isn't in
# their fields. Each is held to the real one by a test.
_COMMON = frozenset(
    {"Beit", "Bit", "CLIP", "DeiT", "MobileNetV1", "MobileNetV2", "Pvt", "Segformer", "ViT"}
)
# Preprocessors that do more to a picture than the common steps.
_UNUSUAL = ("do_flip_channel_order", "do_pad", "do_reduce_labels", "do_thumbnail", "crop_pct")


def image_transform(folder: Path, layout: Layout) -> tuple[ImageTransform | None, tuple[Note, ...]]:
    """How pictures become the network's input, where that is said and can be done exactly."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return None, (Note("transform", "There is no preprocessor_config.json."),)
    config = read_json(path)
    processor = _processor(config)
    if processor is not None and processor not in _COMMON:
        reason = (
            f"What {processor}ImageProcessor does to a picture isn't known here: samples must be"
            " pixel_values, or name a transform."
        )
        return None, (Note("transform", reason),)
    unusual = [key for key in _UNUSUAL if config.get(key)]
    if unusual:
        reason = f"The preprocessor uses {', '.join(unusual)}, which the transform has no form for."
        return None, (Note("transform", reason),)
    try:
        return _image(config, layout), ()
    except (OptionError, TypeError, ValueError, KeyError) as error:
        return None, (Note("transform", f"The preprocessor can't be taken over: {error}"),)


def _processor(config: Mapping[str, object]) -> str | None:
    """The family of the processor that is named, which older files call a feature extractor."""
    named = config.get("image_processor_type") or config.get("feature_extractor_type")
    if not isinstance(named, str):
        return None
    for ending in ("Fast", "Pil", "ImageProcessor", "FeatureExtractor"):
        named = named.removesuffix(ending)
    return named


def _image(config: Mapping[str, object], layout: Layout) -> ImageTransform:
    channels, height, width = layout.picture
    size = _sides(config.get("size"), height, width)
    short, stretch = (size, False) if isinstance(size, int) else (None, True)
    crop = _sides(config.get("crop_size"), height, width) if config.get("do_center_crop") else None
    final: tuple[int, int]
    if crop is not None:
        final = (crop, crop) if isinstance(crop, int) else crop
        if not isinstance(size, int):
            raise ValueError("it stretches and then crops.")
    else:
        final = (size, size) if isinstance(size, int) else size
    if config.get("do_resize") is False:
        short, stretch = None, False
    rescale = config.get("do_rescale", True)
    normalise = config.get("do_normalize", True)
    return ImageTransform(
        input="pixel_values",
        size=final,
        resize_short=short,
        stretch=stretch,
        crop_offset="floor",  # theirs; torchvision's is rounded
        resample=_RESAMPLE[integer(config, "resample", 2)],
        scale=_number(config.get("rescale_factor", 1 / 255)) if rescale else 1.0,
        mean=_triple(config.get("image_mean"), channels, 0.0) if normalise else (0.0,) * channels,
        std=_triple(config.get("image_std"), channels, 1.0) if normalise else (1.0,) * channels,
        channels="L" if channels == 1 else "RGB",
    )


def _sides(value: object, height: int, width: int) -> int | tuple[int, int]:
    """The short side, or height and width."""
    if isinstance(value, int):
        return value
    if isinstance(value, Mapping):
        if isinstance(value.get("shortest_edge"), int):
            return int(value["shortest_edge"])
        return int(value["height"]), int(value["width"])
    return height, width


def _number(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number.")
    return float(value)


def _triple(value: object, channels: int, otherwise: float) -> tuple[float, ...]:
    if isinstance(value, list):
        return tuple(_number(v) for v in value)
    return (_number(value) if value is not None else otherwise,) * channels

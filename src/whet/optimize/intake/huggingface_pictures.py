"""What a Hugging Face directory says about making inputs from pictures.

Newer directories say it under ``image_processor`` in ``processor_config.json``, others in
``preprocessor_config.json``; the newer one wins, as it does in ``transformers``. A field that is
left open is what the processor that reads the file has for it (`huggingface_families`). What
can't be done exactly is left to the user, with the reason in a note: pixels that are nearly right
cost accuracy which no comparison with the original shows, because it is given the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from whet.core.note import Note
from whet.data.transform import ImageTransform
from whet.errors import OptionError
from whet.optimize.intake.huggingface_config import Layout, read_json
from whet.optimize.intake.huggingface_families import (
    PROCESSORS,
    Processor,
    Steps,
    processor_name,
)

__all__ = ["image_transform"]

_RESAMPLE: dict[int, Literal["nearest", "bilinear", "bicubic"]] = {
    0: "nearest",
    2: "bilinear",
    3: "bicubic",
}
_CONVNEXT_STRETCHES_FROM = 384
# What does more to a picture than the common steps, and the processors which have a form here.
_UNUSUAL: Mapping[str, frozenset[Steps]] = {
    "do_flip_channel_order": frozenset({Steps.MOBILEVIT}),
    "do_pad": frozenset(),
    "do_reduce_labels": frozenset(),
    "do_thumbnail": frozenset(),
    "crop_pct": frozenset({Steps.CONVNEXT, Steps.POOLFORMER}),
}
_PROCESSOR = "processor_config.json"
_PREPROCESSOR = "preprocessor_config.json"


def image_transform(folder: Path, layout: Layout) -> tuple[ImageTransform | None, tuple[Note, ...]]:
    """How pictures become the network's input, where that is said and can be done exactly."""
    stated = _stated(folder)
    if stated is None:
        return None, (Note("transform", f"No {_PREPROCESSOR} says what is done to a picture."),)
    name = processor_name(stated, layout.config)
    if not name:
        return None, (Note("transform", "Nothing says which processor reads pictures."),)
    if name not in PROCESSORS:
        reason = f"What {name}ImageProcessor does to a picture isn't known here."
        return None, (Note("transform", reason),)
    processor = PROCESSORS[name]
    unusual = [
        key for key, can in _UNUSUAL.items() if stated.get(key) and processor.steps not in can
    ]
    if unusual:
        reason = f"The preprocessor uses {', '.join(unusual)}, which the transform has no form for."
        return None, (Note("transform", reason),)
    try:
        return _image(stated, processor, layout), ()
    except (OptionError, TypeError, ValueError, KeyError) as error:
        return None, (Note("transform", f"The preprocessor can't be taken over: {error}"),)


def _stated(folder: Path) -> Mapping[str, object] | None:
    """The fields of the picture processor; ``None`` where no file has any."""
    whole = folder / _PROCESSOR
    nested = read_json(whole).get("image_processor") if whole.is_file() else None
    if isinstance(nested, dict):
        return nested
    plain = folder / _PREPROCESSOR
    return read_json(plain) if plain.is_file() else None


def _image(stated: Mapping[str, object], processor: Processor, layout: Layout) -> ImageTransform:
    channels = layout.picture[0]
    geometry = _geometry(stated, processor)
    mean, std = _moments(stated, processor, channels)
    resample = stated.get("resample", processor.resample)
    if not isinstance(resample, int) or resample not in _RESAMPLE:
        raise ValueError(f"the filter of its resize has the number {resample}.")
    return ImageTransform(
        input="pixel_values",
        size=geometry.final,
        resize_short=geometry.short,
        stretch=geometry.stretched is not None,
        stretch_to=geometry.stretched if geometry.stretched != geometry.final else None,
        crop_offset="floor",  # theirs; torchvision's is rounded
        resample=_RESAMPLE[resample],
        scale=_number(stated.get("rescale_factor", 1 / 255)) if _is(stated, "do_rescale") else 1.0,
        mean=mean,
        std=std,
        channels="L" if channels == 1 else _order(stated, processor),
    )


@dataclass(frozen=True)
class _Geometry:
    """Where the pixels come from.

    Attributes:
        final: height and width of what the network takes.
        short: the short side is resized to this.
        stretched: height and width of a resize whatever the aspect.
    """

    final: tuple[int, int]
    short: int | None = None
    stretched: tuple[int, int] | None = None


def _geometry(stated: Mapping[str, object], processor: Processor) -> _Geometry:
    size = _size(stated, processor)
    crops = _is(stated, "do_center_crop", otherwise=processor.crops)
    crop = _square(stated.get("crop_size", processor.crop_size)) if crops else None
    if not _is(stated, "do_resize"):
        if crop is None:
            raise ValueError("it takes pictures of any size as they are.")
        return _Geometry(crop)
    if processor.steps is Steps.CONVNEXT:
        return _convnext(size, stated, processor, crop)
    if processor.steps is Steps.POOLFORMER:
        size = _pooled(size, _share(stated, processor))
    if processor.steps is Steps.LEVIT and isinstance(size, int):
        size = int((256 / 224) * size)
    if isinstance(size, int):
        if crop is None:
            raise ValueError("it resizes the short side and crops nothing, so sizes differ.")
        if size < max(crop):
            raise ValueError("it crops more than there is, and fills up the rest.")
        return _Geometry(crop, short=size)
    if crop is not None and (crop[0] > size[0] or crop[1] > size[1]):
        raise ValueError("it crops more than there is, and fills up the rest.")
    return _Geometry(crop or size, stretched=size)


def _convnext(
    size: int | tuple[int, int],
    stated: Mapping[str, object],
    processor: Processor,
    crop: tuple[int, int] | None,
) -> _Geometry:
    if not isinstance(size, int):
        raise TypeError("its size is no short side.")
    if crop is not None:
        raise ValueError("it crops twice.")
    if size >= _CONVNEXT_STRETCHES_FROM:
        return _Geometry((size, size), stretched=(size, size))
    return _Geometry((size, size), short=int(size / _share(stated, processor)))


def _pooled(size: int | tuple[int, int], share: float) -> int:
    if isinstance(size, tuple) and size[0] != size[1]:
        raise ValueError("its size isn't square.")
    return int((size if isinstance(size, int) else size[0]) / share)


def _share(stated: Mapping[str, object], processor: Processor) -> float:
    share = _number(stated.get("crop_pct", processor.crop_pct))
    if not 0 < share <= 1:
        raise ValueError(f"its crop_pct is {share}.")
    return share


def _size(stated: Mapping[str, object], processor: Processor) -> int | tuple[int, int]:
    """The short side, or height and width."""
    if "size" not in stated:
        return processor.size
    value = stated["size"]
    if isinstance(value, int):
        square = _is(stated, "default_to_square", otherwise=processor.square)
        return (value, value) if square else value
    if isinstance(value, Mapping) and value.keys() == {"shortest_edge"}:
        return int(value["shortest_edge"])
    return _square(value)


def _square(value: object) -> tuple[int, int]:
    """Height and width; an integer is both."""
    if isinstance(value, int):
        return value, value
    if isinstance(value, Mapping) and value.keys() == {"height", "width"}:
        return int(value["height"]), int(value["width"])
    if isinstance(value, list | tuple) and len(value) == 2:
        return int(value[0]), int(value[1])
    raise ValueError(f"the size {value!r} has no form here.")


def _moments(
    stated: Mapping[str, object], processor: Processor, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of the whole arithmetic, one a channel."""
    zeros, ones = (0.0,) * channels, (1.0,) * channels
    mean = _channels(stated.get("image_mean", processor.moments[0]), channels)
    std = _channels(stated.get("image_std", processor.moments[1]), channels)
    normalises = _is(stated, "do_normalize") and processor.steps is not Steps.MOBILEVIT
    first = (mean, std) if normalises else (zeros, ones)
    if processor.steps is not Steps.EFFICIENTNET:
        return first
    # ((x - shift) - mean) / std / std is one step with the shift in the mean.
    shift = float(_is(stated, "do_rescale") and _is(stated, "rescale_offset", otherwise=False))
    again = std if _is(stated, "include_top") else ones
    return (
        tuple(m + shift for m in first[0]),
        tuple(a * b for a, b in zip(first[1], again, strict=True)),
    )


def _order(stated: Mapping[str, object], processor: Processor) -> Literal["RGB", "BGR"]:
    if processor.steps is not Steps.MOBILEVIT:
        return "RGB"
    return "BGR" if _is(stated, "do_flip_channel_order") else "RGB"


def _is(stated: Mapping[str, object], key: str, *, otherwise: bool = True) -> bool:
    return bool(stated.get(key, otherwise))


def _number(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number.")
    return float(value)


def _channels(value: object, channels: int) -> tuple[float, ...]:
    if not isinstance(value, list | tuple):
        return (_number(value),) * channels
    numbers = tuple(_number(v) for v in value)
    # A grey picture's processor has the defaults of three alike channels.
    return numbers[:1] if channels == 1 and len(set(numbers)) == 1 else numbers

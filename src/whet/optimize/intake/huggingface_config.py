"""What the JSON files of a Hugging Face directory say; no model library needed."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import msgspec

from whet.core.note import Note
from whet.data.transform import ImageTransform, TextTransform
from whet.errors import NetworkError, OptionError

__all__ = ["Family", "Layout", "image_transform", "read_json", "read_layout", "text_transform"]

_MAX_JSON = 16 << 20


class Family(enum.StrEnum):
    """The kinds of directory that are read."""

    IMAGE_CLASSIFIER = "picture classifier"
    TEXT_CLASSIFIER = "text classifier"
    TEXT_ENCODER = "text encoder"


@dataclass(frozen=True)
class Layout:
    """What a directory holds.

    Attributes:
        family: the kind of network.
        architecture: name of its class.
        config: the fields of ``config.json``.
        inputs: names of the inputs, in order.
        picture: channels, height, width, for pictures.
        pooling: ``mean``, ``max`` or ``cls``, for encoders.
        normalise: whether embeddings are scaled to length 1.
    """

    family: Family
    architecture: str
    config: Mapping[str, object]
    inputs: tuple[str, ...]
    picture: tuple[int, int, int] = (3, 224, 224)
    pooling: str = "mean"
    normalise: bool = False
    notes: tuple[Note, ...] = ()


def read_json(path: Path) -> Mapping[str, object]:
    """A JSON object from a file of sane size.

    Raises:
        NetworkError: missing, too large, damaged, or no object.
    """
    try:
        if path.stat().st_size > _MAX_JSON:
            raise NetworkError(f"'{path.name}' is too large to be read.", "Check the file.")
        found = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        raise NetworkError(
            f"'{path.name}' in '{path.parent.name}' can't be read as JSON.", "Copy it again."
        ) from error
    if not isinstance(found, dict):
        raise NetworkError(f"'{path.name}' in '{path.parent.name}' is no object.", "Copy it again.")
    return cast("dict[str, object]", found)


def read_layout(folder: Path) -> Layout:
    """Look at a directory and refuse what can't or mustn't be read.

    Raises:
        NetworkError: with the reason.
    """
    if not (folder / "config.json").is_file():
        raise NetworkError(
            f"The directory '{folder}' has no config.json.",
            "Give a Hugging Face model directory, or a file.",
        )
    config = read_json(folder / "config.json")
    _refuse(folder, config)
    architectures = config.get("architectures")
    first = architectures[0] if isinstance(architectures, list) and architectures else ""
    name = str(first)
    if name.endswith("ForImageClassification"):
        return Layout(
            Family.IMAGE_CLASSIFIER, name, config, ("pixel_values",), picture=_picture(config)
        )
    if name.endswith("ForSequenceClassification"):
        return Layout(Family.TEXT_CLASSIFIER, name, config, _text_inputs(config))
    if (
        name
        and "For" not in name
        and "vocab_size" in config
        and not config.get("is_encoder_decoder", False)
    ):
        return _encoder(folder, name, config)
    raise NetworkError(
        f"'{name or folder.name}' is none of the kinds that are read from a directory.",
        "Give a picture classifier, a text classifier or a text encoder, or write a 'file.py:factory'.",
    )


def _refuse(folder: Path, config: Mapping[str, object]) -> None:
    if config.get("auto_map"):
        raise NetworkError(
            f"The model directory '{folder.name}' brings code of its own (auto_map), which is never run.",
            "Read the code, and give it as 'file.py:factory' if you trust it.",
        )
    if (folder / "adapter_config.json").exists():
        raise NetworkError(
            f"The model directory '{folder.name}' holds an adapter.",
            "Merge it into the model first.",
        )
    if config.get("quantization_config"):
        raise NetworkError(
            f"The model directory '{folder.name}' is quantised already.",
            "Give the original in float; whet quantises it with the contract in view.",
        )
    if not any(folder.glob("*.safetensors")):
        raise NetworkError(
            f"The model directory '{folder.name}' has no .safetensors weights.",
            "Save it with model.save_pretrained(folder), which writes them; pickled weights are not read.",
        )


def _integer(config: Mapping[str, object], key: str, otherwise: int) -> int:
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def _picture(config: Mapping[str, object]) -> tuple[int, int, int]:
    size = config.get("image_size")
    height, width = size if isinstance(size, list) and len(size) == 2 else (size, size)
    sides = [side if isinstance(side, int) and side > 0 else 224 for side in (height, width)]
    return _integer(config, "num_channels", 3), sides[0], sides[1]


def _text_inputs(config: Mapping[str, object]) -> tuple[str, ...]:
    # Models with one segment (RoBERTa, DistilBERT) have no use for token_type_ids.
    names = ("input_ids", "attention_mask")
    return (*names, "token_type_ids") if _integer(config, "type_vocab_size", 1) > 1 else names


def _encoder(folder: Path, name: str, config: Mapping[str, object]) -> Layout:
    modules = folder / "modules.json"
    inputs = _text_inputs(config)
    if not modules.is_file():
        note = Note(
            "network", "Nothing says how to pool; the embedding is the mean over the tokens."
        )
        return Layout(Family.TEXT_ENCODER, name, config, inputs, notes=(note,))
    pooling, normalise = "mean", False
    for entry in _module_list(modules):
        kind = str(entry.get("type", "")).rpartition(".")[2]
        if kind == "Pooling":
            pooling = _pooling(folder / _plain(str(entry.get("path", ""))) / "config.json")
        elif kind == "Normalize":
            normalise = True
        elif kind != "Transformer":
            raise NetworkError(
                f"The encoder '{folder.name}' has a part '{kind}' that isn't known.",
                "Write a 'file.py:factory' that builds it.",
            )
    return Layout(Family.TEXT_ENCODER, name, config, inputs, pooling=pooling, normalise=normalise)


def _module_list(path: Path) -> list[dict[str, object]]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[dict[str, object]])
    except (OSError, msgspec.DecodeError) as error:
        raise NetworkError(f"'{path.name}' can't be read as JSON.", "Copy it again.") from error


def _plain(name: str) -> str:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise NetworkError(f"'modules.json' names '{name}', outside its folder.", "Don't trust it.")
    return name


def _pooling(path: Path) -> str:
    config = read_json(path)
    stated = config.get("pooling_mode")
    if isinstance(stated, str):
        chosen = [stated]
    else:
        known = {"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens"}
        chosen = [mode for mode, key in known.items() if config.get(f"pooling_mode_{key}")]
        others = {k for k, v in config.items() if k.startswith("pooling_mode_") and v is True}
        chosen += sorted(others - {f"pooling_mode_{key}" for key in known.values()})
    if len(chosen) != 1 or chosen[0] not in {"mean", "cls", "max"}:
        raise NetworkError(
            f"The encoder pools by {' and '.join(chosen) or 'nothing'}, which isn't known.",
            "Mean, max and first-token pooling are; write a 'file.py:factory' for others.",
        )
    return chosen[0]


def text_transform(folder: Path, layout: Layout) -> tuple[TextTransform | None, tuple[Note, ...]]:
    """How texts become the network's inputs, where ``tokenizer.json`` is there."""
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.is_file():
        return None, (
            Note("transform", "There is no tokenizer.json, so samples must be token ids."),
        )
    positions = _integer(layout.config, "max_position_embeddings", 512)
    pad = _integer(layout.config, "pad_token_id", 0)
    if layout.config.get("model_type") in {"roberta", "xlm-roberta", "camembert", "mpnet"}:
        positions -= pad + 1  # their positions are counted from behind the padding's
    limits = [positions]
    for file, key in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
    ):
        if (folder / file).is_file():
            value = read_json(folder / file).get(key)
            if isinstance(value, int | float) and 0 < value < 1e6:
                limits.append(int(value))
    transform = TextTransform(
        tokenizer=str(tokenizer), max_length=min(limits), inputs=layout.inputs, pad_id=pad
    )
    return transform, ()


_RESAMPLE: dict[int, Literal["nearest", "bilinear", "bicubic"]] = {
    0: "nearest",
    2: "bilinear",
    3: "bicubic",
}
# Preprocessors that do more to a picture than the common steps.
_UNUSUAL = ("do_flip_channel_order", "do_pad", "do_reduce_labels", "do_thumbnail", "crop_pct")


def image_transform(folder: Path, layout: Layout) -> tuple[ImageTransform | None, tuple[Note, ...]]:
    """How pictures become the network's input, where that is said and can be done exactly."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return None, (Note("transform", "There is no preprocessor_config.json."),)
    config = read_json(path)
    unusual = [key for key in _UNUSUAL if config.get(key)]
    if unusual:
        reason = f"The preprocessor uses {', '.join(unusual)}, which the transform has no form for."
        return None, (Note("transform", reason),)
    try:
        return _image(config, layout), ()
    except (OptionError, TypeError, ValueError, KeyError) as error:
        return None, (Note("transform", f"The preprocessor can't be taken over: {error}"),)


def _image(config: Mapping[str, object], layout: Layout) -> ImageTransform:
    channels, height, width = layout.picture
    size = _sides(config.get("size"), height, width)
    short, stretch = (size, False) if isinstance(size, int) else (None, True)
    crop = _sides(config.get("crop_size"), height, width) if config.get("do_center_crop") else None
    final: tuple[int, int]
    if crop is not None:
        final = (crop, crop) if isinstance(crop, int) else crop
        if not isinstance(size, int):
            if size[0] != size[1]:
                raise ValueError("it stretches and then crops.")
            # A square stretch and a crop: only exact for square pictures, so the usual reading is kept.
            short, stretch = size[0], False
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
        resample=_RESAMPLE[_integer(config, "resample", 2)],
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

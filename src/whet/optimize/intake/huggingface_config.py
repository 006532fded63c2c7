"""What the JSON files of a Hugging Face directory say; no model library needed."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec

from whet.core.note import Note
from whet.errors import NetworkError

__all__ = ["Family", "Layout", "integer", "read_json", "read_layout"]

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


def integer(config: Mapping[str, object], key: str, otherwise: int) -> int:
    """An integer field, or the number to take where it is absent."""
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def _picture(config: Mapping[str, object]) -> tuple[int, int, int]:
    size = config.get("image_size")
    height, width = size if isinstance(size, list) and len(size) == 2 else (size, size)
    sides = [side if isinstance(side, int) and side > 0 else 224 for side in (height, width)]
    return integer(config, "num_channels", 3), sides[0], sides[1]


def _text_inputs(config: Mapping[str, object]) -> tuple[str, ...]:
    # Models with one segment (RoBERTa, DistilBERT) have no use for token_type_ids.
    names = ("input_ids", "attention_mask")
    return (*names, "token_type_ids") if integer(config, "type_vocab_size", 1) > 1 else names


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

"""From the words of a command line to samples and a transform."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from whet.core.reach import is_folder
from whet.errors import OptionError

if TYPE_CHECKING:
    from whet.data.image import Channels
    from whet.data.transform import Transform

__all__ = [
    "add_network",
    "add_samples",
    "add_transform",
    "add_trust",
    "default_out",
    "keys_in",
    "names_of",
    "parse_seconds",
    "transform_of",
]

_LONGEST = 200  # characters of a name that was not chosen; file systems take 255
_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def add_network(parser: argparse.ArgumentParser) -> None:
    """Which network, with which weights."""
    parser.add_argument(
        "network", help="file.py:factory, a .pt2 or .onnx file, or a Hugging Face model directory"
    )
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help="for a factory: .safetensors, .npz, or what torch.save wrote (.pt, .pth, .pth.tar, .bin,"
        " .ckpt)",
    )


def add_samples(parser: argparse.ArgumentParser) -> None:
    """Where samples and labels are."""
    group = parser.add_argument_group("samples")
    group.add_argument(
        "--samples",
        "--data",
        required=True,
        metavar="WHERE",
        help="an .npz file, a folder of pictures, a .jsonl or .csv file, or file.py:function",
    )
    group.add_argument(
        "--labels",
        metavar="FILE",
        help="labels, if they lie apart, in the order of the samples (pictures: of their names,"
        " sorted as text): a .npy file, an .npz file with one array, or a .csv or .txt"
        " file with one label a line (the first may name the column)",
    )
    group.add_argument("--label-key", metavar="NAME", help="column or array that holds the labels")
    group.add_argument("--text-keys", metavar="A,B", help="columns that hold the text")
    group.add_argument(
        "--label-offset",
        type=int,
        default=0,
        metavar="N",
        help="added to class indices (1 where the network counts a background class)",
    )
    group.add_argument(
        "--most", type=int, default=20_000, metavar="N", help="samples read at most (default 20000)"
    )
    group.add_argument(
        "--train",
        metavar="WHERE",
        help="more samples of the same kind, without labels or with them, that a network may learn"
        " from when it is changed, such as its training set; they never judge",
    )


def add_transform(parser: argparse.ArgumentParser) -> None:
    """How pictures or texts become inputs."""
    image = parser.add_argument_group("pictures", "how they become inputs; recorded in the bundle")
    image.add_argument("--image-size", metavar="N or HxW", help="height and width after the crop")
    image.add_argument("--resize-short", type=int, metavar="N", help="short side before the crop")
    image.add_argument(
        "--stretch",
        action="store_true",
        default=None,
        help="resize to the image size whatever the aspect; no crop",
    )
    image.add_argument("--mean", metavar="R,G,B", help="per channel, for values in 0-1 (default 0)")
    image.add_argument("--std", metavar="R,G,B", help="per channel (default 1)")
    image.add_argument("--channels", choices=("RGB", "BGR", "L"), help="default RGB")
    image.add_argument("--layout", choices=("NCHW", "NHWC"), help="default NCHW")
    image.add_argument(
        "--resample", choices=("bilinear", "bicubic", "nearest"), help="default bilinear"
    )
    image.add_argument("--input-name", metavar="NAME", help="the network's input (default 'input')")
    text = parser.add_argument_group("texts", "how they become inputs; recorded in the bundle")
    text.add_argument("--tokenizer", metavar="FILE", help="a tokenizer.json")
    text.add_argument("--max-length", type=int, metavar="N", help="in tokens (default 128)")
    text.add_argument("--text-inputs", metavar="A,B", help="default input_ids,attention_mask")
    text.add_argument("--pad-id", type=int, metavar="N", help="default 0")
    text.add_argument(
        "--pairs",
        choices=("join", "apart"),
        help="two texts of a sample are one row or two (default: one for classifiers, two for"
        " encoders)",
    )


def transform_of(args: argparse.Namespace) -> Transform | None:
    """The transform, if the command line gives one.

    Raises:
        OptionError: options of both kinds, or of one without its main option.
    """
    image = _given(
        args,
        "resize_short",
        "stretch",
        "mean",
        "std",
        "channels",
        "layout",
        "resample",
        "input_name",
    )
    text = _given(args, "max_length", "text_inputs", "pad_id")
    if args.image_size is not None and args.tokenizer is not None:
        raise OptionError(
            "--image-size and --tokenizer exclude each other.",
            "Give one: samples are pictures or texts.",
        )
    if image and args.image_size is None:
        raise OptionError(
            f"{image[0]} needs --image-size.", "Give the size after the crop, such as 224."
        )
    if text and args.tokenizer is None:
        raise OptionError(
            f"{text[0]} needs --tokenizer.", "Give the network's tokenizer.json with it."
        )
    if args.image_size is not None:
        return _image(args)
    return _text(args) if args.tokenizer is not None else None


def _image(args: argparse.Namespace) -> Transform:
    from whet.data.transform import ImageTransform

    channels: Channels = args.channels or "RGB"
    depth = 1 if channels == "L" else 3
    return ImageTransform(
        size=_size(args.image_size),
        resize_short=args.resize_short,
        stretch=bool(args.stretch),
        mean=_numbers("--mean", args.mean, (0.0,) * depth),
        std=_numbers("--std", args.std, (1.0,) * depth),
        channels=channels,
        layout=args.layout or "NCHW",
        resample=args.resample or "bilinear",
        input=args.input_name or "input",
    )


def _text(args: argparse.Namespace) -> Transform:
    from whet.data.transform import TextTransform

    return TextTransform(
        tokenizer=args.tokenizer,
        max_length=args.max_length if args.max_length is not None else 128,
        inputs=names_of("--text-inputs", args.text_inputs) or ("input_ids", "attention_mask"),
        pad_id=args.pad_id or 0,
    )


def _given(args: argparse.Namespace, *names: str) -> list[str]:
    return [f"--{name.replace('_', '-')}" for name in names if getattr(args, name) is not None]


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d{1,5})(?:\s*[x×]\s*(\d{1,5}))?\s*", text)
    if match is None:
        raise OptionError(
            f"--image-size '{text}' is no size.", "Write 224 or 224x320 (height x width)."
        )
    height = int(match[1])
    return height, int(match[2]) if match[2] else height


def _numbers(flag: str, text: str | None, default: tuple[float, ...]) -> tuple[float, ...]:
    if text is None:
        return default
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise OptionError(
            f"{flag} '{text}' is no list of numbers.",
            "Write one per channel, such as 0.485,0.456,0.406.",
        ) from error


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Whether variants that are code may be opened."""
    parser.add_argument(
        "--trust-code",
        action="store_true",
        help="also open variants that run code which came with the bundle (torch, inductor);"
        " only for bundles that you made yourself",
    )


def keys_in(flag: str, file: str) -> tuple[str, ...]:
    """The keys in a file, one a line.

    Raises:
        OptionError: it can't be read, or holds none.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"The keys in {file} can't be read: {error}.", f"Mend {flag}.") from error
    if not lines:
        raise OptionError(f"{file} holds no key.", "Write one a line.")
    return tuple(lines)


def names_of(flag: str, text: str | None) -> tuple[str, ...] | None:
    """Names from ``"a,b"``.

    Raises:
        OptionError: an empty name.
    """
    if text is None:
        return None
    names = tuple(part.strip() for part in text.split(","))
    if not all(names):
        raise OptionError(f"{flag} '{text}' holds an empty name.", "Write them as a,b.")
    return names


def parse_seconds(flag: str, text: str) -> float:
    """Seconds from ``"10m"``, ``"90s"``, ``"1.5h"`` or ``"600"``.

    Raises:
        OptionError: no such duration.
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(s|m|min|h)?\s*", text)
    seconds = float(match[1]) * _SECONDS[match[2] or "s"] if match is not None else 0.0
    if seconds <= 0:
        raise OptionError(
            f"{flag} '{text}' is no time.", "Write a duration such as 10m, 90s or 1h."
        )
    return seconds


def default_out(network: str, suffix: str = ".whet") -> Path:
    """``resnet50.py:build`` and ``models/resnet50.onnx`` give ``resnet50.whet``."""
    path = re.sub(r"(\.py):[A-Za-z_]\w*$", r"\1", network)
    stem = Path(path).stem if not is_folder(Path(path)) else Path(path).resolve().name
    return Path(f"{re.sub(r'[^A-Za-z0-9._-]', '-', stem)[:_LONGEST] or 'model'}{suffix}")

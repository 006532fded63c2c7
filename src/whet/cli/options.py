"""From the words of a command line to a contract and a transform."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from whet.core.contract import METRICS, Contract, parse_bytes, parse_drop, parse_ms
from whet.errors import ContractError, Issue, OptionError

if TYPE_CHECKING:
    from whet.data.image import Channels
    from whet.data.transform import Transform

__all__ = [
    "add_contract",
    "add_samples",
    "add_transform",
    "contract_of",
    "names_of",
    "parse_seconds",
    "transform_of",
]

T = TypeVar("T")
_PERCENTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9}
_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def add_contract(parser: argparse.ArgumentParser) -> None:
    """The clauses of the contract; all are optional."""
    group = parser.add_argument_group(
        "contract", "what must be kept; without a limit: as fast as possible"
    )
    for name, q in _PERCENTILES.items():
        words = (
            f"limit of the {q:g}th percentile, such as 5ms" if name == "p99" else argparse.SUPPRESS
        )
        group.add_argument(f"--{name}", metavar="TIME", help=words)
    group.add_argument(
        "--percentile", type=float, metavar="N", help="percentile that is bounded (default 99)"
    )
    group.add_argument("--limit", metavar="TIME", help="its limit, such as 800us, 5ms or 0.2s")
    group.add_argument(
        "--max-drop",
        metavar="DROP",
        help="quality that may be lost: 1%% (of the original's value), 1pt or 0.01 (default 1pt)",
    )
    group.add_argument(
        "--metric", default="auto", metavar="NAME", help=f"{', '.join(METRICS)} or file.py:function"
    )
    group.add_argument(
        "--confidence",
        type=float,
        default=0.95,
        metavar="P",
        help="of bounds on quality (default 0.95)",
    )
    group.add_argument(
        "--batch", type=int, default=1, metavar="N", help="rows per request (default 1)"
    )
    group.add_argument(
        "--concurrency", type=int, default=1, metavar="N", help="requests at once (default 1)"
    )
    group.add_argument(
        "--threads", type=int, metavar="N", help="compute threads (default: all that may be used)"
    )
    group.add_argument("--max-size", metavar="SIZE", help="limit on disk, such as 25MB")
    group.add_argument(
        "--max-memory", metavar="SIZE", help="limit of the peak memory, such as 500MB"
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
    group.add_argument("--labels", metavar="FILE", help="labels, if they lie apart")
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


def add_transform(parser: argparse.ArgumentParser) -> None:
    """How pictures or texts become inputs."""
    image = parser.add_argument_group("pictures", "how they become inputs; recorded in the bundle")
    image.add_argument("--image-size", metavar="N or HxW", help="height and width after the crop")
    image.add_argument("--resize-short", type=int, metavar="N", help="short side before the crop")
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


def contract_of(args: argparse.Namespace) -> Contract:
    """The contract, or one error that lists everything that is wrong with it.

    Raises:
        ContractError: every broken clause.
    """
    issues: list[Issue] = []

    def read(flag: str, text: str | None, parse: Callable[[str], T], default: T) -> T:
        if text is None:
            return default
        try:
            return parse(text)
        except ContractError as error:
            issues.extend(Issue(flag, issue.message, issue.remedy) for issue in error.issues)
            return default

    percentile, flag, limit = _limit(args, issues)
    fallback = Contract()
    contract = Contract(
        limit_ms=read(flag, limit, parse_ms, fallback.limit_ms),
        percentile=percentile,
        batch=args.batch,
        concurrency=args.concurrency,
        threads=args.threads,
        metric=args.metric,
        max_drop=read("--max-drop", args.max_drop, parse_drop, fallback.max_drop),
        confidence=args.confidence,
        max_bytes=read("--max-size", args.max_size, parse_bytes, fallback.max_bytes),
        max_memory_bytes=read(
            "--max-memory", args.max_memory, parse_bytes, fallback.max_memory_bytes
        ),
    )
    try:
        contract.checked()
    except ContractError as error:
        issues.extend(error.issues)
    if issues:
        raise ContractError(tuple(issues))
    return contract


def _limit(args: argparse.Namespace, issues: list[Issue]) -> tuple[float, str, str | None]:
    """The percentile, and the flag and text of its limit."""
    named = [name for name in _PERCENTILES if getattr(args, name) is not None]
    given = [f"--{name}" for name in named] + (["--limit"] if args.limit is not None else [])
    if len(given) > 1:
        issues.append(
            Issue(
                given[1],
                f"it bounds the latency a second time, after {given[0]}.",
                "Give one of them.",
            )
        )
    if named and args.percentile is not None:
        issues.append(
            Issue(
                "--percentile", f"--{named[0]} names a percentile already.", "Give --limit with it."
            )
        )
    if named:
        return _PERCENTILES[named[0]], f"--{named[0]}", getattr(args, named[0])
    return args.percentile if args.percentile is not None else 99.0, "--limit", args.limit


def transform_of(args: argparse.Namespace) -> Transform | None:
    """The transform, if the command line gives one.

    Raises:
        OptionError: options of both kinds, or of one without its main option.
    """
    image = _given(
        args, "resize_short", "mean", "std", "channels", "layout", "resample", "input_name"
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
        raise OptionError(f"{text[0]} needs --tokenizer.", "Give a tokenizer.json.")
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

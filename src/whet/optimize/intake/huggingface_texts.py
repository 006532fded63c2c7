"""What a Hugging Face directory says about making inputs from texts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from whet.core.note import Note
from whet.data.transform import TextTransform
from whet.optimize.intake.huggingface_config import Layout, integer, read_json

__all__ = ["text_transform"]


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

"""Texts: tokenise, cut to a maximal length, pad to the longest of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, final

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.core.reach import Kind, readable
from whet.core.spec import Arrays, TensorSpec
from whet.errors import BundlePathError, OptionError, SamplesError

if TYPE_CHECKING:
    import tokenizers

__all__ = ["MAX_CHARACTERS", "Pairs", "Text", "TextEncoder", "TextTransform"]

Text = str | tuple[str, str]
Pairs = Literal["join", "apart"]

MAX_CHARACTERS = 1_000_000  # of one text; a longer one is a mistake or an attack
_MAX_TOKENIZER_BYTES = 256 << 20
_MAX_TOKENS = 1 << 20
_PAIR = 2
# Name of the input -> attribute of an encoding.
_FIELDS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


class TextTransform(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="text"
):
    """From texts or pairs of texts to the inputs of a network.

    Attributes:
        tokenizer: path of a ``tokenizer.json``; inside a bundle a name below
            the bundle's directory.
        max_length: longest sequence in tokens, special tokens included.
        inputs: which of ``input_ids``, ``attention_mask``, ``token_type_ids``
            the network takes.
        pad_id: token that fills up ``input_ids``; the other inputs get 0.
        prefix: put before each text (of a pair, before both).
        lower: texts are lower-cased, the prefix too.
        pairs: two texts of a sample are read together, one row (``"join"``, classifiers of
            pairs), or each alone, two rows (``"apart"``, encoders); ``None`` where it isn't
            known, as where samples are single texts.

    Raises:
        OptionError: a field is out of its bounds.
    """

    tokenizer: str
    max_length: int
    inputs: tuple[str, ...] = ("input_ids", "attention_mask")
    pad_id: int = 0
    prefix: str = ""
    lower: bool = False
    pairs: Pairs | None = None

    def __post_init__(self) -> None:
        distinct = len(set(self.inputs)) == len(self.inputs)
        checks = (
            (
                bool(self.tokenizer) and "\0" not in self.tokenizer,
                "tokenizer",
                "the path of a tokenizer.json",
            ),
            (1 <= self.max_length <= _MAX_TOKENS, "max_length", f"1-{_MAX_TOKENS}"),
            (
                "input_ids" in self.inputs and set(self.inputs) <= set(_FIELDS) and distinct,
                "inputs",
                f"input_ids and, once each, others of {', '.join(_FIELDS)}",
            ),
            (len(self.prefix) <= MAX_CHARACTERS, "prefix", f"at most {MAX_CHARACTERS} characters"),
            (0 <= self.pad_id < 1 << 31, "pad_id", "a token id, 0 or more"),
            (self.pairs in (None, "join", "apart"), "pairs", "join or apart"),
        )
        for holds, field, wanted in checks:
            if not holds:
                raise OptionError(
                    f"The text transform's {field} is {getattr(self, field)!r}.", f"Give {wanted}."
                )

    def specs(self) -> tuple[TensorSpec, ...]:
        """What the network takes: int64 (batch, sequence) for each input."""
        return tuple(TensorSpec(name, "int64", ("batch", "sequence")) for name in self.inputs)

    def pads(self) -> dict[str, int]:
        """What fills up short rows, by input."""
        return {name: self.pad_id if name == "input_ids" else 0 for name in self.inputs}

    def encoder(self, folder: Path | None = None) -> TextEncoder:
        """Open the tokenizer.

        Args:
            folder: of the bundle that the transform was read from; the
                tokenizer must lie below it. ``None`` takes the path as it is.

        Raises:
            BundlePathError: the tokenizer's path leaves ``folder``.
            SamplesError: the file is missing or no tokenizer.
            MissingExtraError: ``tokenizers`` isn't installed.
        """
        path = Path(self.tokenizer)
        if folder is not None:
            path = (folder / self.tokenizer).resolve()
            if not path.is_relative_to(folder.resolve()):
                raise BundlePathError(
                    f"The tokenizer's path {self.tokenizer!r} leaves the bundle.",
                    "Don't trust this bundle.",
                )
        return TextEncoder(self, _open_tokenizer(path, self.max_length))


@final
class TextEncoder:
    """An open tokenizer; may be used from several threads at once."""

    def __init__(self, transform: TextTransform, tokenizer: tokenizers.Tokenizer) -> None:
        self.transform = transform
        self._tokenizer = tokenizer

    def encode(self, texts: Sequence[Text]) -> Arrays:
        """Encode texts, or pairs of texts, into int64 (n, longest) arrays by input name.

        Raises:
            SamplesError: no text, one that can't be encoded, or neither a text nor a pair.
        """
        if not texts:
            raise SamplesError("There is no text to encode.", "Give at least one.")
        rows = self.rows(texts)
        longest = max(row["input_ids"].shape[0] for row in rows)
        pads = self.transform.pads()
        batch: Arrays = {}
        for name in self.transform.inputs:
            full = np.full((len(rows), longest), pads[name], dtype=np.int64)
            for i, row in enumerate(rows):
                full[i, : row[name].shape[0]] = row[name]
            batch[name] = full
        return batch

    def rows(self, texts: Sequence[Text]) -> list[dict[str, NDArray[np.int64]]]:
        """As `encode`, but one unpadded row a text.

        Raises:
            SamplesError: a text that can't be encoded.
        """
        for index, text in enumerate(texts):
            _check_text(text, index)
        try:
            encodings = self._tokenizer.encode_batch([self._asked(text) for text in texts])
        except Exception as error:  # the library raises bare exceptions
            raise SamplesError(
                f"The tokenizer refused a text ({error}).", "Give plain Unicode text."
            ) from error
        found = [
            {
                name: np.array(getattr(e, _FIELDS[name]), dtype=np.int64)
                for name in self.transform.inputs
            }
            for e in encodings
        ]
        if any(row["input_ids"].size == 0 for row in found):
            raise SamplesError("A text has no token.", "Leave empty texts out.")
        return found

    def _asked(self, text: Text) -> Text:
        if isinstance(text, tuple):
            return self._said(text[0]), self._said(text[1])
        return self._said(text)

    def _said(self, text: str) -> str:
        whole = self.transform.prefix + text
        return whole.lower() if self.transform.lower else whole


def _check_text(text: object, index: int) -> None:
    parts: tuple[object, ...] = text if isinstance(text, tuple) else (text,)
    if isinstance(text, tuple) and len(text) != _PAIR:
        raise SamplesError(
            f"Text {index} is a tuple of {len(text)}; a pair has two texts.",
            "Give a text or a pair of texts.",
        )
    for part in parts:
        if not isinstance(part, str):
            where = f"A part of text {index}" if isinstance(text, tuple) else f"Text {index}"
            raise SamplesError(
                f"{where} is a {type(part).__name__}, which is no text.",
                "Give a text or a pair of texts.",
            )
        if len(part) > MAX_CHARACTERS:
            raise SamplesError(
                f"A text has {len(part):,} characters; at most {MAX_CHARACTERS:,} are encoded.",
                "Cut it.",
            )


def _open_tokenizer(path: Path, max_length: int) -> tokenizers.Tokenizer:
    library = require("tokenizers", "encode texts")
    remedy = "Name the tokenizer.json that belongs to the network."
    if readable(path, SamplesError) is not Kind.FILE:
        raise SamplesError(f"There is no tokenizer at {path}.", remedy)
    if path.stat().st_size > _MAX_TOKENIZER_BYTES:
        raise SamplesError(
            f"The tokenizer {path} is larger than {_MAX_TOKENIZER_BYTES:,} bytes.", remedy
        )
    try:
        tokenizer: tokenizers.Tokenizer = library.Tokenizer.from_file(str(path))
        # The file may ask for padding and truncation of its own; ours are the transform's.
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length=max_length)
        tokenizer.encode("")
    except Exception as error:  # the library raises bare exceptions
        raise SamplesError(f"The tokenizer {path} can't be used ({error}).", remedy) from error
    return tokenizer

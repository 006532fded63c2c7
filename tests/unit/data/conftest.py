from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from whet.data.transform import ImageTransform, TextTransform

PILImage = pytest.importorskip("PIL.Image")

Maker = Callable[..., bytes]


@pytest.fixture
def picture() -> Maker:
    """Bytes of a smooth picture: ``picture(width, height, format, mode, **save_options)``."""

    def make(
        width: int = 64, height: int = 48, kind: str = "JPEG", mode: str = "RGB", **options: object
    ) -> bytes:
        y, x = np.mgrid[0:height, 0:width]
        planes = np.stack(
            [x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], -1
        )
        image = PILImage.fromarray(planes.astype(np.uint8)).convert(mode)
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        return stream.getvalue()

    return make


@pytest.fixture
def small() -> ImageTransform:
    return ImageTransform(size=(32, 32), resize_short=32, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


@pytest.fixture
def words(tmp_path: Path) -> TextTransform:
    """A word-level tokenizer with a padding and a truncation of its own, as real files have."""
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {
        word: i
        for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d", "e"])
    }
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    made.enable_padding(length=50)
    made.enable_truncation(max_length=5)
    path = tmp_path / "tokenizer.json"
    made.save(str(path))
    return TextTransform(
        tokenizer=str(path),
        max_length=8,
        inputs=("input_ids", "attention_mask", "token_type_ids"),
        pad_id=0,
    )


@pytest.fixture
def real() -> Path:
    """The folder of real data, or a skip."""
    default = Path(__file__).parents[4] / "shared" / "data"
    folder = Path(os.environ.get("WHET_DATA") or default)
    if not (folder / "cifar10_jpeg.npz").is_file():
        pytest.skip(f"no real data in {folder} (set WHET_DATA)")
    return folder

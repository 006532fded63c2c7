"""`whet bench --inputs`: from raw samples to answers, the parts apart."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from whet.bundle.draft import VariantDraft
from whet.data.image import ImageTransform
from whet.data.text import TextTransform
from whet.errors import OptionError, SamplesError
from whet.serve.bench import bench
from whet.serve.queries import Asking
from whet.serve.raw import raw_queries, read_raw

Image = pytest.importorskip("PIL.Image")
TRANSFORM = ImageTransform(size=(8, 8), mean=(0.0,) * 3, std=(1.0,) * 3, input="x")


class Small:
    """As much of an open bundle as is asked: pictures in, their mean out, two rows at once."""

    fixed_rows = 2
    seen: list[tuple[int, ...]]

    def __init__(self) -> None:
        self.seen = []

    def arrays(self, pictures: list[bytes]) -> dict[str, np.ndarray]:
        return {"x": np.stack([TRANSFORM.decode(p) for p in pictures])}

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.seen.append(arrays["x"].shape)
        return {"y": arrays["x"].mean((1, 2, 3))}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    where = tmp_path / "pictures"
    where.mkdir()
    for number in range(3):
        data = io.BytesIO()
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(data, "PNG")
        (where / f"{number}.png").write_bytes(data.getvalue())
    (where / "notes.txt").write_text("no picture")
    return where


def test_a_query_of_pictures_is_decoded_and_answered_and_both_are_timed(pictures: Path) -> None:
    small = Small()
    found = read_raw(pictures, TRANSFORM)
    assert len(found) == 3
    asking: Asking = raw_queries(small, found, 8)  # type: ignore[arg-type]
    assert (asking.rows, asking.runs) == (8, 4)
    assert all(len(query) == 8 for query in asking.queries)
    for _ in range(20):
        asking.run(asking.queries[0])
    assert small.seen == [(8, 8, 8, 3)] * 20
    parts = asking.parts(15)
    assert set(parts) == {"transform", "network"}
    assert all(p.value_ms > 0 for points in parts.values() for p in points)
    assert asking.parts(0) == {}


def test_texts_are_lines(tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("one\n\ntwo\n", encoding="utf-8")
    assert read_raw(file, TextTransform(tokenizer="t.json", max_length=8)) == ["one", "two"]


def test_what_can_not_be_asked_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no transform"):
        read_raw(tmp_path, None)
    with pytest.raises(SamplesError, match="nothing to ask"):
        read_raw(tmp_path, TRANSFORM)
    with pytest.raises(SamplesError, match="can't be read"):
        read_raw(tmp_path / "nowhere", TRANSFORM)


def test_a_bundle_of_arrays_has_nothing_before_its_network(
    variant: Callable[..., VariantDraft], bundle_of: Callable[..., Path], pictures: Path
) -> None:
    with pytest.raises(OptionError, match="no transform"):
        bench(
            bundle_of(variant("a")),
            variant=None,
            scenario="single-stream",
            seconds=0.1,
            rate_per_s=None,
            limit_ms=None,
            inputs=pictures,
        )

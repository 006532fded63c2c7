"""`whet bench --inputs`: from raw samples to answers, the parts apart."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from whet.bundle.draft import VariantDraft
from whet.data.image import ImageTransform
from whet.data.readers.raw import spread
from whet.data.text import TextTransform
from whet.errors import OptionError, SamplesError
from whet.serve.bench import bench
from whet.serve.queries import Asking
from whet.serve.raw import raw_queries, read_raw

Image = pytest.importorskip("PIL.Image")
TEXTS = TextTransform(tokenizer="t.json", max_length=8)
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
    assert read_raw(file, TEXTS) == ["one", "two"]
    file.write_bytes(b"\xef\xbb\xbfone\r\ntwo\x0bhalf\n")
    assert read_raw(file, TEXTS) == ["one", "two\x0bhalf"]


def test_texts_of_records_are_asked_and_not_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    rows = [{"text": f"text {k}", "label": int(k >= 4)} for k in range(6)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_raw(file, TEXTS) == [f"text {k}" for k in (0, 4, 1, 5, 2, 3)]
    table = tmp_path / "t.csv"
    table.write_text("review,stars\ngood,5\nbad,1\n")
    found = read_raw(table, TEXTS, text_keys=("review",), label_key="stars")
    assert found == ["bad", "good"]
    with pytest.raises(SamplesError, match="none of which is called text"):
        read_raw(table, TEXTS)


@pytest.mark.parametrize("label", [{}, {"label": 1}, {"score": 1}, {"label": "entailment"}])
def test_pairs_are_taken_as_the_bundle_was_made(tmp_path: Path, label: dict[str, object]) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(json.dumps({"sentence1": "a", "sentence2": "b", **label}))
    joined, apart = (msgspec.structs.replace(TEXTS, pairs=way) for way in ("join", "apart"))
    assert read_raw(file, joined) == [("a", "b")]
    assert read_raw(file, apart) == ["a", "b"]
    with pytest.raises(SamplesError, match="made with single texts"):
        read_raw(file, TEXTS)
    assert read_raw(file, TEXTS, text_keys=("sentence1",)) == ["a"]


def test_labels_of_any_kind_only_say_which_samples_are_alike(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    labels = ["cat", "cat", None, "dog", [1, 2], "cat"]
    rows = [{"text": f"text {k}", "label": label} for k, label in enumerate(labels)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert sorted(read_raw(file, TEXTS)) == [f"text {k}" for k in range(6)]
    assert {text[-1] for text in read_raw(file, TEXTS)[:4]} == {"0", "2", "3", "4"}
    (tmp_path / "p").mkdir()
    for name in "abcd":
        (tmp_path / "p" / f"{name}.png").write_bytes(name.encode())
    (tmp_path / "p" / "labels.csv").write_text(
        "file,label\na.png,cat\nb.png,cat\nc.png,cat\nd.png,dog\n"
    )
    assert set(read_raw(tmp_path / "p", TRANSFORM)[:2]) == {b"a", b"d"}


def test_classes_take_turns_and_only_some_of_many_are_read(tmp_path: Path) -> None:
    for name, count in (("cat", 300), ("dog", 2)):
        (tmp_path / name).mkdir()
        for number in range(count):
            (tmp_path / name / f"{number:03}.png").write_bytes(f"{name} {number}".encode())
    found = read_raw(tmp_path, TRANSFORM)
    assert len(found) == 256
    assert found[:5] == [b"cat 0", b"dog 0", b"cat 1", b"dog 1", b"cat 2"]
    (tmp_path / "labels.csv").write_text("file,label\ndog/001.png,1\ncat/007.png,0\n")
    assert read_raw(tmp_path, TRANSFORM) == [b"cat 7", b"dog 1"]
    assert read_raw(tmp_path / "dog" / "001.png", TRANSFORM) == [b"dog 1"]


def test_a_sample_is_spread_over_all() -> None:
    assert spread([None] * 10, 4) == [0, 2, 5, 7]
    assert spread([0.5, 0.25, 0.75], 2) == [0, 1]
    assert spread(list(range(1000)), 4) == [0, 250, 500, 750]
    assert spread([1, 1, 1, 0], 3) == [3, 0, 1]
    assert spread([], 3) == []


def test_what_can_not_be_asked_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no transform"):
        read_raw(tmp_path, None)
    with pytest.raises(SamplesError, match="no picture in"):
        read_raw(tmp_path, TRANSFORM)
    with pytest.raises(SamplesError, match="no file or folder"):
        read_raw(tmp_path / "nowhere", TRANSFORM)
    (tmp_path / "t.jsonl").write_text('{"text": "a"}')
    with pytest.raises(SamplesError, match=r"t\.jsonl is no picture"):
        read_raw(tmp_path / "t.jsonl", TRANSFORM)
    with pytest.raises(SamplesError, match="holds no texts"):
        read_raw(tmp_path, TEXTS)
    (tmp_path / "t.json").write_text('[{"text": "a"}]')
    with pytest.raises(SamplesError, match=r"t\.json holds no texts"):
        read_raw(tmp_path / "t.json", TEXTS)
    (tmp_path / "t.txt").write_bytes(b"\n\xff\n")
    with pytest.raises(SamplesError, match=r"Line 2 of .* isn't UTF-8"):
        read_raw(tmp_path / "t.txt", TEXTS)
    (tmp_path / "t.txt").write_text("\n")
    with pytest.raises(SamplesError, match="nothing to ask"):
        read_raw(tmp_path / "t.txt", TEXTS)
    for named in ({"text_keys": ("a",)}, {"label_key": "b"}):
        with pytest.raises(OptionError, match="has no column"):
            read_raw(tmp_path / "t.txt", TEXTS, **named)  # type: ignore[arg-type]


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


def test_columns_are_named_for_raw_samples_only(
    variant: Callable[..., VariantDraft], bundle_of: Callable[..., Path]
) -> None:
    with pytest.raises(OptionError, match="no columns to name"):
        bench(
            bundle_of(variant("a")),
            variant=None,
            scenario="single-stream",
            seconds=0.1,
            rate_per_s=None,
            limit_ms=None,
            text_keys=("text",),
        )

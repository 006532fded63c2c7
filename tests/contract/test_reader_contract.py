"""Every reader that ships, held to the contract of readers."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from whet.data.readers import Reader, Sample, open_samples
from whet.data.transform import ImageTransform, TextTransform
from whet.errors import SamplesError
from whet.testing.reader_contract import ReaderCase, ReaderContract

PICTURES = ImageTransform(size=(32, 32), resize_short=None, mean=(0.5,) * 3, std=(0.5,) * 3)
_SHADES = 16  # far enough apart to survive JPEG
_WORDS = 64


def class_of(i: int) -> int:
    return i % 5


def score_of(i: int) -> float:
    return i / 4


# -- arrays --


def numbers(count: int) -> dict[str, NDArray[np.generic]]:
    """Rows of 32 KB that hold their number, and their labels."""
    x = np.repeat(np.arange(count, dtype=np.float32)[:, None], 8192, axis=1)
    return {"x": x, "labels": np.array([class_of(i) for i in range(count)])}


def number_in(sample: Sample) -> int:
    (array,) = sample.rows[0].values()
    assert (array == array.flat[0]).all()
    return int(array.flat[0])


def write_npz(folder: Path, count: int) -> None:
    np.savez(folder / "a.npz", **numbers(count))


def loaded(folder: Path) -> dict[str, NDArray[np.generic]]:
    with np.load(folder / "a.npz") as data:
        return dict(data)


def cut(name: str) -> Callable[[Path], None]:
    """Halve a file."""

    def halve(folder: Path) -> None:
        file = folder / name
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    return halve


NPZ = ReaderCase(
    write_npz,
    lambda folder: open_samples(folder / "a.npz"),
    number_in,
    label=class_of,
    spoil=cut("a.npz"),
    many=900,
)


class TestNpz(ReaderContract):
    case = NPZ


class TestCompressedNpz(ReaderContract):
    case = replace(NPZ, write=lambda folder, n: np.savez_compressed(folder / "a.npz", **numbers(n)))


class TestNpzWithoutLabels(ReaderContract):
    case = replace(
        NPZ, write=lambda folder, n: np.savez(folder / "a.npz", x=numbers(n)["x"]), label=None
    )


class TestOneSetOfAnNpz(ReaderContract):
    @staticmethod
    def write(folder: Path, count: int) -> None:
        given = numbers(count)
        sets = {"test_x": given["x"], "test_labels": given["labels"], "train_x": np.zeros((3, 2))}
        np.savez(folder / "a.npz", **sets)

    case = replace(NPZ, write=write, open=lambda folder: open_samples(f"{folder / 'a.npz'}#test"))


class TestNpy(ReaderContract):
    case = ReaderCase(
        lambda folder, count: np.save(folder / "a.npy", numbers(count)["x"]),
        lambda folder: open_samples(folder / "a.npy"),
        number_in,
        spoil=cut("a.npy"),
    )


class TestArraysInMemory(ReaderContract):
    case = ReaderCase(
        write_npz,
        lambda folder: open_samples(loaded(folder)),
        number_in,
        label=class_of,
    )


class TestInputsAndLabelsInMemory(ReaderContract):
    @staticmethod
    def opened(folder: Path) -> Reader:
        data = loaded(folder)
        return open_samples((data["x"], data["labels"]))

    case = ReaderCase(write_npz, opened, number_in, label=class_of)


class TestLabelsGivenApart(ReaderContract):
    """The labels of the file are replaced, the index of the background class is added."""

    @staticmethod
    def opened(folder: Path) -> Reader:
        return open_samples(folder / "a.npz", labels=folder / "apart.npy", label_offset=1)

    @staticmethod
    def write(folder: Path, count: int) -> None:
        write_npz(folder, count)
        np.save(folder / "apart.npy", [class_of(i) + 10 for i in range(count)])

    case = replace(NPZ, write=write, open=opened, label=lambda i: class_of(i) + 11)


# -- pictures --


def picture(i: int, kind: str) -> bytes:
    images = pytest.importorskip("PIL.Image")
    stream = io.BytesIO()
    images.new("RGB", (32, 32), (i % _SHADES * _SHADES,) * 3).save(stream, kind)
    return stream.getvalue()


def shade_in(sample: Sample) -> int:
    return round(float(sample.rows[0]["input"].mean()) / _SHADES)


def write_flat(folder: Path, count: int) -> None:
    for i in range(count):
        (folder / f"{i:05}.png").write_bytes(picture(i, "PNG"))


def write_table(folder: Path, count: int) -> None:
    """A `labels.csv` whose order isn't that of the names."""
    names = [f"{count - i:05}.png" for i in range(count)]
    for i, name in enumerate(names):
        (folder / name).write_bytes(picture(i, "PNG"))
    lines = [f"{name},{class_of(i)}" for i, name in enumerate(names)]
    (folder / "labels.csv").write_text("\n".join(["file,label", *lines]) + "\n")


def write_classes(folder: Path, count: int) -> None:
    """Classes one after another, as their folders are read."""
    for i in range(count):
        place = folder / f"class-{i // 100:03}"
        place.mkdir(exist_ok=True)
        (place / f"{i:05}.png").write_bytes(picture(i, "PNG"))


def write_packed(folder: Path, count: int) -> None:
    blobs = [picture(i, "JPEG") for i in range(count)]
    np.savez(
        folder / "a.npz",
        jpeg=np.frombuffer(b"".join(blobs), np.uint8),
        offsets=np.cumsum([0, *map(len, blobs)]),
        labels=np.array([class_of(i) for i in range(count)]),
    )


def spoil_picture(folder: Path) -> None:
    victim = sorted(folder.rglob("*.png"))[-1]
    victim.write_bytes(victim.read_bytes()[:40])


FLAT = ReaderCase(
    write_flat,
    lambda folder: open_samples(folder, transform=PICTURES),
    shade_in,
    marks=_SHADES,
    spoil=spoil_picture,
)


class TestFolderOfPictures(ReaderContract):
    case = FLAT


class TestFolderWithLabels(ReaderContract):
    case = replace(FLAT, write=write_table, label=class_of)


class TestClassFolders(ReaderContract):
    case = replace(FLAT, write=write_classes, label=lambda i: i // 100)


class TestPackedJpegs(ReaderContract):
    case = ReaderCase(
        write_packed,
        lambda folder: open_samples(folder / "a.npz", transform=PICTURES),
        shade_in,
        marks=_SHADES,
        label=class_of,
        spoil=cut("a.npz"),
    )


class TestPicturesInMemory(ReaderContract):
    @staticmethod
    def opened(folder: Path) -> Reader:
        return open_samples(loaded(folder), transform=PICTURES)

    @staticmethod
    def write(folder: Path, count: int) -> None:
        shades = (np.arange(count) % _SHADES * _SHADES).astype(np.uint8)
        x = np.broadcast_to(shades[:, None, None, None], (count, 40, 40, 3))
        np.savez(folder / "a.npz", x=x, labels=[class_of(i) for i in range(count)])

    case = ReaderCase(write, opened, shade_in, marks=_SHADES, label=class_of)


# -- texts --


def tokenizer(folder: Path) -> TextTransform:
    tokenizers = pytest.importorskip("tokenizers")
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{i}" for i in range(_WORDS))]
    made = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: i for i, word in enumerate(names)}, unk_token="[UNK]")
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    path = folder.parent / "tokenizer.json"
    made.save(str(path))
    return TextTransform(
        tokenizer=str(path), max_length=16, inputs=("input_ids", "attention_mask"), pad_id=0
    )


def word_in(sample: Sample) -> int:
    return int(sample.rows[0]["input_ids"][1]) - 4


def sentence(i: int) -> str:
    """Of varying length, beginning with the word that tells it apart."""
    return " ".join([f"w{i % _WORDS}"] * (1 + i % 3))


def jsonl(record: Callable[[int], dict[str, Any]]) -> Callable[[Path, int], None]:
    def write(folder: Path, count: int) -> None:
        lines = "".join(json.dumps(record(i)) + "\n" for i in range(count))
        (folder / "t.jsonl").write_text(lines)

    return write


def write_csv(folder: Path, count: int) -> None:
    with (folder / "t.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows([sentence(i), class_of(i)] for i in range(count))


def append(name: str, text: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        file = folder / name
        file.write_text(file.read_text() + text)

    return spoil


TEXTS = ReaderCase(
    jsonl(lambda i: {"text": sentence(i), "label": class_of(i)}),
    lambda folder: open_samples(folder / "t.jsonl", transform=tokenizer(folder)),
    word_in,
    marks=_WORDS,
    label=class_of,
    spoil=append("t.jsonl", '{"text": "w1", "label"\n'),
    many=1500,
)


class TestJsonl(ReaderContract):
    case = TEXTS


class TestJsonlWithoutLabels(ReaderContract):
    case = replace(TEXTS, write=jsonl(lambda i: {"text": sentence(i)}), label=None)


class TestScoredPairs(ReaderContract):
    """Encoded apart: two rows a sample."""

    case = replace(
        TEXTS,
        write=jsonl(lambda i: {"sentence1": sentence(i), "sentence2": "w1", "score": score_of(i)}),
        label=score_of,
    )


class TestClassifiedPairs(ReaderContract):
    """Joined: one row a sample."""

    case = replace(
        TEXTS,
        write=jsonl(lambda i: {"sentence1": sentence(i), "sentence2": "w1", "label": class_of(i)}),
    )


class TestCsv(ReaderContract):
    case = replace(
        TEXTS,
        write=write_csv,
        open=lambda folder: open_samples(folder / "t.csv", transform=tokenizer(folder)),
        spoil=append("t.csv", "w1\n"),
    )


# -- from Python --

_FUNCTIONS = """
import numpy as np

COUNT = {count}

def one(i):
    return np.full(8192, i, np.float32)

def batches():
    for start in range(0, COUNT, 4):
        rows = range(start, min(start + 4, COUNT))
        yield {{"x": np.stack([one(i) for i in rows]), "labels": [i % 5 for i in rows]}}

def pairs():
    for i in range(COUNT):
        yield one(i), i % 5

def breaks():
    yield from pairs()
    raise RuntimeError("the disk was eaten")
"""


def write_functions(folder: Path, count: int) -> None:
    (folder / "mine.py").write_text(_FUNCTIONS.format(count=count))


def spoil_function(folder: Path) -> None:
    file = folder / "mine.py"
    file.write_text(file.read_text() + "\nbatches = breaks\n")


BATCHES = ReaderCase(
    write_functions,
    lambda folder: open_samples(f"{folder / 'mine.py'}:batches"),
    number_in,
    label=class_of,
    spoil=spoil_function,
)


class TestFunctionOfBatches(ReaderContract):
    case = BATCHES


class TestFunctionOfSamples(ReaderContract):
    case = replace(
        BATCHES, open=lambda folder: open_samples(f"{folder / 'mine.py'}:pairs"), spoil=None
    )


def write_count(folder: Path, count: int) -> None:
    (folder / "count").write_text(str(count))


def endless() -> Iterator[tuple[NDArray[np.generic], int]]:
    for i in itertools.count():
        yield np.full(64, i, np.float32), class_of(i)


def first_of_endless(folder: Path) -> Iterator[tuple[NDArray[np.generic], int]]:
    return itertools.islice(endless(), int((folder / "count").read_text()))


class TestIterator(ReaderContract):
    """Can be read once; a second reading says so."""

    case = ReaderCase(
        write_count,
        lambda folder: open_samples(first_of_endless(folder)),
        number_in,
        label=class_of,
        rereads=False,
    )


class TestList(ReaderContract):
    case = replace(
        TestIterator.case,
        open=lambda folder: open_samples([*first_of_endless(folder)]),
        rereads=True,
    )


class TestTextsFromPython(ReaderContract):
    @staticmethod
    def opened(folder: Path) -> Reader:
        count = int((folder / "count").read_text())
        given = [(sentence(i), class_of(i)) for i in range(count)]
        return open_samples(given, transform=tokenizer(folder))

    case = ReaderCase(write_count, opened, word_in, marks=_WORDS, label=class_of, many=1500)


class TestPicturesFromPython(ReaderContract):
    @staticmethod
    def opened(folder: Path) -> Reader:
        blobs = [picture(i, "PNG") for i in range(_SHADES)]
        count = int((folder / "count").read_text())
        given = [(blobs[i % _SHADES], class_of(i)) for i in range(count)]
        return open_samples(given, transform=PICTURES)

    case = ReaderCase(write_count, opened, shade_in, marks=_SHADES, label=class_of)


# -- the suite itself --


@dataclass(frozen=True)
class Wrapped:
    """A reader with one promise broken."""

    reader: Reader
    breaks: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.reader, name)

    def read(self, chosen: NDArray[np.int64] | None = None) -> Iterator[Sample]:
        match self.breaks:
            case "ignores the choice":
                yield from self.reader.read()
            case "holds everything":
                yield from list(self.reader.read(chosen))
            case "mixes labels":
                samples = list(self.reader.read(chosen))
                for sample, other in zip(samples, reversed(samples), strict=True):
                    yield replace(sample, label=other.label)
            case "drops the last":
                yield from list(self.reader.read(chosen))[:-1]
            case "leaks a file":
                _LEAKS.enter_context(Path(self.source).open("rb"))  # noqa: SIM115 - closed after the test
                yield from self.reader.read(chosen)
            case "raises what it likes":
                raise KeyError("x")


_LEAKS = ExitStack()


@pytest.mark.parametrize(
    ("breaks", "check"),
    [
        (
            "ignores the choice",
            lambda s, p: s.test_chosen_samples_are_those_at_their_places(p, [0]),
        ),
        ("holds everything", lambda s, p: s.test_memory_does_not_grow_with_the_source(p)),
        ("mixes labels", lambda s, p: s.test_each_sample_has_its_own_label(p)),
        ("drops the last", lambda s, p: s.test_gives_every_sample_once_in_order(p, 23)),
        ("leaks a file", lambda s, p: s.test_leaves_nothing_behind(p, 1)),
        ("raises what it likes", lambda s, p: s.test_says_what_is_damaged(p)),
    ],
)
def test_the_suite_catches_a_reader_that_lies(
    tmp_path: Path, breaks: str, check: Callable[[ReaderContract, Path], None]
) -> None:
    class Liar(ReaderContract):
        case = replace(
            NPZ,
            open=lambda folder: Wrapped(open_samples(folder / "a.npz"), breaks),  # type: ignore[arg-type,return-value]
            spoil=lambda folder: None,
        )

    with _LEAKS, pytest.raises((AssertionError, KeyError, ValueError)):
        check(Liar(), tmp_path)


def test_a_second_reading_of_an_iterator_names_the_remedy(tmp_path: Path) -> None:
    write_count(tmp_path, 3)
    reader = TestIterator.case.open(tmp_path)
    list(reader.read())
    with pytest.raises(SamplesError, match="only once") as refusal:
        list(reader.read())
    assert "function" in refusal.value.remedy

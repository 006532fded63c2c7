from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from whet.data.store import SampleStore
from whet.data.text import TextTransform
from whet.data.transform import ImageTransform
from whet.search.intake.given import Given
from whet.search.intake.samples import clean_samples, decoded
from whet.search.stop import Stop
from whet.search.workers.jobs import Described

Decode = Callable[..., tuple[SampleStore, str]]


@pytest.fixture
def decode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Decode:
    monkeypatch.setenv("WHET_CACHE", str(tmp_path / "cache"))

    def run(samples: object, **options: object) -> tuple[SampleStore, str]:
        arrival = tmp_path / "cache" / f"arrival-{len(list(tmp_path.glob('cache/arrival-*')))}"
        arrival.mkdir(parents=True)
        described = options.pop("described", None)
        given = Given("net", samples, **options)  # type: ignore[arg-type]
        return decoded(given, described, arrival, Stop())  # type: ignore[arg-type]

    return run


def stores(tmp_path: Path) -> int:
    return len(list((tmp_path / "cache" / "samples").glob("*/store.json")))


def first(store: SampleStore) -> float:
    return float(next(iter(store.rows(np.array([0])).values())).ravel()[0])


def test_the_same_file_is_read_once_and_a_replaced_one_again(
    decode: Decode, tmp_path: Path
) -> None:
    file = tmp_path / "x.npz"
    np.savez(file, x=np.zeros((4, 3), np.float32))
    store, digest = decode(str(file))
    written = (store.path / "store.json").stat().st_mtime_ns
    again, same = decode(str(file))
    assert (again.path, same) == (store.path, digest)
    assert (store.path / "store.json").stat().st_mtime_ns == written
    np.savez(file, x=np.ones((4, 3), np.float32))
    other, changed = decode(str(file))
    assert changed != digest
    assert first(other) == 1.0
    assert stores(tmp_path) == 2


def test_a_function_whose_data_was_replaced_is_read_again(decode: Decode, tmp_path: Path) -> None:
    data, code = tmp_path / "fn.npz", tmp_path / "fn.py"
    code.write_text(
        f"import numpy as np\ndef samples():\n    return dict(np.load({str(data)!r}))\n"
    )
    np.savez(data, x=np.zeros((4, 3), np.float32))
    store, digest = decode(f"{code}:samples")
    again, same = decode(f"{code}:samples")
    assert (again.path, same) == (store.path, digest)
    np.savez(data, x=np.ones((4, 3), np.float32))
    other, changed = decode(f"{code}:samples")
    assert changed != digest
    assert first(other) == 1.0


def test_labels_are_part_of_what_samples_are(decode: Decode) -> None:
    x = np.zeros((4, 3), np.float32)
    x[:, 0] = range(4)
    digests = {decode(x, labels=labels)[1] for labels in (None, [0, 1, 0, 1], [0, 1, 1, 1])}
    digests.add(decode(x, labels=[0, 1, 0, 1], label_offset=1)[1])
    assert len(digests) == 4


def test_a_changed_tokenizer_encodes_the_texts_again(decode: Decode, tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")

    def write(words: tuple[str, ...]) -> None:
        vocabulary = {"[UNK]": 0, **{word: i + 1 for i, word in enumerate(words)}}
        made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
        made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        made.save(str(tmp_path / "tokenizer.json"))

    texts = tmp_path / "texts.csv"
    texts.write_text("text,label\none two,0\ntwo one,1\n")
    transform = TextTransform(tokenizer=str(tmp_path / "tokenizer.json"), max_length=8)
    write(("one", "two"))
    store, digest = decode(str(texts), transform=transform)
    assert decode(str(texts), transform=transform)[1] == digest
    write(("two", "one"))
    other, changed = decode(str(texts), transform=transform)
    assert changed != digest
    assert first(other) != first(store)


def test_the_networks_names_of_classes_give_labels_their_numbers(
    decode: Decode, tmp_path: Path
) -> None:
    image = pytest.importorskip("PIL.Image")
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        image.new("RGB", (8, 8), name == "cat").save(tmp_path / "pets" / name / "a.png")
    transform = ImageTransform(size=(8, 8), mean=(0.0,) * 3, std=(1.0,) * 3)

    def labels(*classes: str) -> list[int]:
        described = Described("net", (), transform, "classifier", classes)
        found = decode(str(tmp_path / "pets"), described=described)[0].labels
        assert found is not None
        return found.tolist()

    assert labels() == [0, 1]
    assert labels("dog", "cat", "cow") == [1, 0]  # not what was kept for the first
    assert labels("cow", "dog", "cat") == [2, 1]
    assert labels("dog", "cat", "cow") == [1, 0]


def test_a_damaged_store_is_read_again(decode: Decode, tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    np.savez(file, x=np.ones((4, 3), np.float32))
    store, digest = decode(str(file))
    (store.path / "store.json").write_text("{")
    again, same = decode(str(file))
    assert same == digest
    assert first(again) == 1.0


def test_stores_that_no_search_uses_go_after_a_month(decode: Decode, tmp_path: Path) -> None:
    file, other = tmp_path / "x.npz", tmp_path / "y.npz"
    np.savez(file, x=np.zeros((4, 3), np.float32))
    np.savez(other, x=np.ones((4, 3), np.float32))
    used, _ = decode(str(file))
    old, _ = decode(str(other))
    month_s = 31 * 86_400
    now_s = time.time()
    known = tmp_path / "cache" / "samples" / "known"
    for path in (used.path, old.path, *known.iterdir()):
        os.utime(path, (now_s - month_s,) * 2)
    again, _ = decode(str(file))  # which takes it into use
    assert again.path == used.path
    killed = old.path.with_name(".gone-by-a-killed-search")
    killed.mkdir()
    assert clean_samples(now_s) == 2
    assert used.path.is_dir()
    assert not old.path.exists()
    assert not killed.exists()
    assert len(list(known.iterdir())) == 1
    assert first(decode(str(other))[0]) == 1.0, "it is read again"
    assert clean_samples(now_s) == 0
    assert clean_samples(now_s + month_s) == 2


def test_a_cache_without_samples_has_none_to_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHET_CACHE", str(tmp_path / "nowhere"))
    assert clean_samples() == 0

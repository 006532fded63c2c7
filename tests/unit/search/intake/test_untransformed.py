"""Pictures and texts for a directory without a usable transform: the error says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from whet.errors import SamplesError
from whet.search.intake.given import Given
from whet.search.intake.parts import reader_of
from whet.search.workers.jobs import Described, DescribeJob, describe

REASON = "What PerceiverImageProcessor does to a picture isn't known here."


def refused(samples: Path, described: Described) -> SamplesError:
    with pytest.raises(SamplesError) as error:
        reader_of(Given("net", str(samples)), described)
    return error.value


def test_the_directorys_reason_reaches_who_gives_pictures(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1])
    folder = tmp_path / "net"
    transformers.ResNetForImageClassification(config).save_pretrained(folder)
    stated = {"image_processor_type": "PerceiverImageProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(stated))
    (tmp_path / "pets").mkdir()
    image.new("RGB", (8, 8)).save(tmp_path / "pets" / "a.png")
    error = refused(tmp_path / "pets", describe(DescribeJob(str(folder), None)))
    assert error.message.endswith(f"nothing says how to decode them. {REASON}")
    assert "--image-size" in error.remedy


def test_without_a_reason_the_sentence_ends(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    error = refused(tmp_path, Described("net", (), None, None))
    assert error.message.endswith("nothing says how to decode them.")


def test_the_reason_reaches_who_gives_texts(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "a", "label": 1}\n')
    reason = "The tokenizer's padding_side is left."
    error = refused(tmp_path / "t.jsonl", Described("net", (), None, None, (), reason))
    assert error.message.endswith(f"nothing says how to encode it. {reason}")

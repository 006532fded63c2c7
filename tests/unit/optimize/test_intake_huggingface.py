"""Hugging Face directories, made here with tiny random networks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from whet.core.context import Context
from whet.core.passes import run
from whet.core.spec import TensorSpec
from whet.data.transform import ImageTransform, TextTransform
from whet.errors import NetworkError
from whet.optimize.export import export
from whet.optimize.graph.fuse import Fuse
from whet.optimize.graph.runs import run_graph
from whet.optimize.intake import Task, load_network
from whet.optimize.intake.huggingface import describe_directory

MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
TINY_BERT = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 24,
}


def save(folder: Path, model: Any, **files: object) -> Path:
    model.eval().save_pretrained(folder)
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path = path.with_name(f"{path.name}.json")
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    return folder


def tokenizer() -> dict[str, object]:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{i}" for i in range(36))]
    return {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {
            "type": "WordLevel",
            "vocab": {word: i for i, word in enumerate(words)},
            "unk_token": "[UNK]",
        },
    }


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    return save(
        tmp_path_factory.mktemp("bert"),
        BertModel(BertConfig(**TINY_BERT)),
        tokenizer=tokenizer(),
        modules=[
            {"type": "sentence_transformers.models.Transformer", "path": ""},
            {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
            {"type": "sentence_transformers.models.Normalize", "path": "2_Normalize"},
        ],
        **{"1_Pooling__config": {"pooling_mode_mean_tokens": True, "word_embedding_dimension": 32}},
        sentence_bert_config={"max_seq_length": 20},
    )


def ids(rows: int, length: int) -> dict[str, np.ndarray[Any, Any]]:
    generator = np.random.default_rng(1)
    mask = np.ones((rows, length), np.int64)
    mask[-1, length // 2 + 1 :] = 0
    tokens = generator.integers(4, 40, (rows, length))
    return {"input_ids": tokens, "attention_mask": mask, "token_type_ids": np.zeros_like(tokens)}


def test_an_encoder_pools_as_its_directory_says(encoder: Path) -> None:
    from transformers import BertModel

    network = load_network(encoder)
    assert (network.task, network.outputs) == (Task.ENCODER, ("embedding",))
    assert network.transform == TextTransform(
        tokenizer=str(encoder / "tokenizer.json"),
        max_length=20,
        inputs=("input_ids", "attention_mask", "token_type_ids"),
    )
    assert network.tokenizer == encoder / "tokenizer.json"
    assert network.module is not None
    assert not any("pooler" in name for name, _ in network.module.named_parameters())
    inputs = {name: torch.from_numpy(value) for name, value in ids(3, 7).items()}
    plain = BertModel.from_pretrained(encoder).eval()
    with torch.inference_mode():
        hidden = plain(**inputs).last_hidden_state
        got = network.module(*inputs.values())
    keep = inputs["attention_mask"].unsqueeze(-1)
    mean = (hidden * keep).sum(1) / keep.sum(1)
    torch.testing.assert_close(got, torch.nn.functional.normalize(mean, dim=1))


def test_an_encoder_exports_and_fuses(encoder: Path, tmp_path: Path) -> None:
    network = load_network(encoder)
    exported = export(network, network.inputs, ids(3, 7), tmp_path)
    graph = exported.graph
    assert [s.shape for s in graph.signature.inputs] == [("batch", "sequence")] * 3
    assert [str(s) for s in graph.signature.outputs] == ["embedding: float32[batch, 32]"]
    assert network.module is not None
    ctx = Context(workdir=tmp_path / "fused", reference=graph)
    fused = run(Fuse(target="onnxruntime"), graph, ctx)
    assert any("1 × Attention" in note.reason for note in fused.notes)
    inputs = ids(2, 11)
    with torch.inference_mode():
        want = network.module(*(torch.from_numpy(v) for v in inputs.values())).numpy()
    for artifact in (graph, fused.model):
        got = run_graph(artifact, inputs)["embedding"]
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def beside(encoder: Path, folder: Path, **files: object) -> Path:
    """A copy of a directory with more files in it, or others in their place."""
    shutil.copytree(encoder, folder)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


PROMPTS = {"prompts": {"query": "w1 w2: ", "other": "w3"}, "default_prompt_name": "query"}


@pytest.mark.parametrize(
    ("files", "asked"),
    [
        ({}, "W3 w4"),
        ({"config_sentence_transformers": PROMPTS}, "w1 w2: W3 w4"),
        ({"config_sentence_transformers": {**PROMPTS, "default_prompt_name": None}}, "W3 w4"),
        ({"sentence_bert_config": {"max_seq_length": 20, "do_lower_case": True}}, "w3 w4"),
    ],
)
def test_an_encoder_is_asked_as_its_files_say(
    encoder: Path, tmp_path: Path, files: dict[str, object], asked: str
) -> None:
    folder = beside(encoder, tmp_path / "copy", **files)
    transform = describe_directory(folder).transform
    assert isinstance(transform, TextTransform)
    from tokenizers import Tokenizer

    want = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(asked).ids
    assert transform.encoder().encode(["W3 w4"])["input_ids"][0].tolist() == want


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"tokenizer_config": {"padding_side": "left"}}, "padding_side is left"),
        (
            {"tokenizer_config": {"padding_side": "left", "truncation_side": "left"}},
            "truncation_side and padding_side is left",
        ),
        (
            {
                "config_sentence_transformers": PROMPTS,
                "1_Pooling/config": {"pooling_mode_mean_tokens": True, "include_prompt": False},
            },
            "leaves the prompt out",
        ),
    ],
)
def test_what_cannot_be_done_to_texts_is_a_note(
    encoder: Path, tmp_path: Path, files: dict[str, object], said: str
) -> None:
    found = describe_directory(beside(encoder, tmp_path / "copy", **files))
    assert found.transform is None
    assert [said in note.reason for note in found.notes if note.where == "transform"] == [True]


def test_the_embedding_is_that_of_sentence_transformers(encoder: Path, tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    from transformers import PreTrainedTokenizerFast

    folder = beside(
        encoder,
        tmp_path / "copy",
        config_sentence_transformers=PROMPTS,
        sentence_bert_config={"max_seq_length": 20, "do_lower_case": True},
        modules=[
            {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for n, (kind, path) in enumerate(
                (("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize"))
            )
        ],
    )
    PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(folder)
    texts = ["W3 w4 w9", "w5"]
    want = library.SentenceTransformer(str(folder), device="cpu").encode(texts)
    network = load_network(folder)
    assert isinstance(network.transform, TextTransform)
    assert network.module is not None
    inputs = network.transform.encoder().encode(texts)
    with torch.inference_mode():
        rows = [torch.from_numpy(inputs[name]) for name in network.parameters]
        got = network.module(*rows).numpy()
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_a_text_classifier_with_one_segment(tmp_path: Path) -> None:
    from transformers import RobertaConfig, RobertaForSequenceClassification

    config = RobertaConfig(**TINY_BERT, num_labels=3, type_vocab_size=1, pad_token_id=1)
    folder = save(tmp_path, RobertaForSequenceClassification(config), tokenizer=tokenizer())
    network = load_network(folder)
    assert (network.task, network.outputs) == (Task.CLASSIFIER, ("logits",))
    assert network.parameters == ("input_ids", "attention_mask")
    assert isinstance(network.transform, TextTransform)
    # Positions are counted from behind the padding's.
    assert (network.transform.max_length, network.transform.pad_id) == (22, 1)
    assert network.module is not None
    rows = torch.ones(2, 22, dtype=torch.int64) * 5
    assert network.module(rows, torch.ones_like(rows)).shape == (2, 3)


def resnet(folder: Path, **preprocessor: object) -> Path:
    from transformers import ResNetConfig, ResNetForImageClassification

    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], num_labels=4)
    files = {"preprocessor_config": preprocessor} if preprocessor else {}
    return save(folder, ResNetForImageClassification(config), **files)


def test_a_picture_classifier_brings_its_transform(tmp_path: Path) -> None:
    folder = resnet(
        tmp_path / "resnet",
        image_processor_type="BitImageProcessor",
        do_resize=True,
        size={"shortest_edge": 40},
        do_center_crop=True,
        crop_size={"height": 32, "width": 32},
        resample=3,
        rescale_factor=1 / 255,
        image_mean=MEAN,
        image_std=STD,
    )
    network = load_network(folder)
    assert network.transform == ImageTransform(
        input="pixel_values",
        size=(32, 32),
        resize_short=40,
        crop_offset="floor",
        resample="bicubic",
        mean=(0.5, 0.4, 0.3),
        std=(0.2, 0.3, 0.4),
    )
    assert network.inputs == (TensorSpec("pixel_values", "float32", ("batch", 3, 32, 32)),)
    assert describe_directory(folder).transform == network.transform
    pixels = {"pixel_values": np.random.default_rng(0).random((2, 3, 32, 32), np.float32)}
    exported = export(network, network.inputs, pixels, tmp_path / "out")
    assert [str(s) for s in exported.graph.signature.outputs] == ["logits: float32[batch, 4]"]


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"size": 24}, {"size": (24, 24), "resize_short": 27}),  # 24 / (224 / 256)
        (
            {
                "image_processor_type": "ViTImageProcessor",
                "size": {"height": 30, "width": 20},
            },
            {"size": (30, 20), "stretch": True},
        ),
        (
            {"image_processor_type": "BitImageProcessor", "do_resize": False, "crop_size": 24},
            {"size": (24, 24), "resize_short": None, "stretch": False},
        ),
        ({"size": 24, "do_normalize": False}, {"mean": (0.0,) * 3, "std": (1.0,) * 3}),
        ({"size": 24, "do_rescale": False}, {"scale": 1.0}),
    ],
)
def test_preprocessors_are_read_as_they_are_meant(
    tmp_path: Path, stated: dict[str, object], expected: dict[str, object]
) -> None:
    found = describe_directory(resnet(tmp_path, image_mean=MEAN, image_std=STD, **stated)).transform
    assert isinstance(found, ImageTransform)
    for field, value in expected.items():
        assert getattr(found, field) == value, field


@pytest.mark.parametrize(
    "stated",
    [{"do_flip_channel_order": True}, {"size": 24, "resample": 9}, {"size": {"longest": 3}}],
)
def test_a_preprocessor_without_an_exact_form_is_a_note(
    tmp_path: Path, stated: dict[str, object]
) -> None:
    network = describe_directory(resnet(tmp_path, **stated))
    assert network.transform is None
    assert [note.where for note in network.notes] == ["transform"]
    assert network.inputs[0].shape == ("batch", 3, 224, 224)


def test_a_classifier_says_how_its_classes_are_called(tmp_path: Path) -> None:
    folder = resnet(tmp_path)
    assert load_network(folder).classes == ()  # LABEL_0 and so on
    edit(folder, id2label={"0": "dog", "1": "cat", "2": "cow", "3": "ape"})
    assert describe_directory(folder).classes == ("dog", "cat", "cow", "ape")
    assert load_network(folder).classes == ("dog", "cat", "cow", "ape")


def test_a_vision_transformer(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=16,
        num_labels=5,
    )
    network = load_network(save(tmp_path / "vit", ViTForImageClassification(config)))
    assert network.inputs[0].shape == ("batch", 3, 32, 32)
    pixels = {"pixel_values": np.random.default_rng(0).random((2, 3, 32, 32), np.float32)}
    exported = export(network, network.inputs, pixels, tmp_path / "out")
    assert exported.graph.signature.inputs[0].shape == ("batch", 3, 32, 32)


def edit(folder: Path, **fields: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **fields}))


REFUSED = {
    "custom code": ({"auto_map": {"AutoModel": "modeling.Net"}}, "brings code of its own"),
    "quantised": ({"quantization_config": {"bits": 4}}, "quantised already"),
    "another task": (
        {"architectures": ["BertForMaskedLM"]},
        "'BertForMaskedLM' is none of the kinds",
    ),
    "no class": (
        {"architectures": ["NewModel"], "vocab_size": 3},
        "'NewModel' .* isn't in transformers",
    ),
    "no model class": ({"architectures": ["logging"], "vocab_size": 3}, "'logging' .* isn't in"),
    "a head that was never trained": (
        {"architectures": ["BertForSequenceClassification"]},
        "lack .* parameters .* random",
    ),
}


@pytest.mark.parametrize(("fields", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_must_not_or_cannot_be_read_is_refused(
    tmp_path: Path, fields: dict[str, object], message: str
) -> None:
    from transformers import BertConfig, BertModel

    folder = save(tmp_path, BertModel(BertConfig(**TINY_BERT)))
    edit(folder, **fields)
    with pytest.raises(NetworkError, match=message) as caught:
        load_network(folder)
    assert caught.value.remedy


def test_damaged_and_incomplete_directories(tmp_path: Path) -> None:
    folder = resnet(tmp_path)
    weights = folder / "model.safetensors"
    blob = weights.read_bytes()
    weights.write_bytes(blob[: len(blob) // 2])
    with pytest.raises(NetworkError, match="can't be read"):
        load_network(folder)
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(NetworkError, match=r"no \.safetensors weights"):
        load_network(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(NetworkError, match="can't be read as JSON"):
        load_network(folder)


def test_unknown_pooling_is_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    folder = save(
        tmp_path,
        BertModel(BertConfig(**TINY_BERT)),
        modules=[{"type": "x.Pooling", "path": "p"}],
        p__config={"pooling_mode_mean_sqrt_len_tokens": True},
    )
    with pytest.raises(NetworkError, match="pooling_mode_mean_sqrt_len_tokens, which isn't known"):
        load_network(folder)
    (folder / "modules.json").write_text(json.dumps([{"type": "x.Dense", "path": "p"}]))
    with pytest.raises(NetworkError, match="a part 'Dense'"):
        load_network(folder)

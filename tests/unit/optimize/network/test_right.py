"""Right classes learnt beside what the original gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from surgery_nets import context, encoder_net, pictures, residual_net, texts

from whet.core.passes import run
from whet.core.spec import Signature, TensorSpec
from whet.errors import RequirementError, SamplesError
from whet.optimize.network.distill import Distill
from whet.optimize.network.learning.right import Right, right_of
from whet.optimize.network.narrow import Narrow
from whet.optimize.network.structure.net import Batches

SIGNATURE = Signature(
    inputs=(TensorSpec("x", "float32", ("batch", 2)),),
    outputs=(
        TensorSpec("other", "float32", ("batch",)),
        TensorSpec("scores", "float32", ("batch", 3)),
        TensorSpec("map", "float32", ("batch", 3, 4, 4)),
        TensorSpec("pooled", "float32", ("batch", 3, 1, 1)),
    ),
)


def _coloured(batches: Batches) -> Batches:
    """Pictures of which one colour is brighter than the others."""
    for (picture,) in batches:
        rows = torch.arange(len(picture))
        picture[rows, rows % 3] += 1.0
    return batches


def _classes(batches: Batches) -> np.ndarray:
    """What a picture shows and the network hasn't learnt: its brightest colour."""
    return np.concatenate([b[0].mean((2, 3)).argmax(1).numpy() for b in batches])


def test_what_the_original_answers_wrongly_is_learnt_right(tmp_path: Path) -> None:
    net, batches = residual_net(), _coloured(pictures(batches=24))
    with torch.no_grad():  # as far apart as trained scores are
        for weight in net.original.head.parameters():
            weight.mul_(10)
    ctx = replace(context(net, batches, tmp_path), labels=_classes(batches))
    before = run(Narrow(0.25), net, ctx).model
    unseen = _coloured(pictures(batches=8, seed=5))

    def right(module: torch.nn.Module) -> float:
        with torch.no_grad():
            found = np.concatenate([module(*b).argmax(1).numpy() for b in unseen])
        return float((found == _classes(unseen)).mean())

    alone, with_labels = (
        run(Distill(60, 16, 3e-2, labels), before, replace(ctx, workdir=tmp_path / str(i))).model
        for i, labels in enumerate(("", "scores"))
    )
    assert right(with_labels.module) > right(net.original) + 0.5
    assert right(with_labels.module) > right(alone.module) + 0.5


def test_labels_are_taken_with_the_rows_that_they_are_of() -> None:
    right = Right(0, np.array([2, 0, 1, 1]))
    assert right.at(np.array([3, 0])).tolist() == [1, 2]


@pytest.mark.parametrize("own", [1.0, 0.5, 0.2])
def test_mixed_rows_are_mixed_labels(own: float) -> None:
    right, scores = Right(0, np.array([0])), torch.randn(4, 3)
    classes = torch.tensor([0, 1, 2, 2])
    told = torch.log_softmax(scores, 1)
    each = own * told[range(4), classes] + (1 - own) * told[range(4), classes.flip(0)]
    torch.testing.assert_close(right.off(scores, classes, own), -each.mean())


def test_probabilities_and_numbers_are_as_far_off() -> None:
    right, scores = Right(0, np.array([0])), torch.randn(4, 3)
    classes = torch.tensor([0, 1, 2, 2])
    torch.testing.assert_close(
        right.off(scores.softmax(1), classes, 0.7), right.off(scores[..., None, None], classes, 0.7)
    )


@pytest.mark.parametrize("output", ["scores", "pooled"])
def test_scores_of_classes_can_be_right(tmp_path: Path, output: str) -> None:
    ctx = replace(context(residual_net(), pictures(), tmp_path), labels=np.array([0.0, 2.0]))
    found = right_of(ctx, SIGNATURE, output)
    assert SIGNATURE.outputs[found.place].name == output
    assert found.classes.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("output", "said"), [("other", "no scores"), ("map", "no scores"), ("none", "no output 'none'")]
)
def test_other_outputs_hold_no_classes(tmp_path: Path, output: str, said: str) -> None:
    ctx = replace(context(residual_net(), pictures(), tmp_path), labels=np.array([0, 2]))
    with pytest.raises(RequirementError, match=said):
        right_of(ctx, SIGNATURE, output)


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0], [0.5, 1.0]])
def test_labels_that_are_no_classes_are_refused(tmp_path: Path, labels: list[float]) -> None:
    ctx = replace(context(residual_net(), pictures(), tmp_path), labels=np.array(labels))
    with pytest.raises(SamplesError):
        right_of(ctx, SIGNATURE, "scores")


def test_without_labels_none_can_be_learnt(tmp_path: Path) -> None:
    net = encoder_net()
    ctx = context(net, texts(), tmp_path)
    before = run(Narrow(0.5), net, ctx).model
    with pytest.raises(RequirementError, match="no labels"):
        run(Distill(labels=net.signature.outputs[0].name), before, ctx)

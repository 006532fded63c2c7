"""Every pass over networks, held to their contract."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "optimize" / "network"))

from surgery_nets import context, encoder_net, pictures, residual_net, texts
from vision_nets import shown as patches
from vision_nets import vision_net

from whet.core.context import Context, Feed
from whet.core.passes import Pass, PassResult, Stage, run
from whet.errors import RequirementError
from whet.optimize.network.distill import Distill
from whet.optimize.network.drop import DropBlocks
from whet.optimize.network.exit_after import ExitAfter
from whet.optimize.network.factor import Factor
from whet.optimize.network.learn_int8 import LearnInt8
from whet.optimize.network.merge_tokens import MergeTokens
from whet.optimize.network.narrow import Narrow
from whet.optimize.network.repair import Repair
from whet.optimize.network.resize import Resize
from whet.optimize.network.separate import Separate
from whet.optimize.network.slim import Slim
from whet.optimize.network.sparsify import Sparsify
from whet.optimize.network.structure.net import Net
from whet.optimize.network.substitute import Substitute
from whet.testing.network_contract import NetworkCase, NetworkPassContract

# Made once: that passes leave what they are given is the first thing that the suite looks at.
residual, encoder = functools.cache(residual_net), functools.cache(encoder_net)
transformer = functools.cache(vision_net)


def shown() -> Feed:
    feed = context(residual(), pictures()).repair
    assert feed is not None
    return feed


def told() -> Feed:
    feed = context(encoder(), texts()).repair
    assert feed is not None
    return feed


def looked_at() -> Feed:
    feed = context(transformer(), patches()).repair
    assert feed is not None
    return feed


def classes() -> np.ndarray:
    return np.arange(len(shown())) % 4


class TestNarrow(NetworkPassContract):
    case = NetworkCase(
        Narrow(0.5),
        net=residual,
        feed=shown,
        idle=Narrow(units={"one.a": 16}),
        refused=Narrow(units={"stem": 4}),
    )


class TestNarrowHeadsAndFeedForward(NetworkPassContract):
    case = NetworkCase(Narrow(0.5), net=encoder, feed=told)


class TestDropWithBridge(NetworkPassContract):
    case = NetworkCase(
        DropBlocks(("one",)), net=residual, feed=shown, refused=DropBlocks(("none",))
    )


class TestDrop(NetworkPassContract):
    case = NetworkCase(
        DropBlocks(("two",), bridge=False),
        net=residual,
        feed=shown,
        refused=DropBlocks(("stem",), bridge=False),
    )


class TestFactor(NetworkPassContract):
    case = NetworkCase(
        Factor(ranks={"one.b": 4, "head": 1}),
        net=residual,
        feed=shown,
        refused=Factor(ranks={"one.b": 16}),
    )


class TestFactorAfterNarrow(NetworkPassContract):
    case = NetworkCase(Factor(0.75), net=encoder, feed=told, before=(Narrow(0.5),))


class TestSlim(NetworkPassContract):
    case = NetworkCase(Slim(0.5), net=residual, feed=shown, refused=Slim(channels={"none": 4}))


class TestSlimAfterNarrow(NetworkPassContract):
    case = NetworkCase(Slim(0.25), net=residual, feed=shown, before=(Narrow(0.5),))


class TestResize(NetworkPassContract):
    case = NetworkCase(Resize(13), net=residual, feed=shown, refused=Resize(99))


class TestSeparate(NetworkPassContract):
    case = NetworkCase(Separate(1), net=residual, feed=shown, refused=Separate(layers={"head": 1}))


class TestSeparateWhatIsSlimAndNarrow(NetworkPassContract):
    case = NetworkCase(
        Separate(2), net=residual, feed=shown, before=(Resize(13), Slim(0.25), Narrow(0.25))
    )


class TestSparsify(NetworkPassContract):
    case = NetworkCase(
        Sparsify(0.5), net=residual, feed=shown, refused=Sparsify(0.5, layers=("none",))
    )


class TestSparsifyWhatIsSlimAndNarrow(NetworkPassContract):
    case = NetworkCase(
        Sparsify(pattern="2:4"), net=residual, feed=shown, before=(Slim(0.25), Narrow(0.25))
    )


class TestExitAfter(NetworkPassContract):
    case = NetworkCase(ExitAfter("one"), net=residual, feed=shown, refused=ExitAfter("two"))


class TestExitAfterWhatIsSlimAndNarrow(NetworkPassContract):
    case = NetworkCase(
        ExitAfter("one", labels="scores"),
        net=residual,
        feed=shown,
        before=(Resize(13), Slim(0.25), Narrow(0.25), Repair()),
        labels=classes,
    )


class TestDistillWhatEndsEarly(NetworkPassContract):
    case = NetworkCase(
        Distill(12, 8), net=residual, feed=shown, before=(Narrow(0.5), ExitAfter("one"))
    )


class TestSubstitute(NetworkPassContract):
    case = NetworkCase(Substitute("resnet", 0.125, 0.25), net=residual, feed=shown)


class TestDistillSubstituteWithLabels(NetworkPassContract):
    case = NetworkCase(
        Distill(12, 8, rate=3e-2, labels="scores", norms=True),
        net=residual,
        feed=shown,
        before=(Substitute("resnet", 0.125, 0.25),),
        labels=classes,
    )


class TestDistillWhatIsSlim(NetworkPassContract):
    case = NetworkCase(Distill(12, 8), net=residual, feed=shown, before=(Slim(0.25),))


class TestDistillOnSmallerPictures(NetworkPassContract):
    case = NetworkCase(Distill(12, 8), net=residual, feed=shown, before=(Resize(13), Narrow(0.25)))


class TestLearnInt8(NetworkPassContract):
    case = NetworkCase(LearnInt8(8, 8), net=residual, feed=shown, rounds=True)


class TestLearnInt8OfTexts(NetworkPassContract):
    case = NetworkCase(LearnInt8(4, 8), net=encoder, feed=told, rounds=True)


class TestLearnInt8WithLabelsOfAllTogether(NetworkPassContract):
    case = NetworkCase(
        LearnInt8(8, 8, labels="scores", reduce_range=True),
        net=residual,
        feed=shown,
        before=(Resize(13), Slim(0.25), Narrow(0.25), Separate(2), DropBlocks(("two",))),
        refused=LearnInt8(8, 8, labels="none"),
        labels=classes,
        rounds=True,
    )


class TestLearnInt8OfASubstitute(NetworkPassContract):
    case = NetworkCase(
        LearnInt8(4, 8),
        net=residual,
        feed=shown,
        before=(Substitute("resnet", 0.125, 0.25),),
        rounds=True,
    )


@pytest.mark.parametrize(
    "step",
    [
        Narrow(0.5),
        Slim(0.5),
        Factor(0.5),
        Separate(1),
        Sparsify(0.5),
        DropBlocks(("one",)),
        Resize(13),
        Repair(),
    ],
    ids=lambda step: step.name,
)
def test_a_substitute_has_none_of_the_originals_layers(
    step: Pass[Net, Net], tmp_path: Path
) -> None:
    ctx = context(residual(), pictures(), tmp_path)
    net = run(Substitute("resnet", 0.125, 0.25), residual(), ctx).model
    with pytest.raises(RequirementError):
        run(step, net, ctx)


class TestMergeTokens(NetworkPassContract):
    case = NetworkCase(
        MergeTokens(0.5),
        net=transformer,
        feed=looked_at,
        idle=MergeTokens(tokens={"layers.0": 0}),
        refused=MergeTokens(tokens={"layers.0": 99}),
    )


class TestDistillWhatHasFewerTokens(NetworkPassContract):
    case = NetworkCase(Distill(12, 8), net=transformer, feed=looked_at, before=(MergeTokens(0.5),))


class TestRepairOfAllTogether(NetworkPassContract):
    case = NetworkCase(
        Repair(),
        net=residual,
        feed=shown,
        before=(Resize(13), Slim(0.25), Narrow(0.25), Separate(2)),
    )


class TestRepair(NetworkPassContract):
    case = NetworkCase(Repair(), net=residual, feed=shown, before=(Narrow(0.5),))


class TestRepairByGradients(NetworkPassContract):
    case = NetworkCase(Repair(fit=False, steps=8), net=encoder, feed=told, before=(Narrow(0.5),))


class TestRepairOfPairsAndBridges(NetworkPassContract):
    case = NetworkCase(
        Repair(), net=residual, feed=shown, before=(DropBlocks(("one",)), Factor(0.5))
    )


class TestDistill(NetworkPassContract):
    case = NetworkCase(Distill(12, 8), net=encoder, feed=told, before=(Narrow(0.5),))


class TestDistillWithLabels(NetworkPassContract):
    case = NetworkCase(
        Distill(12, 8, labels="scores"),
        net=residual,
        feed=shown,
        before=(Narrow(0.5), Factor(0.5)),
        refused=Distill(12, 8, labels="none"),
        labels=classes,
    )


def test_the_suite_catches_a_pass_that_changes_what_it_was_given(tmp_path: Path) -> None:
    class Careless(Pass[Net, Net]):
        name = "careless"
        takes = gives = Stage.NETWORK

        def requires(self, model: Net, ctx: Context) -> None: ...

        def apply(self, model: Net, ctx: Context) -> PassResult[Net]:
            with torch.no_grad():
                model.module.head.bias.add_(1)
            return PassResult(model, True)

        def ensures(self, model: Net, ctx: Context) -> None: ...

    class Suite(NetworkPassContract):
        case = NetworkCase(Careless(), net=residual_net, feed=shown)

    suite = Suite()
    found = suite._applied(tmp_path)  # as its fixture does
    with pytest.raises(AssertionError):
        suite.test_leaves_what_it_was_given(found)
    with pytest.raises(AssertionError):
        suite.test_keeps_what_teaches_and_where_it_is_cut(found)

from __future__ import annotations

import torch
from torch.nn import functional

from whet.optimize.network.menus.damage import damage


def test_the_divergence_of_scores_is_that_of_their_shares() -> None:
    torch.manual_seed(0)
    wanted, found = torch.randn(2, 6, 5), torch.randn(2, 6, 5)
    own = damage([[w] for w in wanted], [[f] for f in found], classes=True)
    shares, others = (functional.softmax(x.flatten(0, 1), -1) for x in (wanted, found))
    by_hand = (shares * (shares / others).log()).sum(-1).mean()
    assert abs(own - float(by_hand)) < 1e-5
    shifted = [[w + 3.0] for w in wanted]
    assert damage([[w] for w in wanted], shifted, classes=True) < 1e-6


def test_other_answers_are_compared_by_what_they_vary() -> None:
    torch.manual_seed(0)
    wanted = torch.randn(64, 3) * 5 + 100
    half = wanted + torch.randn(64, 3) * 2.5
    own = damage([[wanted]], [[half]], classes=False)
    assert 0.15 < own < 0.35, "a quarter of the variance, whatever the mean"
    assert damage([[wanted]], [[wanted]], classes=False) == 0.0


def test_every_output_in_floating_point_counts_unless_scores_decide() -> None:
    torch.manual_seed(0)
    one, other, whole = torch.randn(8, 4), torch.randn(8, 2), torch.arange(8)
    changed = [[one, other + 1.0, whole + 1]]
    assert damage([[one, other, whole]], changed, classes=True) == 0.0
    assert damage([[one, other, whole]], changed, classes=False) > 0.5


def test_batches_may_differ_in_length() -> None:
    torch.manual_seed(0)
    long, short = torch.randn(4, 9, 3), torch.randn(4, 5, 3)
    assert damage([[long], [short]], [[long], [short + 0.1]], classes=False) > 0

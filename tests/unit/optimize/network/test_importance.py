from __future__ import annotations

import itertools

import pytest
import torch

from whet.optimize.network.channels.importance import Taker, removal_order


def taker(x: torch.Tensor, weights: torch.Tensor, size: int) -> Taker:
    units = torch.arange(x.shape[1]).reshape(-1, size)
    return Taker(x.T @ x, weights, units)


def error_without(x: torch.Tensor, weights: torch.Tensor, gone: list[int], size: int) -> float:
    """What is left of the answers when the others are fitted anew, by numpy's least squares."""
    stay = [i for i in range(x.shape[1]) if i // size not in gone]
    wanted = x @ weights
    fitted = torch.linalg.lstsq(x[:, stay].double(), wanted.double()).solution
    return float((x[:, stay].double() @ fitted - wanted).square().sum())


@pytest.mark.parametrize("size", [1, 3])
def test_the_first_to_go_is_the_one_that_least_squares_miss_least(size: int) -> None:
    torch.manual_seed(size)
    x = torch.randn(400, 6 * size) @ torch.randn(6 * size, 6 * size)
    weights = torch.randn(6 * size, 4)
    first = removal_order([taker(x, weights, size)], steps=99)[0]
    errors = [error_without(x, weights, [unit], size) for unit in range(6)]
    assert int(first) == min(range(6), key=errors.__getitem__)


def test_a_pair_is_as_good_as_the_best_of_all_pairs_for_most_networks() -> None:
    near = 0
    for seed in range(10):
        torch.manual_seed(seed)
        x = torch.randn(300, 8) @ torch.randn(8, 8)
        weights = torch.randn(8, 5)
        order = removal_order([taker(x, weights, 1)], steps=99).tolist()
        own = error_without(x, weights, order[:2], 1)
        best = min(error_without(x, weights, [*p], 1) for p in itertools.combinations(range(8), 2))
        near += own <= 1.2 * best
    assert near >= 8


def test_what_the_others_can_say_goes_before_what_is_small() -> None:
    torch.manual_seed(0)
    x = torch.randn(200, 4)
    x[:, 3] = x[:, 0] + x[:, 1]  # large, and nothing that the others don't know
    weights = torch.tensor([[1.0], [1.0], [0.2], [3.0]])
    order = removal_order([taker(x, weights, 1)], steps=99).tolist()
    assert order[0] in (0, 1, 3)
    assert order.index(2) >= 1


def test_every_unit_goes_once_and_in_the_same_order_again() -> None:
    torch.manual_seed(0)
    x, weights = torch.randn(300, 40), torch.randn(40, 6)
    for steps in (5, 40):
        one, other = (removal_order([taker(x, weights, 1)], steps=steps) for _ in range(2))
        assert sorted(one.tolist()) == list(range(40))
        assert one.tolist() == other.tolist()


def test_of_several_takers_each_counts_by_its_share() -> None:
    torch.manual_seed(0)
    x = torch.randn(300, 3)
    weak, strong = torch.tensor([[0.0], [1.0], [1.0]]), 100 * torch.tensor([[1.0], [0.0], [1.0]])
    order = removal_order([taker(x, weak, 1), taker(x, strong, 1)], steps=99).tolist()
    assert order[-1] == 2, "the only one that both need, whatever the scale"

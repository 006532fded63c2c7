"""Which tokens are merged into which, held to a plain implementation; and how many go where."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.optimize.network.tokens.merging import Merging, most_fewer
from whet.optimize.network.tokens.spread import spread


def merged_plainly(
    tokens: np.ndarray, keys: np.ndarray, sizes: np.ndarray, fewer: int, first: int
) -> tuple[np.ndarray, np.ndarray]:
    """One row, token by token, as the paper says it: (tokens, channels) and their sizes."""
    givers, takers = range(first, len(tokens), 2), range(first + 1, len(tokens), 2)

    def likeness(one: int, other: int) -> float:
        a, b = keys[one], keys[other]
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    partner = {g: max(takers, key=lambda t: likeness(g, t)) for g in givers}
    order = sorted(givers, key=lambda g: -likeness(g, partner[g]))
    gone, left = order[:fewer], order[fewer:]
    found = [(tokens[i], sizes[i]) for i in range(first)]
    for taker in takers:
        group = [taker, *(g for g in gone if partner[g] == taker)]
        size = sum(sizes[i] for i in group)
        found.append((sum(sizes[i] * tokens[i] for i in group) / size, size))
    found += [(tokens[i], sizes[i]) for i in left]
    return np.stack([token for token, _ in found]), np.array([size for _, size in found])


@given(
    rows=st.integers(1, 3),
    first=st.integers(0, 2),
    others=st.integers(2, 11),
    share=st.floats(0, 1),
    seed=st.integers(0, 999),
)
@settings(max_examples=60, deadline=None)
def test_it_merges_as_the_plain_implementation(
    rows: int, first: int, others: int, share: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    count = first + others
    fewer = round(share * most_fewer(count, first))
    tokens, keys = random.normal(size=(rows, count, 5)), random.normal(size=(rows, count, 3))
    sizes = random.integers(1, 5, size=(rows, count, 1)).astype(float)
    found, left = Merging(fewer, first)(*map(torch.from_numpy, (tokens, keys, sizes)))
    for row in range(rows):
        wanted, its = merged_plainly(tokens[row], keys[row], sizes[row, :, 0], fewer, first)
        np.testing.assert_allclose(found[row], wanted, atol=1e-12)
        np.testing.assert_allclose(left[row, :, 0], its)
    # No token is lost: their sum, each as often as it counts, is what it was.
    assert found.shape == (rows, count - fewer, 5)
    np.testing.assert_allclose((found * left).sum(1), (tokens * sizes).sum(1), atol=1e-9)


def test_without_sizes_each_token_counts_as_one() -> None:
    tokens, keys = torch.randn(2, 9, 4), torch.randn(2, 9, 3)
    found, wanted = (Merging(3, 1)(tokens, keys, s) for s in (None, torch.ones(2, 9, 1)))
    for own, its in zip(found, wanted, strict=True):
        assert torch.equal(own, its)


@given(
    others=st.integers(2, 600),
    first=st.integers(0, 2),
    share=st.floats(0.01, 0.99),
    places=st.integers(1, 24),
)
def test_tokens_go_as_evenly_as_they_can(
    others: int, first: int, share: float, places: int
) -> None:
    found, left = spread(others + first, first, share, places), others
    assert len(found) == places
    for fewer in found:
        assert 0 <= fewer <= most_fewer(left + first, first)
        left -= fewer
    wanted = round(others * share)
    assert others - left <= wanted
    if max(found) < others * (1 - share) / 2:  # then no half stood in the way
        assert others - left == wanted
        assert max(found) - min(found) <= 1

"""Views of samples: what may change, and that what counts or names things doesn't."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from whet.optimize.network.learning.views import seen_anew


def _random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(seed=st.integers(0, 1000))
def test_tokens_and_masks_stay(seed: int) -> None:
    ids, mask = torch.randint(0, 99, (4, 7)), torch.ones(4, 7, dtype=torch.int64)
    found = seen_anew((ids, mask), _random(seed)).inputs
    assert torch.equal(found[0], ids)
    assert torch.equal(found[1], mask)


@given(seed=st.integers(0, 1000))
def test_numbers_beside_tokens_stay(seed: int) -> None:
    batch = (torch.randn(4, 7), torch.randint(0, 9, (4,)))
    view = seen_anew(batch, _random(seed))
    assert torch.equal(view.inputs[0], batch[0])
    assert view.own == 1


@given(seed=st.integers(0, 1000), dtype=st.sampled_from([torch.float32, torch.uint8]))
def test_one_colour_stays_one_colour(seed: int, dtype: torch.dtype) -> None:
    """Whatever is mirrored, shifted or mixed of pictures of one colour is that colour."""
    picture = torch.full((4, 3, 16, 16), 7, dtype=dtype)
    (found,) = seen_anew((picture,), _random(seed)).inputs
    assert found.dtype is dtype
    torch.testing.assert_close(found, picture)


@pytest.mark.parametrize("shape", [(2, 3, 16, 24), (2, 16, 24, 3)])
def test_pictures_move_along_their_sides_only(shape: tuple[int, ...]) -> None:
    """Each colour keeps its own values, in either order of axes."""
    axis = 1 if shape[1] == 3 else 3
    picture = torch.arange(3, dtype=torch.float32).reshape(
        [3 if i == axis else 1 for i in range(4)]
    )
    for seed in range(20):
        (found,) = seen_anew((picture.expand(shape),), _random(seed)).inputs
        torch.testing.assert_close(found, picture.expand(shape))


def test_a_picture_is_shifted_by_an_eighth_at_most() -> None:
    ramp = torch.arange(64.0).repeat(1, 1, 64, 1)
    for seed in range(40):
        (found,) = seen_anew((ramp,), _random(seed)).inputs
        mirrored = float(found[0, 0, 0, 0]) > float(found[0, 0, 0, -1])
        near = found.flip(3) if mirrored else found
        assert float((near - ramp).abs().max()) <= 8


def test_views_differ_and_are_drawn_from_the_seed() -> None:
    picture = torch.rand(4, 3, 16, 16)
    views = [seen_anew((picture,), _random(seed)).inputs[0] for seed in range(10)]
    again = [seen_anew((picture,), _random(seed)).inputs[0] for seed in range(10)]
    assert all(torch.equal(a, b) for a, b in zip(views, again, strict=True))
    assert any(not torch.equal(view, picture) for view in views)


@given(seed=st.integers(0, 1000))
def test_a_view_says_how_much_of_each_row_is_its_own(seed: int) -> None:
    """Rows of one number each, so that neither mirroring nor shifting shows."""
    rows = torch.tensor([0.0, 1.0, 2.0, 5.0])
    view = seen_anew((rows.reshape(4, 1, 1, 1).expand(4, 3, 16, 16),), _random(seed))
    wanted = view.own * rows + (1 - view.own) * rows.flip(0)
    torch.testing.assert_close(view.inputs[0][:, 0, 3, 3], wanted)

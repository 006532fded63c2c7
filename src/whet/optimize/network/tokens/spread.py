"""How many tokens go behind each block; pure."""

from __future__ import annotations

__all__ = ["spread"]


def spread(tokens: int, first: int, share: float, places: int) -> tuple[int, ...]:
    """So many behind each of some blocks, as evenly as whole numbers allow.

    At most half of the tokens can be merged at once, so fewer go where there are few blocks.

    Args:
        tokens: before the first of the blocks.
        first: of them that stay as they are.
        share: of the others that are to be gone behind the last block.
        places: blocks.
    """
    others, gone, found = tokens - first, 0, list[int]()
    for place in range(1, places + 1):
        wanted = round(others * share * place / places) - gone
        found.append(min(wanted, (others - gone) // 2))
        gone += found[-1]
    return tuple(found)

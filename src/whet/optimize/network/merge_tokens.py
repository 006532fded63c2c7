"""Tokens of a vision transformer that are alike, merged on the way, so that later blocks have fewer.

Of a picture's patches many say nearly the same, sky or grass, and each block works on all of them.
Behind each block that attends, those most alike by the keys of its attention are merged (Bolya et
al. 2023, "Token Merging: Your ViT But Faster"), a fixed number each time. Nothing is trained, no
weight is changed, and samples aren't needed.

Where a network can be treated is found from what flows in it: blocks with attention over (rows,
tokens, channels), behind which the order of tokens doesn't matter
(`whet.optimize.network.tokens.laws`). Behind the first of them values have fewer tokens than the
original's, each picture's others, so they can't be compared any more: this pass comes last of those
over the network, but for `distill`, which teaches the answers alone then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, final

from whet.core.context import Context
from whet.core.note import Note
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import OptionError, PostconditionError, RequirementError
from whet.optimize.network.structure.net import Net, example_of
from whet.optimize.network.tokens.attention import Attention, attentions_in, same_tokens
from whet.optimize.network.tokens.behind import with_fewer_tokens
from whet.optimize.network.tokens.laws import first_tokens, need_alike_to_merge
from whet.optimize.network.tokens.merging import Merging, most_fewer
from whet.optimize.network.tokens.spread import spread

__all__ = ["MergeTokens", "with_merged_tokens"]


@final
@dataclass(frozen=True)
class MergeTokens(Pass[Net, Net]):
    """Merge tokens that are alike.

    Attributes:
        share: of all tokens that are gone behind the last block that attends, as many behind each;
            those that the network reads alone, such as a class token, stay and don't count.
        tokens: that are merged into others behind each of some blocks, by their names; takes the
            place of ``share``.

    Raises:
        OptionError: a share that leaves nothing, a number below 0, or neither option.
    """

    name: ClassVar[str] = "merge-tokens"
    takes: ClassVar[Stage] = Stage.NETWORK
    gives: ClassVar[Stage] = Stage.NETWORK
    share: float = 0.0
    tokens: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        below = min(self.tokens.values(), default=0) < 0
        if not 0 <= self.share < 1 or bool(self.tokens) == bool(self.share) or below:
            raise OptionError(
                f"A share of {self.share:g} beside numbers for {len(self.tokens)} blocks says nothing"
                " of how many tokens are to be merged.",
                "Give either a share between 0 and 1, or a number for each of some blocks.",
            )

    def requires(self, model: Net, ctx: Context) -> None:  # noqa: ARG002  # the graph says it
        """How the network is built is looked at by `apply`, as that takes running it."""
        model.need_own_layers()

    def apply(self, model: Net, ctx: Context) -> PassResult[Net]:  # noqa: ARG002  # as above
        return with_merged_tokens(model, self.share, self.tokens)

    def ensures(self, model: Net, ctx: Context) -> None:  # noqa: ARG002  # layers say it
        if model.merged and not any(isinstance(m, Merging) for m in model.module.modules()):
            raise PostconditionError("No tokens are merged.", "Report this.")


def with_merged_tokens(net: Net, share: float, tokens: Mapping[str, int]) -> PassResult[Net]:
    """The network with fewer tokens.

    Args:
        net: it stays as it is.
        share: of tokens that go.
        tokens: that go behind some blocks; takes the place of ``share``, where there are any.

    Raises:
        RequirementError: no block attends over a fixed number of tokens, something in the network
            needs all of them, or there aren't as many as are to go.
    """
    found, inputs, module = _attentions(net), example_of(net), net.module
    wanted = tuple(each for each in found if not tokens or tokens.get(each.block.name))
    merging = same_tokens(module, wanted)
    _need_known(tokens, found, [*merging, *(each for each in found if each not in wanted)])
    if not merging:
        return _nothing(net)
    begin = merging[0]
    first = first_tokens(module, inputs, begin)
    fewer = spread(begin.tokens, first, share, len(merging))
    if tokens:
        fewer = tuple(tokens[each.block.name] for each in merging)
    merged = dict(zip(merging, fewer, strict=True))
    _need_as_many(begin.tokens, first, merged)
    if not any(fewer):
        return _nothing(net)
    need_alike_to_merge(module, inputs, begin, first)
    module = with_fewer_tokens(module, inputs, merged, first)
    notes = (
        Note(each.block.name, "It attends over other tokens than the first block, so all stay.")
        for each in wanted
        if each not in merging
    )
    return PassResult(replace(net, module=module, merged=True), True, tuple(notes))


def _nothing(net: Net) -> PassResult[Net]:
    note = Note(MergeTokens.name, "No token is to be merged, so all stay.")
    return PassResult(net, False, (note,))


def _attentions(net: Net) -> tuple[Attention, ...]:
    """Blocks that attend, each over a fixed number of tokens."""
    found = attentions_in(net)
    if not found:
        raise RequirementError(
            "No block of the network attends over tokens as (rows, tokens, channels), as those of a"
            " vision transformer do.",
            "Leave it as it is; convolutional networks can be narrower, or have smaller pictures"
            " ('resize').",
        )
    for each in found:
        if not each.fixed:
            raise RequirementError(
                f"'{each.block.name}' attends over as many tokens as come in.",
                "Only a fixed number of tokens can be merged; of texts, send shorter ones.",
            )
    return found


def _need_known(
    tokens: Mapping[str, int], found: Sequence[Attention], able: Sequence[Attention]
) -> None:
    names = {each.block.name for each in able}
    unknown = [name for name in tokens if name not in names]
    if unknown:
        raise RequirementError(
            f"'{unknown[0]}' doesn't attend over the tokens that are merged.",
            f"Blocks that attend are {', '.join(each.block.name for each in found)}.",
        )


def _need_as_many(count: int, first: int, merged: Mapping[Attention, int]) -> None:
    for attention, fewer in merged.items():
        most = most_fewer(count, first)
        if fewer > most:
            raise RequirementError(
                f"Of {count} tokens behind '{attention.block.name}' {fewer} can't be merged.",
                f"Merge {most} of them or fewer: half of those that aren't read alone.",
            )
        count -= fewer

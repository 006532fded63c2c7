"""How two texts of a sample become rows; pure.

A classifier of pairs reads both texts together, one row a sample. An encoder reads each
alone, two rows a sample, and its two embeddings are compared. Read the wrong way the network
answers all the same, and its variants agree with it on answers that mean nothing. So what the
network is for decides (it is in the transform then), next to it the labels, and nothing is
guessed where neither is known. All labels count: many programs write a score of 5.0 as 5, so an
integer alone says nothing of the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from whet.core.note import Note
from whet.data.readers.stream import Item
from whet.data.sample import Label
from whet.data.text import Pairs, TextTransform
from whet.errors import SamplesError

__all__ = ["only_classes", "settled"]

_ROWS = {"join": "joined, one row a sample", "apart": "encoded apart, two rows a sample"}


def settled(
    transform: TextTransform, texts: int, labels: Iterable[Label], source: str
) -> tuple[TextTransform, tuple[Note, ...]]:
    """The transform with its way with pairs settled, if there are any, and what to say of it.

    Args:
        transform: how texts are encoded.
        texts: of each sample, 1 or 2.
        labels: of the samples, none where they have none; read only where they decide, and no
            further than to the first score.
        source: of the samples, for notes and errors.

    Raises:
        SamplesError: neither the network nor a label says how pairs are encoded.
    """
    if texts != 2:
        return transform, ()
    if transform.pairs is not None:
        said = f"Pairs of texts are {_ROWS[transform.pairs]}."
        return transform, (Note(source, said),)
    pairs = _by_labels(labels)
    if pairs is None:
        raise SamplesError(
            f"{source} holds pairs of texts without labels, and nothing says how the network takes"
            " them.",
            "Say --pairs join for a classifier of pairs, or --pairs apart for an encoder of which"
            " two embeddings are compared.",
        )
    kind = "classes" if pairs == "join" else "scores"
    said = f"Pairs of texts are {_ROWS[pairs]}, because the labels are {kind}; --pairs chooses."
    return msgspec.structs.replace(transform, pairs=pairs), (Note(source, said),)


def only_classes(items: Iterable[Item], source: str) -> Iterator[Item]:
    """The items of pairs that were joined because the labels seen until then are classes.

    Raises:
        SamplesError: a score comes.
    """
    for item in items:
        if isinstance(item.label, float):
            raise SamplesError(
                f"The label of {item.name} in {source} is the score {item.label}; by the integers"
                " before it the labels are classes, so the pairs were joined.",
                "Give each score as a float, or say --pairs join or --pairs apart.",
            )
        yield item


def _by_labels(labels: Iterable[Label]) -> Pairs | None:
    pairs: Pairs | None = None
    for label in labels:
        if not isinstance(label, int):
            return "apart"
        pairs = "join"
    return pairs

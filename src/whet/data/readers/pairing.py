"""How two texts of a sample become rows; pure.

A classifier of pairs reads both texts together, one row a sample. An encoder reads each
alone, two rows a sample, and its two embeddings are compared. Read the wrong way the network
answers all the same, and its variants agree with it on answers that mean nothing. So what the
network is for decides (it is in the transform then), next to it the labels, and nothing is
guessed where neither is known.
"""

from __future__ import annotations

import msgspec

from whet.core.note import Note
from whet.data.sample import Label
from whet.data.text import Pairs, TextTransform
from whet.errors import SamplesError

__all__ = ["settled"]

_ROWS = {"join": "joined, one row a sample", "apart": "encoded apart, two rows a sample"}


def settled(
    transform: TextTransform, texts: int, label: Label | None, source: str
) -> tuple[TextTransform, tuple[Note, ...]]:
    """The transform with its way with pairs settled, if there are any, and what to say of it.

    Args:
        transform: how texts are encoded.
        texts: of each sample, 1 or 2.
        label: of the first sample.
        source: of the samples, for notes and errors.

    Raises:
        SamplesError: neither the network nor a label says how pairs are encoded.
    """
    if texts != 2:
        return transform, ()
    if transform.pairs is not None:
        said = f"Pairs of texts are {_ROWS[transform.pairs]}."
        return transform, (Note(source, said),)
    if label is None:
        raise SamplesError(
            f"{source} holds pairs of texts without labels, and nothing says how the network takes"
            " them.",
            "Say --pairs join for a classifier of pairs, or --pairs apart for an encoder of which"
            " two embeddings are compared.",
        )
    pairs: Pairs = "join" if isinstance(label, int) else "apart"
    kind = "classes" if pairs == "join" else "scores"
    said = f"Pairs of texts are {_ROWS[pairs]}, because the labels are {kind}; --pairs chooses."
    return msgspec.structs.replace(transform, pairs=pairs), (Note(source, said),)

"""The samples of a search, as its network wants them, and their three parts."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.core.evidence import SampleSummary
from whet.core.note import Note
from whet.core.spec import TensorSpec
from whet.data.readers import open_samples
from whet.data.sample import Reader
from whet.data.split import split
from whet.data.store import SampleStore
from whet.data.text import Pairs
from whet.data.transform import ImageTransform, TextTransform, Transform
from whet.errors import OptionError, SamplesError
from whet.search.intake.given import Given
from whet.search.ledger.workspace import Workspace
from whet.search.workers.jobs import Described

__all__ = ["Parts", "expected", "parts_of", "reader_of", "transform_of"]


# A classifier's classes are of both texts together; an encoder's embeddings are of one.
_PAIRS: dict[str, Pairs] = {"classifier": "join", "encoder": "apart"}


@dataclass(frozen=True)
class Parts:
    """The three disjoint parts, what else may be learnt from, and what is said in the report."""

    repair: SampleStore
    select: SampleStore
    certify: SampleStore
    train: SampleStore | None
    summary: SampleSummary


def transform_of(given: Given, described: Described | None) -> Transform | None:
    """How samples become inputs: as the user said, else as the network's directory does.

    Raises:
        OptionError: something is said of pairs of texts, and samples are no texts.
    """
    hint = described.transform if described is not None else None
    transform = _named(given.transform if given.transform is not None else hint, described)
    return _paired(transform, given.pairs, described)


def reader_of(given: Given, described: Described | None) -> Reader:
    """What reads the samples.

    Raises:
        SamplesError: they can't be read, or the network can't take them.
    """
    return open_samples(
        given.samples,
        labels=given.labels,
        transform=transform_of(given, described),
        label_key=given.label_key,
        text_keys=given.text_keys,
        expect=expected(described, given.transform),
        label_offset=given.label_offset,
        class_names=described.classes if described is not None else (),
        untransformed=described.untransformed if described is not None else "",
    )


def _named(transform: Transform | None, described: Described | None) -> Transform | None:
    """A picture transform, under the name that the file gives its only input."""
    if not isinstance(transform, ImageTransform) or described is None:
        return transform
    names = [spec.name for spec in described.inputs]
    if len(names) != 1:
        return transform
    return msgspec.structs.replace(transform, input=names[0])


def _paired(
    transform: Transform | None, asked: Pairs | None, described: Described | None
) -> Transform | None:
    """A text transform that takes pairs as the user said, else as the network's task wants them."""
    if not isinstance(transform, TextTransform):
        if asked is not None:
            raise OptionError(
                f"Pairs of texts are asked for ('{asked}'), and no texts are encoded here.",
                "Leave --pairs out, or give the network's --tokenizer.",
            )
        return transform
    task = described.task if described is not None else None
    by_task = _PAIRS.get(task) if task is not None else None
    return msgspec.structs.replace(transform, pairs=asked or transform.pairs or by_task)


def expected(
    described: Described | None, transform: Transform | None
) -> tuple[TensorSpec, ...] | None:
    """The network's inputs for a check of plain arrays; the user's own transform has its own.

    A directory's transform is a suggestion: it comes with the inputs, so that
    arrays that need no transform can be told apart.
    """
    if described is None or transform is not None or not described.inputs:
        return None
    return described.inputs


def parts_of(
    store: SampleStore, train: SampleStore | None, given: Given, space: Workspace
) -> Parts:
    """Split into repair, select and certify; none of them is learnt from as training sample."""
    parts = split(
        store.samples,
        _class_labels(store),
        seed=given.seed,
        groups=store.groups,
    )
    views = [
        store.subset(indices, space.folder / f"{name}.npy")
        for name, indices in (
            ("repair", parts.repair),
            ("select", parts.select),
            ("certify", parts.certify),
        )
    ]
    more, said = None, tuple[Note, ...]()
    if train is not None:
        more = _apart(train, store, space)
        said = _train_notes(train, more)
    summary = SampleSummary(
        source=store.source,
        total=store.samples,
        repair=views[0].samples,
        select=views[1].samples,
        certify=views[2].samples,
        labelled=store.labels is not None,
        notes=store.notes + parts.notes + said,
    )
    return Parts(views[0], views[1], views[2], more, summary)


def _apart(train: SampleStore, store: SampleStore, space: Workspace) -> SampleStore:
    """The training samples that are among no others.

    Raises:
        SamplesError: there are none, or they are no inputs of the same network.
    """
    own, its = ({i.name: i.dtype for i in each.inputs} for each in (train, store))
    if own != its:
        raise SamplesError(
            f"The training samples are {_listed(own)}, the samples {_listed(its)}.",
            "Give training samples of the same kind (--train).",
        )
    apart = train.apart_from(store)
    if not apart.size:
        raise SamplesError(
            "All training samples are among the samples too, by which the network is judged.",
            "Give others (--train), or none.",
        )
    return train.subset(apart, space.folder / "train.npy")


def _train_notes(train: SampleStore, kept: SampleStore) -> tuple[Note, ...]:
    left_out = train.samples - kept.samples
    notes = [Note("train", f"Networks may learn from {kept.samples} more samples.")]
    if left_out:
        reason = f"{left_out} of them were left out: they are among the samples that judge."
        notes.append(Note("train", reason))
    return tuple(notes) + train.notes


def _listed(dtypes: dict[str, str]) -> str:
    return ", ".join(f"{name} ({dtype})" for name, dtype in dtypes.items())


def _class_labels(store: SampleStore) -> NDArray[np.generic] | None:
    labels = store.labels
    return labels if labels is not None and labels.dtype.kind in "iu" else None

"""Scores of one model's answers, per sample or of the whole set, and which metric fits.

Every metric compares the first output unless another is named. All arithmetic is
in float64, in chunks, so that outputs may be memory-mapped.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from whet.errors import SamplesError
from whet.measure.chunks import row_chunks

__all__ = [
    "UNLABELLED",
    "are_shares",
    "class_labels",
    "cosine_rows",
    "logits_of",
    "need_labels",
    "pick",
    "predictions",
    "resolve_metric",
    "scalars_of",
    "top_k_hits",
    "unit_rows",
]

Array = NDArray[np.generic]
Floats = NDArray[np.float64]

UNLABELLED = ("cosine", "agreement", "closeness")
_ROUNDING = 1e-3  # by which a sum or a length may miss 1


def pick(outputs: Mapping[str, Array], name: str | None = None) -> Array:
    """The output that is judged: the one named, or the first.

    Raises:
        SamplesError: there is no such output.
    """
    chosen = name if name is not None else next(iter(outputs), None)
    if chosen is None or chosen not in outputs:
        raise SamplesError(
            f"There is no output '{name}' to judge; the outputs are {list(outputs)}.",
            "Name one of them.",
        )
    return outputs[chosen]


def need_labels(metric: str, *, labelled: bool) -> None:
    """Refuse a metric that compares with labels where there are none.

    Raises:
        SamplesError: says which metrics need none.
    """
    if not labelled and metric not in {"auto", *UNLABELLED} and ":" not in metric:
        raise SamplesError(
            f"The metric '{metric}' needs labels and the samples have none.",
            "Give labels (--label-key names their column or array, --labels a file), or take"
            " 'agreement' (classifiers), 'cosine' (encoders) or 'closeness' (any numbers).",
        )


def resolve_metric(
    metric: str,
    *,
    labels: Array | None,
    rows_per_sample: int,
    outputs: Mapping[str, Array],
    task: str | None = None,
    output: str | None = None,
) -> str:
    """The concrete metric for ``"auto"``, or the one given if these samples allow it.

    Args:
        metric: a name of `whet.core.contract.METRICS`, or ``file.py:function``.
        labels: one per sample, or ``None``.
        rows_per_sample: 2 for pairs.
        outputs: some outputs of the original, by name.
        task: what the network is for, where known: any word with "class" in it is a
            classifier, any other an encoder. Without it, unlabelled rows are class scores
            only if they are probabilities and embeddings only if all have length 1; other
            rows, and single numbers, may mean anything, so that each of them is held to the
            original's.
        output: the output that is judged; the first by default.

    Raises:
        SamplesError: a labelled metric without labels, or nothing fits.
    """
    answers = pick(outputs, output)
    width = _width(answers)
    need_labels(metric, labelled=labels is not None)
    if metric == "cosine" and width < 2:
        raise SamplesError(
            f"An output of shape {answers.shape} is one number a row, whose cosine is its sign only.",
            "Take 'closeness', which holds each number to the original's.",
        )
    if metric != "auto":
        return metric
    if labels is None:
        many = rows_per_sample > 1 and width > 1
        return "cosine" if many else _unlabelled(answers, task)
    if rows_per_sample == 2:
        scalars_of(answers[:2], rows_per_sample)
        return "spearman"
    whole = np.issubdtype(labels.dtype, np.integer) or bool(np.all(labels == np.floor(labels)))
    if whole and (width > 1 or set(np.unique(labels)) <= {0, 1}):
        return "top1"
    if width == 1:
        return "mae"
    raise SamplesError(
        f"No metric fits labels of shape {labels.shape} ({labels.dtype}) and outputs of shape"
        f" {answers.shape}.",
        "Name a metric, or give a function of your own as 'file.py:function'.",
    )


def _width(answers: Array) -> int:
    return int(np.prod(answers.shape[1:], dtype=np.int64))


def _unlabelled(answers: Array, task: str | None) -> str:
    """What holds an output to the original's: by its task, else by what its values show."""
    if _width(answers) < 2:
        return "closeness"  # the cosine of single numbers is their sign
    if answers.dtype.kind in "iub":
        return "closeness"  # classes and flags are the same or not; 18 is no nearer to 17 than 0
    if not _is_rows(answers):
        return "cosine"
    if task is not None:
        return "agreement" if "class" in task.lower() else "cosine"
    first = answers[next(iter(row_chunks(answers)), slice(0))]
    rows = first.reshape(len(first), -1)
    if _are_shares(rows):
        return "agreement"  # those of a sure classifier have length 1 as well
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    unit = bool(np.all(np.abs(lengths - 1) < _ROUNDING))
    return "cosine" if unit else "closeness"


def are_shares(scores: Array) -> bool:
    """Whether class scores (n, classes) are probabilities: none below 0, a sum of 1 in each row."""
    return all(_are_shares(scores[part]) for part in row_chunks(scores))


def _are_shares(scores: Array) -> bool:
    rows = scores.astype(np.float64)
    if not ((rows >= 0) & (rows <= 1 + _ROUNDING)).all():
        return False
    return bool((np.abs(rows.sum(axis=1) - 1) < _ROUNDING).all())


def _is_rows(answers: Array) -> bool:
    """Whether there is one vector a row: (n, c), or (n, c, 1, 1) from a pooled network."""
    return answers.ndim == 2 or (answers.ndim > 2 and all(d == 1 for d in answers.shape[2:]))


def logits_of(answers: Array, scale: Array | None = None) -> Array:
    """Class scores (n, classes); one score a row becomes two columns.

    Args:
        answers: (n, ...).
        scale: whose values tell whether single scores are probabilities or logits: the
            original's, where these are a candidate's; by default these.

    Raises:
        SamplesError: the output isn't one vector a row.
    """
    if answers.ndim == 1:
        answers = answers[:, None]
    if not _is_rows(answers):
        raise SamplesError(
            f"An output of shape {answers.shape} has no class scores, one row per sample.",
            "Judge another output, or give a function of your own as 'file.py:function'.",
        )
    rows = answers.reshape(len(answers), -1)
    if rows.shape[1] > 1:
        return rows
    # One score: a probability if all lie in [0, 1], else a logit; the other class has the rest.
    score = rows.astype(np.float64)
    told = score if scale is None else scale.astype(np.float64)
    finite = told[np.isfinite(told)]
    probable = bool(finite.size) and finite.min() >= 0 and finite.max() <= 1
    return np.concatenate([1 - score if probable else np.zeros_like(score), score], axis=1)


def class_labels(labels: Array, classes: int, samples: int) -> NDArray[np.int64]:
    """Labels as class numbers, checked.

    Raises:
        SamplesError: another count, not whole, negative, or past the last class.
    """
    if labels.shape != (samples,):
        raise SamplesError(
            f"There are labels of shape {labels.shape} for {samples} samples.",
            "Give one class number per sample.",
        )
    numbers = labels.astype(np.int64)
    if not np.array_equal(numbers, labels):
        raise SamplesError(
            "The labels are not whole numbers, so they name no classes.",
            "Give class numbers, or take the metric 'mae' or 'spearman'.",
        )
    if samples and (numbers.min() < 0 or numbers.max() >= classes):
        worst = int(numbers.max() if numbers.max() >= classes else numbers.min())
        raise SamplesError(
            f"Label {worst} is out of range: the network tells {classes} classes apart.",
            f"Give labels from 0 to {classes - 1}; some label sets count from 1.",
        )
    return numbers


def predictions(logits: Array) -> NDArray[np.int64]:
    """The top class of each row (the first of equals); -1 where a row holds NaN."""
    parts = [_predict(logits[part]) for part in row_chunks(logits)]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _predict(rows: Array) -> NDArray[np.int64]:
    top: NDArray[np.int64] = np.argmax(rows, axis=1).astype(np.int64)
    top[np.isnan(rows).any(axis=1)] = -1
    return top


def top_k_hits(logits: Array, labels: NDArray[np.int64], k: int) -> NDArray[np.bool_]:
    """Whether the label is among the k top classes; of equal scores the lower class ranks first."""
    hits = []
    for part in row_chunks(logits):
        rows = logits[part].astype(np.float64)
        wanted = labels[part, None]
        own = np.take_along_axis(rows, wanted, axis=1)
        before = np.arange(rows.shape[1]) < wanted
        rank = ((rows > own) | ((rows == own) & before)).sum(axis=1)
        hits.append((rank < k) & ~np.isnan(rows).any(axis=1))
    return np.concatenate(hits) if hits else np.zeros(0, np.bool_)


def cosine_rows(a: Array, b: Array) -> Floats:
    """Cosine of each row of ``a`` with that of ``b``; two zero rows count as equal.

    Raises:
        SamplesError: the shapes differ.
    """
    if a.shape != b.shape:
        raise SamplesError(
            f"Outputs of shapes {a.shape} and {b.shape} can't be compared row by row.",
            "Judge an output that both models give in the same shape.",
        )
    cosines = np.zeros(len(a))
    for part in row_chunks(a):
        left, right = unit_rows(a[part]), unit_rows(b[part])
        equal = (left == right).all(axis=1)
        # Rounding can pass 1 by an ulp; equal rows are exactly 1.
        cosines[part] = np.where(equal, 1.0, np.clip(np.sum(left * right, axis=1), -1, 1))
    return cosines


def unit_rows(rows: Array) -> Floats:
    """Each row as a vector of length 1, (n, values); rows of zeros stay as they are."""
    units: Floats = rows.reshape(len(rows), -1).astype(np.float64)
    # Scaled first, so that squares neither overflow nor vanish.
    units /= _or_one(np.abs(units).max(axis=1, initial=0.0, keepdims=True))
    units /= _or_one(np.linalg.norm(units, axis=1, keepdims=True))
    return units


def _or_one(sizes: Floats) -> Floats:
    return np.where(sizes > 0, sizes, 1.0)


def scalars_of(answers: Array, rows_per_sample: int) -> Floats:
    """One number per sample: the cosine of a pair's two rows, or the network's one number.

    Raises:
        SamplesError: there are neither pairs nor single numbers, or a pair's rows are numbers.
    """
    if rows_per_sample == 2 and _width(answers) == 1:
        raise SamplesError(
            f"The network gives one number for each text of a pair (its output is {answers.shape});"
            " the cosine of two numbers is their sign only.",
            "Say --pairs join, if the network takes both texts together.",
        )
    if rows_per_sample == 2:
        return cosine_rows(answers[0::2], answers[1::2])
    if rows_per_sample == 1 and _width(answers) == 1:
        return answers.reshape(len(answers)).astype(np.float64)
    raise SamplesError(
        f"An output of shape {answers.shape} with {rows_per_sample} rows per sample gives no"
        " single number to correlate with the labels.",
        "Give sentence pairs, a network with one output number, or a function of your own.",
    )

"""Whether a graph's outputs are those that a contract and labels ask for, told from their shapes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np

from whet.bundle.check import DTYPES
from whet.core.contract import Contract
from whet.core.drop import check_drop
from whet.core.note import Note
from whet.core.spec import Arrays, Signature, TensorSpec
from whet.data.store import SampleStore
from whet.errors import ContractError, Issue, NetworkError
from whet.measure.metrics import logits_of, pick, resolve_metric, scalars_of

__all__ = ["CLASS_METRICS", "check_outputs", "check_shapes", "in_classes", "with_scores"]

CLASS_METRICS = frozenset({"top1", "top5", "f1"})


def check_shapes(
    contract: Contract,
    signature: Signature,
    store: SampleStore,
    task: str | None,
    dropped: tuple[str, ...] = (),
) -> None:
    """See before anything is run that the judged output suits metric and labels.

    What depends on more than the shapes of the outputs is left to when they are there.

    Args:
        contract: what the user asks.
        signature: of the original's graph.
        store: all samples.
        task: what the network is for, where that is known.
        dropped: outputs that were to be ignored and were left out of the graph.

    Raises:
        NetworkError: a tensor of a kind that no bundle holds.
        ContractError: an output is named that isn't there, another batch than the network's, or a
            drop that allows anything.
        SamplesError: labels are out of range, or of another kind than the metric takes.
    """
    _check_dtypes(signature)
    check_outputs(contract, (spec.name for spec in signature.outputs), dropped)
    _check_batch(contract, signature)
    blank, judged = _blank(contract, signature, store)
    if judged not in blank or store.labels is None:
        return
    metric = _resolved(contract.metric, store, blank, judged, task)
    check_drop(metric, contract.max_drop)
    if metric in CLASS_METRICS:
        store.check_labels(logits_of(pick(blank, judged)).shape[-1])
    elif metric == "spearman":
        scalars_of(pick(blank, judged), store.rows_per_sample)


def in_classes(
    contract: Contract, signature: Signature, store: SampleStore, task: str | None
) -> SampleStore:
    """The samples, with whole numbers as class indices where the metric compares classes.

    What is known of them only as integers (their range, how good a guess is, their shares in
    each part) would else be missed where a file holds them as floats.

    Args:
        contract: what the user asks; ``auto`` is resolved.
        signature: of the original's graph.
        store: all samples.
        task: what the network is for, where that is known.

    Raises:
        SamplesError: no metric fits.
    """
    classes = store.in_classes()
    if classes is store or contract.metric in CLASS_METRICS:
        return classes
    if contract.metric != "auto":
        return store
    contract, _ = with_scores(contract, signature)
    blank, judged = _blank(contract, signature, store)
    if judged not in blank:  # of unknown width: a class of each row, most likely
        return classes if store.rows_per_sample == 1 else store
    metric = _resolved("auto", store, blank, judged, task)
    return classes if metric in CLASS_METRICS else store


def _resolved(metric: str, store: SampleStore, blank: Arrays, judged: str, task: str | None) -> str:
    return resolve_metric(
        metric,
        labels=store.labels,
        rows_per_sample=store.rows_per_sample,
        outputs=blank,
        task=task,
        output=judged,
    )


def _blank(contract: Contract, signature: Signature, store: SampleStore) -> tuple[Arrays, str]:
    """Two samples' answers of each output whose shape is known, all zero; and the judged one's name."""
    rows = 2 * store.rows_per_sample
    judged = contract.output if contract.output is not None else signature.outputs[0].name
    blank: Arrays = {
        spec.name: np.zeros((rows, *sizes))
        for spec in signature.outputs
        if spec.shape
        and len(sizes := [d for d in spec.shape[1:] if isinstance(d, int)]) == len(spec.shape) - 1
    }
    return blank, judged


def with_scores(contract: Contract, signature: Signature) -> tuple[Contract, tuple[Note, ...]]:
    """The contract with the output that is judged, where it isn't the first.

    Classifiers of other libraries give the class that they decide for, a whole number, and
    behind it the scores that it comes from. The scores tell more, and numbers of classes lie
    no nearer to each other for being one apart.

    Args:
        contract: that may name an output.
        signature: of the original's graph.
    """
    if contract.output is not None or ":" in contract.metric:
        return contract, ()
    first, *others = signature.outputs
    if not _is_decision(first):
        return contract, ()
    scores = (
        spec.name
        for spec in others
        if spec.dtype.startswith("float")
        and len(spec.shape) == 2
        and spec.shape[1] != 1
        and spec.name not in contract.ignore_outputs
    )
    name = next(scores, None)
    if name is None:
        return contract, ()
    reason = (
        f"'{name}' is judged: the first output, '{first.name}', are whole numbers, as decisions"
        " are. Name another one by --output."
    )
    return msgspec.structs.replace(contract, output=name), (Note("output", reason),)


def _is_decision(spec: TensorSpec) -> bool:
    return "int" in spec.dtype and all(size == 1 for size in spec.shape[1:])


def _check_dtypes(signature: Signature) -> None:
    for spec in (*signature.inputs, *signature.outputs):
        if spec.dtype not in DTYPES:
            raise NetworkError(
                f"'{spec.name}' is {spec.dtype}, which a bundle can't hold.",
                "Let the network take and give float32 or another plain number.",
            )


def _check_batch(contract: Contract, signature: Signature) -> None:
    sizes = {spec.shape[0] for spec in signature.inputs if spec.shape}
    fixed = next(iter(sizes)) if len(sizes) == 1 else None
    if isinstance(fixed, int) and fixed != contract.batch:
        rows = f"{fixed} row{'s'[: fixed != 1]}"
        raise ContractError(
            (
                Issue(
                    "batch",
                    f"the network takes exactly {rows} at once, not {contract.batch}.",
                    f"Give --batch {fixed}, or export the network with a dynamic batch.",
                ),
            )
        )


def check_outputs(
    contract: Contract, outputs: Iterable[str], dropped: tuple[str, ...] = ()
) -> None:
    """See that a contract names outputs that the network gives.

    Args:
        contract: what the user asks.
        outputs: names of the original's outputs, in its order.
        dropped: those that it had besides.

    Raises:
        ContractError: an output is named that isn't there, or the judged one is to be ignored.
    """
    names = list(outputs)
    judged = contract.output if contract.output is not None else names[0]
    known = ", ".join(f"'{name}'" for name in names)
    ignored = [name for name in contract.ignore_outputs if name not in dropped]
    asked = [("output", judged), *(("ignore_outputs", name) for name in ignored)]
    issues = [
        Issue(where, f"there is no output '{name}'.", f"Name one of {known}.")
        for where, name in asked
        if name not in names
    ]
    if judged in contract.ignore_outputs:
        remedy = "Name another one to judge, or don't ignore this one."
        issues.append(Issue("ignore_outputs", f"'{judged}' is the output that is judged.", remedy))
    if issues:
        raise ContractError(tuple(issues))

"""From what the user gave to a `Setup`: read, decode, split, export, answer.

Each step leaves its result in the workspace, so that a search that was stopped
finds it again. The torch side runs in a worker process; only a live module,
which is in this process already, is exported here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import psutil

from whet.core.contract import Contract
from whet.core.evidence import SampleSummary
from whet.core.spec import Arrays, TensorSpec
from whet.data.readers import open_samples
from whet.data.split import split
from whet.data.store import SampleStore, write_store
from whet.data.transform import ImageTransform, Transform
from whet.errors import OptionError
from whet.measure.machine import allowed_cores, fingerprint
from whet.measure.metrics import resolve_metric
from whet.measure.quality import judge
from whet.runtimes.registry import available
from whet.search.isolate import run_isolated
from whet.search.jobs import (
    Described,
    DescribeJob,
    Exported,
    ExportJob,
    export_source,
)
from whet.search.reference import References
from whet.search.setup import Setup
from whet.search.workspace import Workspace, identity

if TYPE_CHECKING:
    import torch

__all__ = ["Given", "prepare"]

_WORKER_S = 900.0
_CLASS_METRICS = frozenset({"top1", "top5", "f1"})
_FASTEST_FIRST = ("openvino", "onnxruntime", "inductor")


@dataclass(frozen=True)
class Given:
    """What the user gave, unread.

    Attributes:
        network: a path (see `whet.optimize.intake`) or a live module.
        samples: see `whet.data.readers.open_samples`.
        most: samples read at most; a larger set is drawn from, seeded.
    """

    network: str | torch.nn.Module
    samples: Any
    weights: str | None = None
    transform: Transform | None = None
    labels: Any = None
    label_key: str | None = None
    text_keys: tuple[str, ...] | None = None
    label_offset: int = 0
    most: int = 20_000
    seed: int = 0
    runtimes: tuple[str, ...] | None = None

    def identity(self) -> str:
        """A digest that is equal when a search would read and export the same."""
        return identity(
            (
                self.network,
                self.weights,
                self.samples,
                self.transform,
                self.labels,
                self.label_key,
                self.text_keys,
                self.label_offset,
                self.most,
                self.seed,
            )
        )


def prepare(
    given: Given, contract: Contract, space: Workspace, say: Callable[[str], None]
) -> Setup:
    """Make everything that all trials share.

    Args:
        given: network and samples.
        contract: checked.
        space: where results are kept.
        say: told what is being done.

    Raises:
        InputError: the network, samples or contract can't be used.
        HostError: no runtime, or an extra is missing.
    """
    runtimes = _runtimes(given.runtimes)
    say("looking at the machine")
    machine = fingerprint(ceilings=True, cache=space.engines.parent)
    threads = _threads(contract)
    say("reading the samples")
    described = _describe(given, space)
    store = _store(given, described, space)
    parts = _parts(store, given, contract, space)
    say("exporting the network")
    exported = _export(given, store, space)
    memory_bytes = int(psutil.virtual_memory().total * 0.5)
    cores = tuple(sorted(os.sched_getaffinity(0)))[: max(threads, 1)]
    references = References(exported, space.folder / "reference", cores, memory_bytes)
    say("asking the original")
    task = exported.task or (described.task if described is not None else None)
    metric = _metric(contract, references.outputs(parts.select), store, parts.select, task)
    concrete = msgspec.structs.replace(contract, metric=metric, threads=threads)
    return Setup(
        name=exported.name,
        network=_network_words(given, exported),
        contract=concrete,
        metric=metric,
        task=task,
        graph=exported.graph,
        program=exported.program,
        transform=store.transform,
        repair=parts.repair,
        select=parts.select,
        certify=parts.certify,
        samples=parts.summary,
        references=references,
        machine=machine,
        cores=cores,
        threads=threads,
        macs=exported.macs,
        parameters=exported.parameters,
        bytes_moved=exported.bytes_moved,
        kind=exported.kind,
        workdir=space.folder,
        cache=space.engines,
        memory_bytes=memory_bytes,
        seed=given.seed,
        runtimes=_usable(runtimes, exported),
        notes=exported.notes,
    )


def _metric(
    contract: Contract, original: Arrays, store: SampleStore, part: SampleStore, task: str | None
) -> str:
    """The concrete metric, shown to work: the original is judged against itself.

    Raises:
        SamplesError: labels are missing, out of range or of the wrong kind.
        OptionError: the user's function failed.
    """
    metric = resolve_metric(
        contract.metric,
        labels=part.labels,
        rows_per_sample=part.rows_per_sample,
        outputs=original,
        task=task,
    )
    judge(
        metric,
        original,
        original,
        part.labels,
        rows_per_sample=part.rows_per_sample,
        max_drop=contract.max_drop,
        confidence=contract.confidence,
        per_class=False,
        task=task,
    )
    if metric in _CLASS_METRICS:
        store.check_labels(next(iter(original.values())).shape[-1])
    return metric


@dataclass(frozen=True)
class _Parts:
    repair: SampleStore
    select: SampleStore
    certify: SampleStore
    summary: SampleSummary


def _runtimes(asked: tuple[str, ...] | None) -> tuple[str, ...]:
    """The runtimes to search, the ones that are usually fastest first.

    Raises:
        OptionError: an unknown name, or one that can't be used here.
    """
    here = {name: state for name, state in available().items() if name in _FASTEST_FIRST}
    for name in asked or ():
        if name not in here:
            raise OptionError(
                f"The runtime '{name}' is not known.", f"Take some of {', '.join(_FASTEST_FIRST)}."
            )
        if not here[name].ok:
            raise OptionError(
                f"The runtime '{name}' can't be used here: {here[name].reason}",
                "Install it or leave it out.",
            )
    wanted = asked or _FASTEST_FIRST
    return tuple(name for name in _FASTEST_FIRST if name in wanted and here[name].ok)


def _usable(runtimes: tuple[str, ...], exported: Exported) -> tuple[str, ...]:
    """Without Inductor where there is no torch program for it to compile."""
    return tuple(name for name in runtimes if name != "inductor" or exported.program is not None)


def _threads(contract: Contract) -> int:
    cores = allowed_cores()
    if contract.threads is not None and contract.threads > cores:
        raise OptionError(
            f"{contract.threads} threads were asked for and this process may use {cores} cores.",
            f"Ask for at most {cores}, or give the process more.",
        )
    return contract.threads if contract.threads is not None else cores


def _describe(given: Given, space: Workspace) -> Described | None:
    """What the file says of its inputs, where it is a kind that says something."""
    if not isinstance(given.network, str) or not _describes_itself(given.network):
        return None
    kept = space.folder / "described.json"
    if kept.exists():
        return msgspec.json.decode(kept.read_bytes(), type=Described)
    job = DescribeJob(given.network, given.weights)
    found = run_isolated(
        "whet.search.jobs:describe", job, Described, timeout_s=_WORKER_S, memory_bytes=None
    ).value
    _keep(kept, found)
    return found


def _describes_itself(source: str) -> bool:
    path = Path(source)
    return path.is_dir() or path.suffix.lower() in {".onnx", ".pt2"}


def _store(given: Given, described: Described | None, space: Workspace) -> SampleStore:
    where = space.folder / "samples"
    if where.is_dir():
        return SampleStore.open(where)
    hint = described.transform if described is not None else None
    transform = _named(given.transform if given.transform is not None else hint, described)
    reader = open_samples(
        given.samples,
        labels=given.labels,
        transform=transform,
        label_key=given.label_key,
        text_keys=given.text_keys,
        expect=_expected(described, transform),
        label_offset=given.label_offset,
    )
    return write_store(reader, where, limit=given.most, seed=given.seed)


def _named(transform: Transform | None, described: Described | None) -> Transform | None:
    """A picture transform, under the name that the file gives its only input."""
    if not isinstance(transform, ImageTransform) or described is None:
        return transform
    names = [spec.name for spec in described.inputs]
    if len(names) != 1:
        return transform
    return msgspec.structs.replace(transform, input=names[0])


def _expected(
    described: Described | None, transform: Transform | None
) -> tuple[TensorSpec, ...] | None:
    """The network's inputs for a check of plain arrays; a transform has its own."""
    if described is None or transform is not None or not described.inputs:
        return None
    return described.inputs


def _parts(store: SampleStore, given: Given, contract: Contract, space: Workspace) -> _Parts:
    parts = split(
        store.samples,
        _class_labels(store),
        seed=given.seed,
        groups=store.groups,
        max_drop=contract.max_drop.value,
        confidence=contract.confidence,
    )
    views = [
        store.subset(indices, space.folder / f"{name}.npy")
        for name, indices in (
            ("repair", parts.repair),
            ("select", parts.select),
            ("certify", parts.certify),
        )
    ]
    summary = SampleSummary(
        source=store.source,
        total=store.samples,
        repair=views[0].samples,
        select=views[1].samples,
        certify=views[2].samples,
        labelled=store.labels is not None,
        notes=store.notes + parts.notes,
    )
    return _Parts(views[0], views[1], views[2], summary)


def _class_labels(store: SampleStore) -> np.ndarray[Any, np.dtype[np.generic]] | None:
    labels = store.labels
    return labels if labels is not None and labels.dtype.kind in "iu" else None


def _export(given: Given, store: SampleStore, space: Workspace) -> Exported:
    kept = space.folder / "exported.json"
    if kept.exists():
        return msgspec.json.decode(kept.read_bytes(), type=Exported)
    workdir = space.folder / "export"
    shutil.rmtree(workdir, ignore_errors=True)
    workdir.mkdir(parents=True)
    job = ExportJob(
        source=given.network if isinstance(given.network, str) else "",
        weights=given.weights,
        feed=store.ref(),
        transform=store.transform,
        workdir=str(workdir),
        seed=given.seed,
    )
    if isinstance(given.network, str):
        exported = run_isolated(
            "whet.search.jobs:export_network",
            job,
            Exported,
            timeout_s=_WORKER_S,
            memory_bytes=None,
        ).value
    else:
        exported = export_source(given.network, job)
    _keep(kept, exported)
    return exported


def _network_words(given: Given, exported: Exported) -> str:
    source = given.network if isinstance(given.network, str) else "a live module"
    weights = f" with {Path(given.weights).name}" if given.weights else ""
    millions = exported.parameters / 1e6
    return f"{source}{weights}: {millions:.2f} M parameters, {exported.macs / 1e6:.1f} M MACs"


def _keep(path: Path, value: msgspec.Struct) -> None:
    beside = path.with_suffix(".part")
    beside.write_bytes(msgspec.json.encode(value))
    beside.replace(path)

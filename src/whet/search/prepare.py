"""From what the user gave to a `Setup`: read, decode, split, export, answer.

Each step leaves its result in the workspace, so that a search that was stopped
finds it again. The torch side runs in a worker process; only a live module,
which is in this process already, is exported here.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from whet.core.contract import Contract
from whet.core.spec import Arrays
from whet.data.store import SampleStore
from whet.measure.machine import fingerprint
from whet.measure.metrics import resolve_metric
from whet.measure.quality import judge
from whet.optimize.graph.traffic import Traffic
from whet.search.given import Given
from whet.search.host import chosen_runtimes, cores_for, threads_for, worker_memory_bytes
from whet.search.isolate import run_isolated
from whet.search.jobs import Described, DescribeJob, Exported, ExportJob, export_source
from whet.search.parts import decoded, parts_of
from whet.search.reference import References
from whet.search.setup import Setup
from whet.search.stop import Stop
from whet.search.workspace import Workspace

__all__ = ["prepare"]

_WORKER_S = 900.0
_LOOK = 64
_CLASS_METRICS = frozenset({"top1", "top5", "f1"})


def prepare(
    given: Given, contract: Contract, space: Workspace, say: Callable[[str], None], stop: Stop
) -> Setup:
    """Make everything that all trials share.

    Args:
        given: network and samples.
        contract: checked.
        space: where results are kept.
        say: told what is being done.
        stop: the user's wish to end.

    Raises:
        InputError: the network, samples or contract can't be used.
        HostError: no runtime, or an extra is missing.
        Stopped: the user asked to stop.
    """
    runtimes = chosen_runtimes(given.runtimes)
    threads = threads_for(contract)
    say("reading the samples")
    described = _describe(given, space, stop)
    store = decoded(given, described, space, stop)
    parts = parts_of(store, given, contract, space)
    say("exporting the network")
    exported = _export(given, store, space, stop)
    memory_bytes, cores = worker_memory_bytes(), cores_for(threads)
    references = References(exported, space.folder / "reference", cores, memory_bytes)
    say("asking the original")
    task = exported.task or (described.task if described is not None else None)
    # A few answers tell which metric fits; the others wait until a candidate is judged.
    look = parts.select.subset(
        np.arange(min(_LOOK, parts.select.samples)), space.folder / "look.npy"
    )
    metric = _metric(contract, references.outputs(look, stop.check), store, look, task)
    stop.check()
    say("measuring what this machine can do")
    machine = fingerprint(ceilings=True, cache=space.engines.parent)
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
        original_ms=references.ms_per_row(look),
        cores=cores,
        threads=threads,
        macs=exported.macs,
        parameters=exported.parameters,
        traffic=Traffic(exported.bytes_moved, exported.wide_bytes),
        weight_bytes=exported.weight_bytes,
        sizes=exported.sizes,
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


def _usable(runtimes: tuple[str, ...], exported: Exported) -> tuple[str, ...]:
    """Without Inductor where there is no torch program for it to compile."""
    return tuple(name for name in runtimes if name != "inductor" or exported.program is not None)


def _describe(given: Given, space: Workspace, stop: Stop) -> Described | None:
    """What the file says of its inputs, where it is a kind that says something."""
    if not isinstance(given.network, str) or not _describes_itself(given.network):
        return None
    kept = space.folder / "described.json"
    if kept.exists():
        return msgspec.json.decode(kept.read_bytes(), type=Described)
    job = DescribeJob(given.network, given.weights)
    found = run_isolated(
        "whet.search.jobs:describe",
        job,
        Described,
        timeout_s=_WORKER_S,
        memory_bytes=None,
        cancel=stop.asked,
    ).value
    _keep(kept, found)
    return found


def _describes_itself(source: str) -> bool:
    path = Path(source)
    return path.is_dir() or path.suffix.lower() in {".onnx", ".pt2"}


def _export(given: Given, store: SampleStore, space: Workspace, stop: Stop) -> Exported:
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
            cancel=stop.asked,
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

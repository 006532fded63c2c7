"""From what the user gave to files that say what it is: decoded samples, an exported graph.

The network is loaded and exported in every search, since only what comes out
tells whether it is the one of last time: a factory may read any file, and a
live module may have changed in any way. The torch side runs in a worker
process; only a live module, which is in this process already, is exported
here. Where the export is that of an earlier search, that search's files are
taken, and with them its engines and its answers.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from whet.core.contract import Contract
from whet.core.scratch import scratch_folder, sweep
from whet.data.split import check_enough
from whet.data.store import SampleStore
from whet.measure.metrics import need_labels
from whet.search.intake.content import export_digest, moved
from whet.search.intake.given import Given
from whet.search.intake.outputs import in_classes
from whet.search.intake.samples import clean_samples, decoded
from whet.search.ledger.workspace import (
    Workspace,
    arrivals,
    make_folders,
    shared_ledger,
    unwritable,
)
from whet.search.stop import Stop
from whet.search.workers.isolate import run_isolated
from whet.search.workers.jobs import Described, DescribeJob, Exported, ExportJob, export_source

__all__ = ["Taken", "take_in"]

_WORKER_S = 900.0
_MOST_TRAIN = 100_000  # training samples read, where no more are asked for


@dataclass(frozen=True)
class Taken:
    """Network and samples as files, known by what they hold.

    Attributes:
        exported: in the workspace.
        store: all samples, with labels as the metric takes them.
        train: more samples, that networks may learn from.
        samples: digest of the store.
        task: what the network is for, where that is known.
        space: the folders of every search on this graph and these samples.
    """

    exported: Exported
    store: SampleStore
    train: SampleStore | None
    samples: str
    task: str | None
    space: Workspace


@contextlib.contextmanager
def take_in(
    given: Given, contract: Contract, ledger: Path | None, say: Callable[[str], None], stop: Stop
) -> Iterator[Taken]:
    """Decode the samples, export the network and hold the workspace that belongs to them.

    Args:
        given: network and samples.
        contract: what the samples have to serve.
        ledger: where the user wants it; by default in the cache, one for each graph.
        say: told what is being done.
        stop: the user's wish to end.

    Raises:
        InputError: the network or the samples can't be used.
        HostError: no runtime, or an extra is missing.
        StorageError: the cache can't be written, or another search works on the same.
        Stopped: the user asked to stop.
    """
    if ledger is not None:
        make_folders(ledger.parent)
    with contextlib.ExitStack() as held:
        yield _taken(given, contract, ledger, say, stop, held)


def _taken(
    given: Given,
    contract: Contract,
    ledger: Path | None,
    say: Callable[[str], None],
    stop: Stop,
    held: contextlib.ExitStack,
) -> Taken:
    with _arrival() as arrival:
        say("reading the samples")
        described = _describe(given, stop)
        store, samples = decoded(given, described, arrival, stop)
        need_labels(contract.metric, labelled=store.labels is not None)
        check_enough(store.samples, store.groups)
        train, more = _train(given, described, arrival, stop)
        say("exporting the network")
        exported = _export(given, contract, store, arrival / "export", stop)
        task = exported.task or (described.task if described is not None else None)
        labelled = in_classes(contract, exported.graph.signature, store, task)
        # Its parts are others where labels became classes, and so are the answers kept there.
        kind = " classes" if labelled is not store else ""
        content = hashlib.sha256(
            f"{export_digest(exported)} {samples} {given.seed}{kind}{more}".encode()
        ).hexdigest()
        space = Workspace(content, ledger=ledger or shared_ledger(exported.graph.digest()))
        held.enter_context(space.held())
        space.clean()
        clean_samples()
        settled = _settled(exported, arrival / "export", space.folder)
    return Taken(settled, labelled, train, samples, task, space)


def _train(
    given: Given, described: Described | None, arrival: Path, stop: Stop
) -> tuple[SampleStore | None, str]:
    """The samples that networks may learn from, and the digest of what they are, where there are any."""
    if given.train is None:
        return None, ""
    place = arrival / "train"
    place.mkdir()
    asked = replace(given, samples=given.train, labels=None, most=max(_MOST_TRAIN, given.most))
    store, digest = decoded(asked, described, place, stop)
    return store, f" train {digest}"


@contextlib.contextmanager
def _arrival() -> Iterator[Path]:
    """A folder of the cache that goes when the search has what it needs, or was killed."""
    make_folders(arrivals())
    sweep(arrivals())
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(scratch_folder(arrivals()))
        except OSError as error:
            raise unwritable(arrivals(), error) from error
        yield folder


def _describe(given: Given, stop: Stop) -> Described | None:
    """What the file says of its inputs, where it is a kind that says something."""
    if not isinstance(given.network, str) or not _describes_itself(given.network):
        return None
    return run_isolated(
        "whet.search.workers.jobs:describe",
        DescribeJob(given.network, given.weights),
        Described,
        timeout_s=_WORKER_S,
        memory_bytes=None,
        cancel=stop.asked,
    ).value


def _describes_itself(source: str) -> bool:
    path = Path(source)
    return path.is_dir() or path.suffix.lower() in {".onnx", ".pt2"}


def _export(
    given: Given, contract: Contract, store: SampleStore, workdir: Path, stop: Stop
) -> Exported:
    job = ExportJob(
        source=given.network if isinstance(given.network, str) else "",
        weights=given.weights,
        feed=store.ref(),
        transform=store.transform,
        workdir=str(workdir),
        seed=given.seed,
        ignore=contract.ignore_outputs,
    )
    if not isinstance(given.network, str):
        return export_source(given.network, job)
    return run_isolated(
        "whet.search.workers.jobs:export_network",
        job,
        Exported,
        timeout_s=_WORKER_S,
        memory_bytes=None,
        cancel=stop.asked,
    ).value


def _settled(exported: Exported, fresh: Path, folder: Path) -> Exported:
    """The export in its workspace, which is held: moved there, or the equal one that lies there.

    The older one is kept since engines are compiled from its very bytes, and a
    torch program's archive has a random number in it.
    """
    kept, place = folder / "exported.json", folder / "export"
    try:
        if kept.exists():
            return msgspec.json.decode(kept.read_bytes(), type=Exported)
        shutil.rmtree(place, ignore_errors=True)  # of a search that was killed just here
        fresh.rename(place)
        found = moved(exported, fresh, place)
        beside = kept.with_suffix(".part")
        beside.write_bytes(msgspec.json.encode(found))
        beside.replace(kept)
    except OSError as error:
        raise unwritable(folder, error) from error
    return found

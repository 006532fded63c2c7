"""What can be refused before anything that takes long, all of it at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from whet.bundle.disk import check_room, place_of
from whet.bundle.write import check_place
from whet.core.bounds import MOST_SEED
from whet.core.contract import Contract
from whet.core.places import cache_home
from whet.core.reach import is_folder
from whet.data.readers import check_label_file
from whet.errors import InputError, OptionError, WhetError
from whet.measure.cgroup import allowed_cores
from whet.measure.custom import load_metric
from whet.optimize.intake.load import need_files, need_packages
from whet.search.intake.given import Given
from whet.search.ledger.file import check_ledger
from whet.search.workers.host import chosen_runtimes

if TYPE_CHECKING:
    import torch

__all__ = ["all_of", "refuse_early"]

# A bundle holds a report and golden answers besides the network.
_LEAST_BYTES = 1_000_000


def refuse_early(given: Given, contract: Contract, ledger: Path | None, out: Path | None) -> None:
    """Check packages, clauses, metric, files, runtimes, seed, the ledger, and where things are to be written.

    Args:
        given: what the user gave, unread.
        contract: unchecked.
        ledger: where the user wants it.
        out: where the bundle is to stand.

    Raises:
        WhetError: the one thing that is wrong, or an error that lists all of them.
    """
    need_packages(given.network)
    size = max(_network_bytes(given), _LEAST_BYTES)

    def room() -> None:
        if out is not None:
            check_place(out)
            check_room(place_of(out).parent, size)
        check_room(_standing(cache_home()), size)

    all_of(
        lambda: contract.checked(allowed_cores()),
        lambda: _load_metric(given, contract),
        lambda: need_files(given.network, given.weights),
        lambda: _check_labels(given.labels),
        lambda: chosen_runtimes(given.runtimes),
        lambda: _check_seed(given.seed),
        lambda: check_ledger(ledger) if ledger is not None else None,
        room,
    )


def _load_metric(given: Given, contract: Contract) -> None:
    """Load a metric that is named; a live function is there already."""
    if given.metric is None and ":" in str(contract.metric):
        load_metric(contract.metric)


def _check_labels(labels: object) -> None:
    """Labels of a file are looked for now; those in memory are told with the samples."""
    if isinstance(labels, str | Path):
        check_label_file(Path(labels))


def _check_seed(seed: int) -> None:
    if not 0 <= seed <= MOST_SEED:
        raise OptionError(f"The seed {seed} can't be used.", f"Give 0-{MOST_SEED}.")


def all_of(*checks: Callable[[], object]) -> None:
    """Make every check, and raise what they raised together.

    Raises:
        WhetError: the only one; of several, an `InputError` where one of them is, else one of
            the kind of the first.
    """
    found: list[WhetError] = []
    for check in checks:
        try:
            check()
        except WhetError as error:
            found.append(error)
    if len(found) == 1:
        raise found[0]
    if found:
        given = any(isinstance(error, InputError) for error in found)
        lines = "\n".join(f"  - {error}" for error in found)
        kind = InputError if given else type(found[0])
        whole = kind(f"Several things are wrong:\n{lines}")
        whole.parts = tuple(found)
        raise whole


def _network_bytes(given: Given) -> int:
    """About what the weights take on disk; 0 where they can't be found, which is told later."""
    if not isinstance(given.network, str):
        return _module_bytes(given.network)
    path = Path(given.weights or given.network)
    files = path.glob("*.safetensors") if is_folder(path) else (path,)
    try:
        return sum(file.stat().st_size for file in files)
    except (OSError, ValueError):
        return 0


def _module_bytes(module: torch.nn.Module) -> int:
    try:
        return sum(weight.nbytes for weight in module.parameters())
    except (AttributeError, TypeError):  # no module, as another check says
        return 0


def _standing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    place = folder.absolute()
    return next((part for part in (place, *place.parents) if is_folder(part)), place)

"""What of this machine a search may use: runtimes, cores, memory."""

from __future__ import annotations

from whet.core.contract import Contract
from whet.errors import OptionError
from whet.measure.cgroup import allowed_memory
from whet.measure.machine import allowed_cores
from whet.runtimes.registry import available

__all__ = ["chosen_runtimes", "threads_for", "worker_memory_bytes"]

# Those that a candidate may run on, the ones that are usually fastest first.
_SEARCHED = ("openvino", "onnxruntime", "inductor")
_MEMORY_SHARE = 0.5


def chosen_runtimes(asked: tuple[str, ...] | None) -> tuple[str, ...]:
    """The runtimes to search, the ones that are usually fastest first.

    Raises:
        OptionError: an unknown name, or one that can't be used here.
    """
    here = {name: state for name, state in available().items() if name in _SEARCHED}
    for name in asked or ():
        if name not in here:
            raise OptionError(
                f"The runtime '{name}' is not known.", f"Take some of {', '.join(_SEARCHED)}."
            )
        if not here[name].ok:
            raise OptionError(
                f"The runtime '{name}' can't be used here: {here[name].reason}",
                "Install it or leave it out.",
            )
    wanted = asked or _SEARCHED
    return tuple(name for name in _SEARCHED if name in wanted and here[name].ok)


def threads_for(contract: Contract) -> int:
    """The contract's threads, or all cores that this process may use."""
    return contract.threads if contract.threads is not None else allowed_cores()


def worker_memory_bytes() -> int:
    """What one worker may hold: half of the memory, since the original stands beside it."""
    return int(allowed_memory() * _MEMORY_SHARE)

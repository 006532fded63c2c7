"""What makes two searches the same: the inputs that decide what is measured."""

from __future__ import annotations

import hashlib

import msgspec

from whet.core.contract import Contract
from whet.core.evidence import Machine

__all__ = ["SearchInputs", "machine_digest"]


class SearchInputs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that decides what a search measures.

    Attributes:
        graph: digest of the exported graph.
        samples: digest of the decoded samples and their labels.
        machine: from `machine_digest`.
        contract: as given; limits on latency, size and memory don't enter the
            key, since they decide only what is chosen and not what is measured.
        seed: of the split and the search.
        metric: digest of the user's own metric, whose name says nothing of its code.
    """

    graph: str
    samples: str
    machine: str
    contract: Contract
    seed: int = 0
    metric: str = ""

    def key(self) -> str:
        """32 hex digits that are equal exactly when the measurements would be the same."""
        measuring = msgspec.structs.replace(
            self.contract, limit_ms=None, max_bytes=None, max_memory_bytes=None
        )
        same = msgspec.structs.replace(self, contract=measuring)
        canonical = msgspec.json.encode(same, order="deterministic")
        return hashlib.sha256(canonical).hexdigest()[:32]


def machine_digest(machine: Machine) -> str:
    """32 hex digits for what of a machine decides speed.

    Processor, features, cores, memory and versions; not the measured
    ceilings, which differ a little in every run.
    """
    fixed = (
        machine.cpu,
        machine.arch,
        machine.system,
        machine.cores,
        machine.memory_bytes,
        sorted(machine.flags),
        sorted(machine.versions.items()),
    )
    return hashlib.sha256(msgspec.json.encode(fixed)).hexdigest()[:32]

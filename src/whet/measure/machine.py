"""Fingerprint of the machine: what it is, what of it we may use, and how fast it can be."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path

import msgspec

from whet.core.evidence import Ceilings, Machine
from whet.measure.ceiling_looks import first_look
from whet.measure.cgroup import allowed_cores, allowed_memory

__all__ = ["allowed_cores", "cpu_flags", "fingerprint"]

_CPUINFO = Path("/proc/cpuinfo")

# Features that decide which kernels the runtimes take.
_FLAGS = frozenset(
    [
        "sse4_1",
        "sse4_2",
        "avx",
        "avx2",
        "f16c",
        "fma",
        "avx512f",
        "avx512bw",
        "avx512dq",
        "avx512vl",
        "avx512_vnni",
        "avx512_bf16",
        "avx512_fp16",
        "avx_vnni",
        "avx_vnni_int8",
        "avx10_1",
        "amx_tile",
        "amx_int8",
        "amx_bf16",
        "amx_fp16",
        "asimd",
        "asimdhp",
        "asimddp",
        "i8mm",
        "bf16",
        "sve",
        "sve2",
        "sme",
    ]
)
_PACKAGES = ("whet", "numpy", "onnxruntime", "openvino", "torch", "onnx", "nncf")


def fingerprint(*, ceilings: bool, cache: Path | None) -> Machine:
    """Describe this machine.

    Args:
        ceilings: also measure its peaks, which takes about 3 s, unless the cache has them.
        cache: folder where measured ceilings are kept, by machine and versions; those measured
            while the machine was busy are not kept.

    Raises:
        StorageError: the cache can't be written.
    """
    cpu, flags = cpu_of(_cpuinfo())
    machine = Machine(
        cpu=cpu or platform.processor() or platform.machine(),
        arch=platform.machine(),
        system=f"{platform.system()} {platform.release()}",
        cores=allowed_cores(),
        memory_bytes=allowed_memory(),
        flags=flags,
        ceilings=Ceilings(),
        versions=_versions(),
    )
    if not ceilings:
        return machine
    return msgspec.structs.replace(machine, ceilings=first_look(machine, cache))


def cpu_flags() -> tuple[str, ...]:
    """Features of this CPU that decide which kernels are taken."""
    return cpu_of(_cpuinfo())[1]


def cpu_of(cpuinfo: str) -> tuple[str, tuple[str, ...]]:
    """Model name and the flags that matter, from the text of ``/proc/cpuinfo``."""
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags", fields.get("Features", "")).split()
    name = fields.get("model name", "")
    if name and "model" in fields:
        # Cloud machines call different CPUs by one name; family and model tell them apart.
        name += f" (family {fields.get('cpu family', '?')}, model {fields['model']})"
    return name, tuple(sorted(_FLAGS.intersection(flags)))


def _cpuinfo() -> str:
    return _CPUINFO.read_text() if _CPUINFO.is_file() else ""


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # not installed: it has no version to report
    return versions

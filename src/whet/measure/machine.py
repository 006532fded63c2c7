"""Fingerprint of the machine: what it is, what of it we may use, and how fast it can be."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import msgspec

import whet.errors
from whet.core.evidence import Ceilings, Machine
from whet.errors import StorageError
from whet.measure.cgroup import allowed_cores, allowed_memory
from whet.measure.noise import read_cpu_use, unrest

__all__ = ["allowed_cores", "fingerprint"]

_CPUINFO = Path("/proc/cpuinfo")
_CEILING_TIMEOUT_S = 90.0

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


def fingerprint(*, ceilings: bool, cache: Path | None, fresh: bool = False) -> Machine:
    """Describe this machine.

    Args:
        ceilings: also measure its peaks, which takes about 3 s, unless the cache has them.
        cache: folder where measured ceilings are kept, by machine and versions; those measured
            while the machine was busy are not kept.
        fresh: measure again although the cache has them. A ceiling is what was reached once, so
            the higher figure of old and new stands.

    Raises:
        StorageError: the cache can't be written.
    """
    cpu, flags = cpu_of(_CPUINFO.read_text() if _CPUINFO.is_file() else "")
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
    return msgspec.structs.replace(machine, ceilings=_ceilings(machine, cache, fresh))


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


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # not installed: it has no version to report
    return versions


def _ceilings(machine: Machine, cache: Path | None, fresh: bool) -> Ceilings:
    kept = None if cache is None else cache / f"ceilings-{_key(machine)}.json"
    known = Ceilings() if kept is None else _read(kept)
    if known != Ceilings() and not fresh:
        return known
    before = read_cpu_use()
    measured = higher(known, _measure(machine.cores))
    quiet = not unrest(before, read_cpu_use())
    if kept is not None and quiet and measured != Ceilings():
        _keep(kept, measured)
    return measured


def higher(a: Ceilings, b: Ceilings) -> Ceilings:
    """The higher of each figure; one that only one of them has counts as it is."""
    return Ceilings(
        **{
            name: max((v for v in (getattr(a, name), getattr(b, name)) if v), default=None)
            for name in Ceilings.__struct_fields__
        }
    )


def _read(kept: Path) -> Ceilings:
    """What the cache has; nothing where it is damaged, so that it is measured and written anew."""
    try:
        return msgspec.json.decode(kept.read_bytes(), type=Ceilings)
    except (OSError, msgspec.DecodeError):
        return Ceilings()


def _key(machine: Machine) -> str:
    relevant = msgspec.json.encode(machine, order="deterministic")
    return hashlib.sha256(relevant).hexdigest()[:16]


def _measure(cores: int) -> Ceilings:
    """Measure in a process of its own, which keeps runtimes and their memory out of this one.

    A machine where that fails has no ceilings; they bound nothing then, and the report shows
    none.
    """
    package = str(Path(whet.errors.__file__).resolve().parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([package, inherited] if inherited else [package])
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "whet.measure.ceilings", str(cores)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
            timeout=_CEILING_TIMEOUT_S,
            start_new_session=True,  # Ctrl-C at the terminal is for the search, not for its parts
            check=True,
        )
        return msgspec.json.decode(done.stdout.splitlines()[-1], type=Ceilings)
    except (subprocess.SubprocessError, IndexError, msgspec.DecodeError):
        return Ceilings()


def _keep(where: Path, ceilings: Ceilings) -> None:
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        beside = where.with_suffix(f".{os.getpid()}")
        beside.write_bytes(msgspec.json.encode(ceilings))
        beside.replace(where)
    except OSError as error:
        raise StorageError(
            f"The measured ceilings can't be kept in {where.parent} ({error.strerror}).",
            "Free some space or choose another cache folder.",
        ) from error

"""Every error that whet raises on purpose, in one tree.

    WhetError
    ├── InputError                 what the user gave can't be used              exit 3
    │   ├── NetworkError           the model file, factory or directory
    │   │   └── ExportError        the network can't be turned into a graph
    │   ├── SamplesError           the samples or their labels
    │   ├── ContractError          one or several clauses (``.issues``)
    │   └── OptionError            a flag, a setting, a pass option
    ├── HostError                  this machine lacks something                  exit 4
    │   ├── MissingExtraError      an optional package is not installed
    │   └── RuntimeUnavailableError
    ├── BundleError                a bundle is refused                           exit 5
    │   ├── NoBundleError          there is none at the path given              exit 3
    │   ├── BundleCorruptError     bytes differ from what the manifest says
    │   ├── BundlePathError        a name leaves the bundle's directory
    │   ├── BundleVersionError     written by a newer whet
    │   └── UntrustedCodeError     opening a variant runs code that came with it
    ├── StorageError               disk full, ledger busy, cache not writable    exit 6
    │   └── LedgerError
    ├── PassError                  a pass refused or broke its promise           exit 1
    │   ├── RequirementError       the model lacks what the pass needs
    │   └── PostconditionError     the pass broke what it promised
    ├── EngineError                a runtime failed to compile, open or run      exit 1
    │   └── UnsupportedOperatorError
    ├── TrialError                 a worker process ended badly                  exit 1
    │   ├── TrialCrashedError
    │   ├── TrialMemoryError
    │   └── TrialTimeoutError
    ├── MeasurementError           a figure that can't be believed               exit 1
    └── ServeError                 what a server says instead of an answer       exit 1
        ├── RequestError           the request can't be used (or is too large: ``status``)
        ├── UnknownModelError      no such model, version or place
        ├── BusyError              it would come too late, or there is no room (``retry_after_s``)
        ├── LateError              its time ran out before it was begun
        ├── WorkerLostError        what worked at it died or hung
        └── UnreachableError       there is no server, or it broke off (a client's error)

Each carries one clear sentence and one remedy. The command line prints
both, never a traceback, and exits with ``exit_code``. Inside the search the
errors of passes, engines and trials become notes: they cost a candidate, not
the run.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BundleCorruptError",
    "BundleError",
    "BundlePathError",
    "BundleVersionError",
    "BusyError",
    "ContractError",
    "EngineError",
    "ExportError",
    "HostError",
    "InputError",
    "Issue",
    "LateError",
    "LedgerError",
    "MeasurementError",
    "MissingExtraError",
    "NetworkError",
    "NoBundleError",
    "OptionError",
    "PassError",
    "PostconditionError",
    "RequestError",
    "RequirementError",
    "RuntimeUnavailableError",
    "SamplesError",
    "ServeError",
    "StorageError",
    "TrialCrashedError",
    "TrialError",
    "TrialMemoryError",
    "TrialTimeoutError",
    "UnknownModelError",
    "UnreachableError",
    "UnsupportedOperatorError",
    "UntrustedCodeError",
    "WhetError",
    "WorkerLostError",
]


class WhetError(Exception):
    """Root of the tree.

    Args:
        message: one sentence that says what is wrong, with the offending value.
        remedy: one sentence that says what to do about it; may be empty only
            where nothing can be done.

    Attributes:
        parts: the errors that this one tells of together, each on a line below the first of
            ``message``; none where it tells of one thing.
    """

    exit_code = 1
    parts: tuple[WhetError, ...] = ()

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".rstrip()


class InputError(WhetError):
    """What the user gave can't be used."""

    exit_code = 3


class NetworkError(InputError):
    """The model file, factory or directory can't be read."""


class ExportError(NetworkError):
    """The network was read but can't be turned into a graph."""


class SamplesError(InputError):
    """The samples or their labels can't be used."""


@dataclass(frozen=True)
class Issue:
    """One broken clause: where it stands, what is wrong, what to do."""

    where: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message} {self.remedy}"


class ContractError(InputError):
    """One or several clauses of a contract are wrong; all are reported at once."""

    def __init__(self, issues: tuple[Issue, ...]) -> None:
        self.issues = issues
        lines = "\n".join(f"  - {issue}" for issue in issues)
        super().__init__(f"The contract can't be used:\n{lines}")


class OptionError(InputError):
    """A flag, a setting or an option of a pass is wrong."""


class HostError(WhetError):
    """This machine lacks something that the job needs."""

    exit_code = 4


class MissingExtraError(HostError):
    """An optional package is not installed."""


class RuntimeUnavailableError(HostError):
    """A runtime can't be used on this machine."""


class BundleError(WhetError):
    """A bundle is refused."""

    exit_code = 5


class NoBundleError(BundleError):
    """There is no bundle at the path that was given: wrong input, and nothing was refused."""

    exit_code = 3


class BundleCorruptError(BundleError):
    """The bytes on disk differ from what the manifest says."""


class BundlePathError(BundleError):
    """A name in a bundle leaves the bundle's directory."""


class BundleVersionError(BundleError):
    """The bundle was written by a newer whet."""


class UntrustedCodeError(BundleError):
    """Opening a variant runs code that came with the bundle, and nobody said to trust it."""


class StorageError(WhetError):
    """Something can't be written: a full disk, no permission."""

    exit_code = 6


class LedgerError(StorageError):
    """The ledger is busy, damaged or of another kind."""


class PassError(WhetError):
    """A pass refused its input or broke its promise."""


class RequirementError(PassError):
    """The model lacks what the pass needs; nothing was changed."""


class PostconditionError(PassError):
    """The pass ran but its result breaks what it promised."""


class EngineError(WhetError):
    """A runtime failed to compile, open or run a graph."""


class UnsupportedOperatorError(EngineError):
    """A runtime doesn't know an operator of the graph."""


class TrialError(WhetError):
    """The process that tried a candidate ended badly."""


class TrialCrashedError(TrialError):
    """The process died (signal or exception)."""


class TrialMemoryError(TrialError):
    """The process passed its memory limit."""


class TrialTimeoutError(TrialError):
    """The process passed its time limit."""


class MeasurementError(WhetError):
    """A figure that can't be believed, so it isn't reported."""


class ServeError(WhetError):
    """What a server says instead of an answer.

    Attributes:
        status: the HTTP status that says so.
    """

    status = 500


class RequestError(ServeError):
    """A request can't be used.

    Args:
        message: as of any error; it never holds names or paths of the server's own.
        remedy: what the client can do.
        status: another one than 400, such as 413 for what is too large.
    """

    status = 400

    def __init__(self, message: str, remedy: str = "", *, status: int = 400) -> None:
        super().__init__(message, remedy)
        self.status = status


class UnknownModelError(ServeError):
    """There is no such model, version or place."""

    status = 404


class BusyError(ServeError):
    """There is no room for a request, or it would be answered too late.

    Attributes:
        retry_after_s: when it may be asked again.
    """

    status = 503

    def __init__(self, message: str, remedy: str = "", *, retry_after_s: float = 1.0) -> None:
        super().__init__(message, remedy)
        self.retry_after_s = retry_after_s


class LateError(ServeError):
    """The time of a request ran out before it was begun."""

    status = 504


class WorkerLostError(ServeError):
    """What worked at a request died or hung."""

    status = 503


class UnreachableError(ServeError):
    """There is no server at a place, or it broke off; a client's error."""

    status = 503

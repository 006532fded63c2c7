"""whet sharpens a trained network to a latency contract, proves it and packs it.

Importing this package loads neither torch, onnx nor any runtime: the public
names are resolved on first use.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whet.api import bench, inspect, load, optimize, verify
    from whet.core.contract import Contract, Drop
    from whet.data.transform import ImageTransform, TextTransform
    from whet.errors import WhetError

__all__ = [
    "Contract",
    "Drop",
    "ImageTransform",
    "TextTransform",
    "WhetError",
    "__version__",
    "bench",
    "inspect",
    "load",
    "optimize",
    "verify",
]

__version__ = "0.1.0"

_WHERE = {
    "Contract": "whet.core.contract",
    "Drop": "whet.core.contract",
    "ImageTransform": "whet.data.transform",
    "TextTransform": "whet.data.transform",
    "WhetError": "whet.errors",
    "bench": "whet.api",
    "inspect": "whet.api",
    "load": "whet.api",
    "optimize": "whet.api",
    "verify": "whet.api",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'whet' has no attribute '{name}'")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


class _Root(ModuleType):
    """The package itself, on which the verbs stay what they are.

    The import system binds each subpackage to its parent: importing anything
    below ``whet.optimize`` would put the package where the verb stands.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name in _WHERE and isinstance(value, ModuleType):
            return
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Root

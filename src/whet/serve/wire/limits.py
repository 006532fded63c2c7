"""How much a request may be, checked before anything is allocated for it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """Caps on what one request may bring; each is refused as soon as it is seen.

    Attributes:
        body_bytes: of a body, as sent and as decompressed.
        json_bytes: of the JSON in front of binary tensors, and of JSON bodies as a whole.
        header_bytes: of the lines before a body.
        elements: of one tensor.
        inputs: tensors of a request; outputs that may be asked for are as many.
        axes: of a tensor.
        parameters: of a request or a tensor.
        name_chars: of a name, an id or a parameter's text.
    """

    body_bytes: int = 64 << 20
    json_bytes: int = 64 << 20
    header_bytes: int = 32 << 10
    elements: int = 64 << 20
    inputs: int = 64
    axes: int = 16
    parameters: int = 64
    name_chars: int = 1024

"""A refusal or a remark, as a value."""

from __future__ import annotations

import msgspec

__all__ = ["Note"]


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a part was left alone, or what the reader of a result should know.

    Attributes:
        where: the layer, file, candidate or clause it is about.
        reason: one sentence.
    """

    where: str
    reason: str

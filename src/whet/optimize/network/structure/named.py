"""Layers that a pass was told by name."""

from __future__ import annotations

from collections.abc import Iterable

from whet.core.note import Note
from whet.errors import RequirementError

__all__ = ["need_able"]


def need_able(
    wanted: Iterable[str], able: Iterable[str], notes: Iterable[Note], *, cant: str, kind: str
) -> None:
    """Refuse names of layers that a pass can't treat, and say why it can't.

    Args:
        wanted: names.
        able: names of all layers that it can treat, in order.
        notes: why others can't be.
        cant: what can't be done with them, such as ``"be factored"``.
        kind: of layer that it treats, such as ``"convolution"``.

    Raises:
        RequirementError: it can't treat one of them.
    """
    known, refused = tuple(able), {note.where: note.reason for note in notes}
    for name in wanted:
        if name not in known:
            reason = refused.get(name, f"There is no {kind} of that name.")
            raise RequirementError(
                f"'{name}' can't {cant}. {reason}",
                f"Layers that can be are {', '.join(known) or 'none'}.",
            )

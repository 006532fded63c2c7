"""What a client takes, and what it likes best, as HTTP's ``Accept`` headers say it."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["preferences"]


def preferences(header: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Each thing that a header names, its parameters, and how much it is liked: 0 for not at all.

    Names are in lower case. A weight that is no number is none.
    """
    for part in header.split(","):
        name, *given = (item.strip() for item in part.split(";"))
        parameters = {}
        for item in given:
            key, _, value = item.partition("=")
            parameters[key.strip().lower()] = value.strip().strip('"')
        try:
            weight = float(parameters.pop("q", "1"))
        except ValueError:
            weight = 0.0
        yield name.lower(), parameters, weight

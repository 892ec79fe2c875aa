"""How times are said to a person."""

from __future__ import annotations

from typing import Final

__all__ = ["moment"]

_SIZES: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


def moment(at: float, now: float) -> str:
    """Say when something was or will be, as seen from now.

    Args:
        at: Unix seconds, UTC.
        now: Unix seconds, UTC.
    """
    for size, word in _SIZES:
        amount = int(abs(at - now) // size)
        if amount:
            phrase = f"{amount} {word}{'' if amount == 1 else 's'}"
            return f"in {phrase}" if at > now else f"{phrase} ago"
    return "in a moment" if at > now else "just now"

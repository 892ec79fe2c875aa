"""What happened to a grant, told without secrets."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Final

from harbor_oauth.secret import Secret
from harbor_oauth.vault import Append, Event

__all__ = [
    "DEAD",
    "LOGIN",
    "LOGOUT",
    "OBTAIN",
    "REFRESH",
    "REFUSED",
    "REJECTED",
    "TROUBLE",
    "event",
    "fingerprint",
    "refusals",
]

LOGIN: Final = "login"
REFRESH: Final = "refresh"
OBTAIN: Final = "obtain"
REFUSED: Final = "refused"
"""The token endpoint refused, in words that do not end the grant."""
REJECTED: Final = "rejected"
TROUBLE: Final = "trouble"
"""A server that was asked for its tools with a good token did not give them."""
DEAD: Final = "dead"
LOGOUT: Final = "logout"

_LENGTH: Final = 12


def fingerprint(token: Secret | None) -> str | None:
    """Return a short digest that tells tokens apart and gives none away.

    Tokens have far more entropy than the digest, so it cannot be searched back.
    """
    if token is None:
        return None
    return hashlib.sha256(b"harbor_oauth:" + token.reveal().encode()).hexdigest()[:_LENGTH]


def event(name: str, at: float, what: str, **detail: str | float | bool | None) -> Append:
    """Return the change that adds a line to a record's history.

    Args:
        name: The record.
        at: Unix seconds, UTC.
        what: What happened, one word.
        **detail: More about it; never a secret.
    """
    return Append(Event(name, at, what, {"process": os.getpid(), **detail}))


def refusals(events: Sequence[Event]) -> tuple[Event, ...]:
    """Return the refusals since a token was last given, oldest first; none after a success.

    Args:
        events: A grant's history, oldest first.
    """
    since: list[Event] = []
    for each in events:
        if each.event == REFUSED:
            since.append(each)
        elif each.event not in {REJECTED, TROUBLE}:  # which a resource server said
            since.clear()
    return tuple(since)

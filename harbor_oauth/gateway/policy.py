"""What becomes of a docked server's answer: decided from values, nothing else.

A 401 and a 403 are different paths (RFC 6750 §3.1): a refresh never widens a
scope. Nothing is ever sent twice but a request whose token was refused, which a
server therefore did not execute (RFC 9110 §9.2.2, §15.5.2).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, Literal, TypeAlias

import attrs

__all__ = ["Action", "Attempt", "Media", "Seen", "decide"]

Media: TypeAlias = Literal["json", "stream"]
"""What may be handed on: JSON, and streams of events."""

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_PROXY_AUTHENTICATION_REQUIRED: Final = 407
_OK: Final = range(200, 300)
_REDIRECTION: Final = range(300, 400)
_FINAL: Final = range(200, 600)


class Action(Enum):
    """What to do with an answer."""

    PASS = auto()
    """Hand it on as it is."""
    PASS_STATUS = auto()
    """Hand on its status; its body is nothing a caller should read."""
    RENEW = auto()
    """Report the token as refused; send the request again if there is another."""
    PROVE_AGAIN = auto()
    """Send it again with the nonce the server wants in a proof (RFC 9449 §9)."""
    REPEAT = auto()
    """Tell the caller to send it again: its body is gone."""
    SIGN_IN = auto()
    """Say that the server wants a sign-in and has none."""
    REFUSED = auto()
    """Say that the server refuses what it is given."""
    WIDEN = auto()
    """Say which scopes a person has to grant (RFC 6750 §3.1)."""
    REDIRECTED = auto()
    """Say that the server is elsewhere now; nothing is sent there."""
    UNREADABLE = auto()
    """Say that the answer is of a kind that is not handed on."""


@attrs.frozen
class Seen:
    """An answer, as far as it matters.

    Attributes:
        status: Its status; 401 where the provider knows it for a refused token.
        media: What its body is; None for anything that is not handed on.
        empty: Whether it has no body.
        insufficient_scope: Whether its challenge says so.
        wants_nonce: Whether it wants a proof with a nonce of its own.
    """

    status: int
    media: Media | None = None
    empty: bool = False
    insufficient_scope: bool = False
    wants_nonce: bool = False


@attrs.frozen
class Attempt:
    """What was sent.

    Attributes:
        token: Whether a grant's token went with it.
        secret: Whether another stored secret did.
        renewed: Whether a token was reported as refused already.
        proved_again: Whether it was sent with a nonce already.
        replayable: Whether its body is held whole.
    """

    token: bool = False
    secret: bool = False
    renewed: bool = False
    proved_again: bool = False
    replayable: bool = True


def decide(seen: Seen, attempt: Attempt) -> Action:
    """Say what becomes of an answer.

    Args:
        seen: The answer.
        attempt: What it answers.
    """
    if seen.status == _UNAUTHORIZED:
        return _unauthorized(seen, attempt)
    if seen.status == _FORBIDDEN and seen.insufficient_scope and attempt.token:
        return Action.WIDEN
    if seen.status == _PROXY_AUTHENTICATION_REQUIRED:
        return Action.REFUSED
    if seen.status in _REDIRECTION:
        return Action.REDIRECTED
    return _otherwise(seen)


def _otherwise(seen: Seen) -> Action:
    if seen.status not in _FINAL:  # an upgrade, or no status at all (RFC 9110 §15)
        return Action.UNREADABLE
    if seen.media is not None or seen.empty:
        return Action.PASS
    return Action.UNREADABLE if seen.status in _OK else Action.PASS_STATUS


def _unauthorized(seen: Seen, attempt: Attempt) -> Action:
    if not attempt.token:
        return Action.REFUSED if attempt.secret else Action.SIGN_IN
    if seen.wants_nonce and not attempt.proved_again:
        return Action.PROVE_AGAIN if attempt.replayable else Action.REPEAT
    return Action.REFUSED if attempt.renewed else Action.RENEW

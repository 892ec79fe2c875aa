"""By when a person has to sign in again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import attrs

from harbor_oauth.errors import HarborError

if TYPE_CHECKING:
    from harbor_oauth.client import GrantStatus, Harbor

__all__ = ["Renewal", "forecast", "refusal", "renewal"]

_DAY: Final = 86_400
_HOUR: Final = 3600


@attrs.frozen
class Renewal:
    """By when a grant has to be signed in to again.

    Attributes:
        grant: Its name.
        by: Unix seconds, UTC; None where nothing is known that ends it.
        reason: Why then, as a clause.
        used: Whether using the grant before then puts it off.
    """

    grant: str
    by: float | None
    reason: str
    used: bool = False


def forecast(harbor: Harbor, now: float) -> tuple[Renewal, ...]:
    """Say of every grant by when it has to be signed in to again, the soonest first.

    Args:
        harbor: Keeps the grants and knows the providers.
        now: Unix seconds, UTC.
    """
    found = [renewal(harbor, status, now) for status in harbor.status()]
    return tuple(sorted(found, key=lambda each: (each.by is None, each.by or 0.0, each.grant)))


def renewal(harbor: Harbor, status: GrantStatus, now: float) -> Renewal:
    """Say by when one grant has to be signed in to again."""
    if status.state != "active":
        return Renewal(status.grant, now, status.cause or f"it is {status.state}")
    if refused := refusal(status):
        return Renewal(status.grant, status.expires_at or now, refused)
    if not status.refreshable:
        reason = "its token ends, and the server gave nothing to renew it with"
        if status.expires_at is None:
            reason = "the server did not say when its token ends"
        return Renewal(status.grant, status.expires_at, reason)
    life = _refresh_token_life(harbor, status)
    if life is None or status.obtained_at is None:
        return Renewal(status.grant, None, "it renews itself")
    reason = f"its refresh token ends when it is not used for {_span(life)}"
    return Renewal(status.grant, status.obtained_at + life, reason, used=True)


def refusal(status: GrantStatus) -> str | None:
    """Say, as a clause, that the server refuses each refresh; None where it does not."""
    if status.refused is None or status.refused_at is None:
        return None
    since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(status.refused_at))
    return f"its server refuses each refresh since {since} ({status.refused.rstrip('.')})"


def _refresh_token_life(harbor: Harbor, status: GrantStatus) -> int | None:
    try:
        return harbor.provider(status.provider).resource(status.resource).refresh_token_life
    except HarborError:  # a server known by its URL, or a plugin that is gone
        return None


def _span(seconds: int) -> str:
    days = seconds // _DAY
    return f"{days} days" if days > 1 else f"{seconds // _HOUR} hours"

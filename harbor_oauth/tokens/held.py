"""A grant in memory, and when it has to be looked at again."""

from __future__ import annotations

import math
from typing import Final

import attrs

from harbor_oauth.tokens.access_token import AccessToken
from harbor_oauth.vault import GrantKey, GrantRecord

__all__ = ["Held", "end_of", "expiry_margin", "hold", "known_end"]

_MARGIN: Final = 60.0
_MARGIN_SHARE: Final = 0.1
_JITTER: Final = 0.5


def expiry_margin(life: float) -> float:
    """Return how many seconds before its end a token counts as due.

    A fixed minute would make a token of thirty seconds refresh in a loop
    (stellantis PR #613).

    Args:
        life: Seconds from receipt to expiry.
    """
    return min(_MARGIN, _MARGIN_SHARE * max(life, 0.0))


def known_end(record: GrantRecord) -> float | None:
    """Return when a grant's access token ends, unix seconds UTC; None if unknown.

    A life of nothing says nothing: taken at its word, a server that sends
    ``expires_in: 0`` would be asked again at every call.
    """
    ends = record.expires_at
    return None if ends is None or ends <= record.obtained_at else ends


def end_of(record: GrantRecord) -> float:
    """Return when a grant's access token ends, unix seconds UTC; infinite if unknown."""
    ends = known_end(record)
    return math.inf if ends is None else ends


@attrs.frozen(eq=False)
class Held:
    """One generation of a grant, with the clocks at the moment it came here.

    The wall clock may be set back and the monotonic one may stand still while
    the machine sleeps; each catches what the other misses.

    Attributes:
        record: The grant.
        generation: Its generation in the vault.
        token: What callers get.
        due: Unix seconds from which it is refreshed; infinite if unknown.
        due_monotonic: The same on the monotonic clock.
        ends: Unix seconds at which the token has ended; infinite if unknown.
        ends_monotonic: The same on the monotonic clock.
    """

    record: GrantRecord
    generation: int
    token: AccessToken
    due: float
    due_monotonic: float
    ends: float
    ends_monotonic: float

    def is_due(self, wall: float, monotonic: float, *, life: float = 0.0) -> bool:
        """Say whether it is time to refresh.

        Args:
            wall: Unix seconds, UTC, now.
            monotonic: Monotonic seconds, now.
            life: How many seconds the token should still live. More than half of
                what it lived when it was new is never asked for: a token of a
                minute would be refreshed for each request.
        """
        if wall >= self.due or monotonic >= self.due_monotonic:
            return True
        if not life or math.isinf(self.ends):
            return False
        life = min(life, (self.ends - self.record.obtained_at) / 2)
        return self.has_ended(wall + life, monotonic + life)

    def has_ended(self, wall: float, monotonic: float) -> bool:
        """Say whether the token itself is past its end."""
        return wall >= self.ends or monotonic >= self.ends_monotonic


def hold(
    key: GrantKey,
    record: GrantRecord,
    generation: int,
    *,
    wall: float,
    monotonic: float,
    jitter: float,
) -> Held:
    """Take a generation into memory.

    Args:
        key: The grant.
        record: Its value.
        generation: Its generation.
        wall: Unix seconds, UTC, now.
        monotonic: Monotonic seconds, now.
        jitter: 0 to 1; processes that start together must not refresh together.
    """
    ends = end_of(record)
    margin = expiry_margin(ends - record.obtained_at) if math.isfinite(ends) else 0.0
    due = ends - margin * (1 - _JITTER * jitter)
    token = AccessToken(
        record.access_token,
        known_end(record),
        record.granted_scopes,
        str(key),
        record.token_type,
        generation,
    )
    return Held(
        record,
        generation,
        token,
        due=due,
        due_monotonic=monotonic + (due - wall),
        ends=ends,
        ends_monotonic=monotonic + (ends - wall),
    )

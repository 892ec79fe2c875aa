"""Device codes and what became of them (RFC 8628)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import attrs

from harbor_oauth.testing._parameters import RefusedError
from harbor_oauth.testing._records import Consent

__all__ = ["Devices", "Pending"]

_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"  # RFC 8628 §6.1: no vowels, no words
_SLOWER: Final = 5.0  # §3.5


@attrs.define(eq=False, repr=False)
class Pending:
    """One device that waits.

    Attributes:
        device_code: What the device polls with.
        user_code: What the person types.
        consent: What is asked; the account is filled in by the person.
        expires_at: When both codes end.
        interval: Seconds the device has to leave between polls.
        decision: What the person said.
        polled_at: When the device asked last.
    """

    device_code: str
    user_code: str
    consent: Consent
    expires_at: float
    interval: float
    decision: Literal["pending", "approved", "denied"] = "pending"
    polled_at: float | None = None


@attrs.define(eq=False)
class Devices:
    """The devices that wait; the caller holds the lock."""

    clock: Callable[[], float]
    new_secret: Callable[[str], str]
    entropy: Callable[[int], bytes]
    _waiting: dict[str, Pending] = attrs.field(factory=dict, init=False)

    def begin(self, consent: Consent, *, lifetime: float, interval: float) -> Pending:
        """Make a device code and a user code."""
        letters = "".join(_LETTERS[octet % len(_LETTERS)] for octet in self.entropy(8))
        pending = Pending(
            device_code=self.new_secret("device"),
            user_code=f"{letters[:4]}-{letters[4:]}",
            consent=consent,
            expires_at=self.clock() + lifetime,
            interval=interval,
        )
        self._waiting[pending.device_code] = pending
        return pending

    def find(self, user_code: str) -> Pending | None:
        """Return what a user code stands for, however it is typed (RFC 8628 §6.1)."""
        typed = _plain(user_code)
        for pending in self._waiting.values():
            undecided = pending.decision == "pending" and self.clock() < pending.expires_at
            if undecided and _plain(pending.user_code) == typed:
                return pending
        return None

    def redeem(self, device_code: str, *, client_id: str) -> Consent:
        """Return the consent a device code got, once (RFC 8628 §3.5).

        Raises:
            RefusedError: ``authorization_pending``, ``slow_down``,
                ``access_denied``, ``expired_token`` or ``invalid_grant``.
        """
        pending, now = self._waiting.get(device_code), self.clock()
        if pending is None or pending.consent.client_id != client_id:
            raise RefusedError("invalid_grant", "the device code is unknown")
        if now >= pending.expires_at:
            raise RefusedError("expired_token", "the device code has expired")
        hasty = pending.polled_at is not None and now - pending.polled_at < pending.interval
        pending.polled_at = now
        if hasty:
            pending.interval += _SLOWER
            raise RefusedError("slow_down", "the device polls faster than it was told")
        if pending.decision == "pending":
            raise RefusedError("authorization_pending", "nobody has decided yet")
        del self._waiting[device_code]
        if pending.decision == "denied":
            raise RefusedError("access_denied", "the user said no")
        return pending.consent


def _plain(user_code: str) -> str:
    return "".join(letter for letter in user_code.upper() if letter in _LETTERS)

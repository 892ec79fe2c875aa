"""TokenSource: the only way to an access token.

One refresh per grant runs at a time in this process, and whoever waits for it
gets its result. A refresh never destroys what it cannot replace: only the new
pair, stored whole, takes the old one's place.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import attrs

from harbor_oauth.errors import LoginRequiredError, TokenResponseError, VaultConflictError
from harbor_oauth.flows.tokens import TokenEndpoint, refresh_access_token
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import Transport
from harbor_oauth.protocol.token import TokenResponse
from harbor_oauth.secret import Secret
from harbor_oauth.tokens.access_token import AccessToken
from harbor_oauth.vault import GrantKey, GrantRecord, Vault

__all__ = ["Mend", "TokenSource", "client_of", "expiry_margin"]

Mend: TypeAlias = Callable[[Mapping[str, object]], Mapping[str, object]]

_MARGIN: Final = 60.0
_MARGIN_SHARE: Final = 0.1


def expiry_margin(life: float) -> float:
    """Return how many seconds before its end a token counts as expired.

    A fixed minute would make a token of thirty seconds refresh in a loop
    (stellantis PR #613).

    Args:
        life: Seconds from receipt to expiry.
    """
    return min(_MARGIN, _MARGIN_SHARE * max(life, 0.0))


def client_of(record: GrantRecord) -> ClientCredentials:
    """Return the client a grant was made with; it is refreshed with no other."""
    return ClientCredentials(
        client_id=record.client_id,
        client_secret=record.client_secret,
        token_endpoint_auth_method=record.token_endpoint_auth_method,
    )


@attrs.frozen
class _Held:
    """A grant in memory, with the clocks at the moment it came there."""

    record: GrantRecord
    generation: int
    wall: float
    monotonic: float

    def expired(self, wall: float, monotonic: float) -> bool:
        """Say whether either clock has passed the expiry, less the margin.

        The wall clock may be set back and the monotonic one may stand still
        while the machine sleeps; each catches what the other misses.
        """
        if self.record.expires_at is None:
            return False
        ends = self.record.expires_at - expiry_margin(
            self.record.expires_at - self.record.obtained_at
        )
        return wall >= ends or monotonic - self.monotonic >= ends - self.wall


class TokenSource:
    """Hands out valid access tokens of the grants in a vault.

    Thread-safe.

    Args:
        vault: Where the grants are.
        transport: How refresh requests are sent.
        mend_of: Returns the provider's quirk for token answers, or None;
            called only when a refresh is due.
        clock: Unix seconds, UTC.
        monotonic: Seconds that never go back.
    """

    def __init__(
        self,
        vault: Vault,
        transport: Transport,
        *,
        mend_of: Callable[[GrantKey], Mend | None] = lambda _: None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read nothing yet."""
        self._vault = vault
        self._transport = transport
        self._mend_of = mend_of
        self._clock = clock
        self._monotonic = monotonic
        self._held: dict[GrantKey, _Held] = {}
        self._locks: dict[GrantKey, threading.Lock] = {}
        self._guard = threading.Lock()

    def token(self, key: GrantKey) -> AccessToken:
        """Return a valid access token.

        Args:
            key: The grant.

        Raises:
            LoginRequiredError: There is no such grant, or it cannot be refreshed.
            TransportError: The refresh failed for now; the grant is intact.
            VaultError: The vault could not be read or written.
        """
        held = self._held.get(key)
        if held is None or self._expired(held):
            with self._lock(key):
                held = self._valid(key)
        return _token(key, held.record)

    def rejected(self, key: GrantKey, access_token: Secret) -> None:
        """Report that a resource server answered 401 to a token.

        The grant is refreshed once for all who hold that token, and not at all
        if a newer one is already stored.

        Args:
            key: The grant.
            access_token: The token that was refused.

        Raises:
            LoginRequiredError: It cannot be refreshed.
            TransportError: The refresh failed for now; the grant is intact.
            VaultError: The vault could not be read or written.
        """
        with self._lock(key):
            held = self._read(key)
            if held.record.access_token == access_token:
                self._refresh(key, held)

    def forget(self, key: GrantKey) -> None:
        """Drop what is in memory; the next call reads the vault."""
        self._held.pop(key, None)

    def _lock(self, key: GrantKey) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(key, threading.Lock())

    def _expired(self, held: _Held) -> bool:
        return held.expired(self._clock(), self._monotonic())

    def _valid(self, key: GrantKey) -> _Held:
        held = self._held.get(key)
        if held is not None and not self._expired(held):
            return held  # somebody else refreshed while this caller waited
        held = self._read(key)
        return self._refresh(key, held) if self._expired(held) else held

    def _read(self, key: GrantKey) -> _Held:
        """Read the grant from the vault into memory."""
        found = self._vault.grant(key)
        if found is None:
            self._held.pop(key, None)
            raise _login_required(self._vault, key, "absent", "nobody has signed in")
        return self._hold(key, *found)

    def _hold(self, key: GrantKey, record: GrantRecord, generation: int) -> _Held:
        if record.state == "dead":
            self._held.pop(key, None)
            raise _login_required(
                self._vault, key, "dead", record.dead_cause or "the server ended the grant"
            )
        held = self._held.get(key)
        if held is None or held.generation != generation:
            # Only a new generation starts the clocks anew.
            held = _Held(record, generation, self._clock(), self._monotonic())
            self._held[key] = held
        return held

    def _refresh(self, key: GrantKey, held: _Held) -> _Held:
        record = held.record
        if record.refresh_token is None:
            raise _login_required(
                self._vault,
                key,
                "expired",
                "the access token has ended and there is no refresh token",
            )
        try:
            answer = refresh_access_token(
                self._transport,
                self._endpoint(key, record),
                refresh_token=record.refresh_token,
                granted_scopes=record.granted_scopes,
                clock=self._clock,
            )
        except TokenResponseError as error:
            if error.error != "invalid_grant":
                raise
            return self._refused(key, held, error)
        return self._store(key, held, answer)

    def _endpoint(self, key: GrantKey, record: GrantRecord) -> TokenEndpoint:
        return TokenEndpoint(
            url=record.token_endpoint,
            client=client_of(record),
            resource=record.resource,
            parameters=record.token_parameters,
            encoding=record.token_encoding,
            scope_separator=record.scope_separator,
            mend=self._mend_of(key),
        )

    def _store(self, key: GrantKey, held: _Held, answer: TokenResponse) -> _Held:
        record = attrs.evolve(
            held.record,
            access_token=answer.access_token,
            refresh_token=answer.refresh_token or held.record.refresh_token,
            token_type=answer.token_type,
            granted_scopes=answer.scopes,
            expires_at=answer.expires_at,
            obtained_at=self._clock(),
        )
        try:
            generation = self._vault.store_grant(key, record, generation=held.generation)
        except VaultConflictError:
            return self._read(key)  # somebody signed in meanwhile; theirs counts
        return self._hold(key, record, generation)

    def _refused(self, key: GrantKey, held: _Held, error: TokenResponseError) -> _Held:
        """Judge an `invalid_grant`: adopt a newer generation, or mark the grant dead.

        The bytes stay in the vault until the next sign-in: the server's word
        ends the grant, nothing else deletes it.
        """
        current = self._read(key)
        if current.generation != held.generation:
            return current
        cause = "the server refused the refresh token"
        if error.error_description:
            cause = f"{cause} ({error.error_description})"
        dead = attrs.evolve(held.record, state="dead", dead_cause=cause)
        try:
            generation = self._vault.store_grant(key, dead, generation=held.generation)
        except VaultConflictError:
            return self._read(key)
        return self._hold(key, dead, generation)


def _token(key: GrantKey, record: GrantRecord) -> AccessToken:
    return AccessToken(record.access_token, record.expires_at, record.granted_scopes, str(key))


def _login_required(vault: Vault, key: GrantKey, cause: str, why: str) -> LoginRequiredError:
    name = str(vault.short_name(key))
    return LoginRequiredError(
        f"{name} needs a sign-in: {why}.",
        grant=name,
        cause=cause,
        next_step=f"Run: harbor charter {name}",
    )

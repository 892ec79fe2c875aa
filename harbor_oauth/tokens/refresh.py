"""One refresh of one grant, such that no crash, race or fault can lose it.

The order is what protects: the lease, so that one process asks; the re-read,
so that nobody asks for what is there; the intent, which proves that the vault
can be written and stays behind as evidence; the request; and one transaction
that stores the new pair and clears the intent. The lease outlasts the request.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Final, TypeAlias

import attrs

from harbor_oauth.errors import (
    FlowCancelledError,
    HarborError,
    InsecureEndpointError,
    LoginRequiredError,
    MalformedResponseError,
    TokenResponseError,
    TransportError,
    VaultConflictError,
    VaultError,
)
from harbor_oauth.flows import revoke
from harbor_oauth.flows.tokens import TokenEndpoint, refresh_access_token
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import Transport
from harbor_oauth.protocol.token import TokenResponse
from harbor_oauth.providers import Resource, Revocation
from harbor_oauth.secret import Secret
from harbor_oauth.tokens import history
from harbor_oauth.tokens.status import absent, login_required
from harbor_oauth.vault import (
    ClearIntent,
    GrantKey,
    GrantRecord,
    Intent,
    Lease,
    PutIntent,
    Vault,
    grant_record_name,
)

__all__ = ["LEASE", "Refresh", "Refreshed", "client_of"]

_log: Final = logging.getLogger("harbor_oauth.tokens")

LEASE: Final = 45.0
"""Seconds a lease lasts, and that others wait for it."""

# When the same token is sent again after an ambiguous failure, in seconds
# after the one before. Servers that allow for a lost answer replay it for ten
# to sixty seconds, so what is not asked again soon is lost (kcap-cli #946).
_RESENDS: Final = (0.0, 1.0, 3.0, 7.0)
_LAST_RESEND: Final = 20.0

# An answer that is no token answer comes from something in between, which
# rarely changes its mind; a cut one is worth two more attempts.
_RESENDS_OF_MALFORMED: Final = 2

_STORE_PAUSES: Final = (0.0, 0.2, 1.0)
_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.05
_PAUSE_GROWTH: Final = 1.25  # doubled, they would make who waits 60 ms late by another 60

Known: TypeAlias = tuple[GrantRecord, int]
Usable: TypeAlias = Callable[[GrantRecord, int], bool]


@attrs.frozen
class Refreshed:
    """What a refresh came to.

    Attributes:
        record: The newest value of the grant.
        generation: Its generation.
        stored: False if the vault did not take it; it is in memory only.
    """

    record: GrantRecord
    generation: int
    stored: bool = True


def client_of(record: GrantRecord) -> ClientCredentials:
    """Return the client a grant was made with; it is refreshed with no other."""
    return ClientCredentials(
        client_id=record.client_id,
        client_secret=record.client_secret,
        token_endpoint_auth_method=record.token_endpoint_auth_method,
    )


@attrs.frozen
class Refresh:
    """How grants are refreshed.

    Attributes:
        vault: Where the grants are.
        transport: How requests are sent.
        resource_of: Returns a grant's resource, or None if its plugin is gone;
            called only when a request is made.
        clock: Unix seconds, UTC.
        monotonic: Seconds that never go back.
        sleep: Waits that many seconds.
        entropy: A source of random bytes.
    """

    vault: Vault
    transport: Transport
    resource_of: Callable[[GrantKey], Resource | None] = lambda _: None
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    entropy: Callable[[int], bytes] = os.urandom

    def __call__(
        self,
        key: GrantKey,
        is_usable: Usable,
        *,
        reason: str,
    ) -> Refreshed:
        """Return a usable generation: somebody else's, or a new one.

        Args:
            key: The grant.
            is_usable: Says whether a stored record, of that generation, needs no refresh.
            reason: Why it is refreshed, for the history.

        Raises:
            LoginRequiredError: A person has to sign in.
            TokenResponseError: The server refused for a reason of the set-up.
            TransportError: Not now; the grant is intact.
            VaultMovedError: The vault was made on another machine.
            VaultError: The vault cannot be written, so nothing was asked.
        """
        # Two copies of one vault that refresh would end each other's grants.
        self.vault.check_machine()
        lease = self._lease(key, is_usable)
        if not isinstance(lease, Lease):
            return Refreshed(*lease)
        try:
            # What the holder before could not store is newer than what is stored.
            self.vault.adopt_spilled(key)
            known = self._read(key)
            if is_usable(*known):
                return Refreshed(*known)
            return self._under_lease(key, known, reason)
        finally:
            # The system frees it at the latest when this process ends; what was
            # won must not turn into an error here.
            with contextlib.suppress(VaultError, OSError):
                self.vault.storage.release_lease(lease)

    # --- before ---------------------------------------------------------------

    def _lease(self, key: GrantKey, is_usable: Usable) -> Lease | Known:
        """Take the lease, or return what its holder has stored meanwhile."""
        name, owner = grant_record_name(key), self.entropy(8).hex()
        storage, pause = self.vault.storage, _FIRST_PAUSE
        deadline = self.monotonic() + LEASE
        while True:
            lease = storage.acquire_lease(name, owner, ttl=LEASE, now=self.clock())
            if lease is not None:
                return lease
            known = self._read(key)
            if is_usable(*known):
                return known
            if not threading.main_thread().is_alive():
                # The program ends. Nothing is sent yet, so nothing is lost.
                raise FlowCancelledError("The program ended before the token was refreshed.")
            if self.monotonic() >= deadline:
                holder = storage.lease_holder(name)
                who = f"process {holder.pid}" if holder else "another process"
                raise TransportError(
                    f"{self.vault.short_name(key)} is being refreshed by {who}, "
                    f"which has not finished within {LEASE:.0f} s.",
                    next_step="It may be stopped; end it, then try again. The sign-in is intact.",
                    ambiguous=False,
                )
            self.sleep(pause)
            pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE)

    def _read(self, key: GrantKey) -> Known:
        found = self.vault.grant(key)
        if found is None:
            raise absent(str(self.vault.short_name(key)))
        if found[0].state == "dead":
            raise login_required(self.vault, key, "dead", found[0].dead_cause)
        return found

    # --- the request ----------------------------------------------------------

    def _under_lease(self, key: GrantKey, known: Known, reason: str) -> Refreshed:
        record, generation = known
        if record.refresh_token is None:
            cause = "the access token has ended and there is no refresh token"
            raise login_required(self.vault, key, "expired", cause)
        name, begun = grant_record_name(key), self.clock()
        earlier = self.vault.storage.intent(name)
        interrupted = earlier is not None and earlier.generation == generation
        digest = history.fingerprint(record.refresh_token) or ""
        intent = Intent(name, generation, digest, begun, str(os.getpid()))
        # Written again even if it stands there: the vault has to be writable now.
        evidence = [PutIntent(earlier if earlier is not None and interrupted else intent)]
        if reason == history.REJECTED:
            before = history.fingerprint(record.access_token)
            rejected = history.event(name, begun, history.REJECTED, token=before)
            self.vault.apply([*evidence, rejected])
        else:
            self.vault.apply(evidence)
        lost: list[HarborError] = []
        try:
            answer = self._ask(key, record, record.refresh_token, lost)
        except TokenResponseError as error:
            if error.error != "invalid_grant":
                self._clear(name)
                raise self._refusal(key, error) from None
            begun_before = earlier if interrupted else intent if lost else None
            return self._ended(key, known, error, begun_before)
        except TransportError as error:
            if not error.ambiguous and not interrupted:
                self._clear(name)
            raise
        except InsecureEndpointError:
            self._clear(name)
            raise
        return self._store(key, known, answer, begun, reason)

    def _ask(
        self, key: GrantKey, record: GrantRecord, refresh_token: Secret, lost: list[HarborError]
    ) -> TokenResponse:
        """Send the token, and send the same one again while an answer may be lost.

        Each attempt whose answer may be lost adds its failure to `lost`.
        """
        resource = self.resource_of(key)
        endpoint = TokenEndpoint(
            url=record.token_endpoint,
            client=client_of(record),
            resource=record.resource,
            parameters=record.token_parameters,
            encoding=record.token_encoding,
            scope_separator=record.scope_separator,
            mend=resource.quirks.token_response if resource else None,
        )
        first = self.monotonic()
        pauses = iter(_RESENDS)
        malformed = 0
        while True:
            try:
                return refresh_access_token(
                    self.transport,
                    endpoint,
                    refresh_token=refresh_token,
                    granted_scopes=record.granted_scopes,
                    clock=self.clock,
                )
            except TransportError as error:
                if not error.ambiguous or error.retry_after is not None:
                    raise
                failure: HarborError = error
            except MalformedResponseError as error:
                malformed += 1
                if malformed > _RESENDS_OF_MALFORMED:
                    raise
                failure = error
            lost.append(failure)
            pause = next(pauses, None)
            if pause is None or self.monotonic() + pause - first > _LAST_RESEND:
                raise failure
            if pause:
                self.sleep(pause)

    def _clear(self, name: str) -> None:
        """Forget the intent: the server has certainly not spent the token."""
        try:
            self.vault.apply([ClearIntent(name)])
        except VaultError as error:
            _log.warning("an intent could not be cleared: %s", error.message)

    def _refusal(self, key: GrantKey, error: TokenResponseError) -> HarborError:
        """Return what a definite refusal other than `invalid_grant` asks of whom."""
        if error.error == "invalid_client":
            # A refresh token is bound to its client (RFC 6749 §10.4), so a new
            # registration does not help before the next sign-in.
            cause = "the server no longer knows the client it was made with"
            return login_required(self.vault, key, "client", cause)
        error.next_step = error.next_step or f"Run: harbor charter {self.vault.short_name(key)}"
        return error

    # --- after ----------------------------------------------------------------

    def _store(
        self, key: GrantKey, known: Known, answer: TokenResponse, begun: float, reason: str
    ) -> Refreshed:
        old, generation = known
        name, now = grant_record_name(key), self.clock()
        record = attrs.evolve(
            old,
            access_token=answer.access_token,
            refresh_token=answer.refresh_token or old.refresh_token,
            token_type=answer.token_type,
            granted_scopes=answer.scopes,
            expires_at=answer.expires_at,
            obtained_at=now,
        )
        told = history.event(
            name,
            now,
            history.REFRESH,
            before=history.fingerprint(old.refresh_token),
            after=history.fingerprint(record.refresh_token),
            reason=reason,
            seconds=round(now - begun, 3),
        )
        failure: VaultError | None = None
        for pause in _STORE_PAUSES:
            if pause:
                self.sleep(pause)
            try:
                also = (ClearIntent(name), told)
                stored = self.vault.store_grant(key, record, generation=generation, also=also)
                return Refreshed(record, stored)
            except VaultConflictError:
                try:
                    refuted = self._refuted(key, old)
                    if refuted is None:
                        return self._overtaken(key, record)
                    generation = refuted
                except VaultError as error:
                    failure = error
            except VaultError as error:
                failure = error
        _log.error("a refreshed pair could not be stored: %s", failure.message if failure else "")
        self._spill(key, record, generation + 1)
        return Refreshed(record, generation + 1, stored=False)

    def _refuted(self, key: GrantKey, old: GrantRecord) -> int | None:
        """Return the generation that calls the token just accepted refused, if that is stored.

        Two refreshes at once, which no lease allows, would write it; the pair
        that was won must not be lost to the refusal of the other.
        """
        found = self.vault.grant(key)
        if found is None or found[0].state != "dead":
            return None
        return found[1] if found[0].refresh_token == old.refresh_token else None

    def _spill(self, key: GrantKey, record: GrantRecord, generation: int) -> None:
        """Write the pair, sealed, beside the vault that would not take it."""
        try:
            self.vault.spill(key, record, generation)
        except (VaultError, OSError) as error:
            _log.error("nor could it be written beside it (%s)", type(error).__name__)

    def _overtaken(self, key: GrantKey, record: GrantRecord) -> Refreshed:
        """Let a person's sign-in or logout win over this refresh."""
        try:
            return Refreshed(*self._read(key))
        except LoginRequiredError as error:
            if error.cause == "absent":
                self._revoke(key, record)
            raise

    def _revoke(self, key: GrantKey, record: GrantRecord) -> None:
        """End the pair that nobody has a grant for any more (granola PR #1653)."""
        resource = self.resource_of(key)
        try:
            revoke(
                self.transport,
                resource.revocation if resource else Revocation(),
                endpoint=record.revocation_endpoint,
                client=client_of(record),
                refresh_token=record.refresh_token,
                access_token=record.access_token,
            )
        except HarborError as error:
            _log.warning("a pair that was logged out could not be revoked: %s", error.message)

    def _ended(
        self, key: GrantKey, known: Known, error: TokenResponseError, earlier: Intent | None
    ) -> Refreshed:
        """Judge an `invalid_grant`: adopt a newer generation, or mark the grant dead.

        The bytes stay in the vault until the next sign-in.
        """
        record, generation = known
        current = self._read(key)
        if current[1] != generation:
            return Refreshed(*current)
        cause = _cause(error, earlier)
        name = grant_record_name(key)
        dead = attrs.evolve(record, state="dead", dead_cause=cause)
        token = history.fingerprint(record.refresh_token)
        told = history.event(name, self.clock(), history.DEAD, cause=cause, token=token)
        try:
            self.vault.store_grant(key, dead, generation=generation, also=(ClearIntent(name), told))
        except VaultConflictError:
            return Refreshed(*self._read(key))
        raise login_required(self.vault, key, "dead", cause)


def _cause(error: TokenResponseError, earlier: Intent | None) -> str:
    """Return one sentence's worth of why a grant is dead."""
    if earlier is not None:
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(earlier.started_at))
        return (
            f"a refresh was interrupted on {when} (process {earlier.owner}), and the server "
            "takes its answer, which never arrived, for the only valid one"
        )
    detail = f" ({error.error_description})" if error.error_description else ""
    return f"the server refused the refresh token{detail}"

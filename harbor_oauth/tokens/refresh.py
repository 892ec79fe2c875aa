"""One refresh of one grant, such that no crash, race or fault can lose it.

The order is what protects: the lease, so that one process asks; the re-read,
so that nobody asks for what is there; the intent, which proves that the vault
can be written and stays behind as evidence; the request; and one transaction
that stores the new pair and clears the intent. The lease outlasts the request.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Final, TypeAlias

import attrs

from harbor_oauth.errors import (
    AccountMismatchError,
    HarborError,
    InsecureEndpointError,
    LoginRequiredError,
    TokenResponseError,
    TransportError,
    VaultConflictError,
    VaultError,
)
from harbor_oauth.flows.account import account_of
from harbor_oauth.flows.tokens import refresh_access_token
from harbor_oauth.protocol.http import Transport
from harbor_oauth.protocol.token import TokenResponse
from harbor_oauth.providers import Resource
from harbor_oauth.secret import Secret
from harbor_oauth.tokens import history
from harbor_oauth.tokens.asking import ask_while_lost
from harbor_oauth.tokens.dpop import DPoPNonces
from harbor_oauth.tokens.leasing import Leasing, Refreshed
from harbor_oauth.tokens.server import RecordedServer
from harbor_oauth.tokens.status import absent, login_required
from harbor_oauth.vault import (
    Append,
    ClearIntent,
    GrantKey,
    GrantRecord,
    Intent,
    PutIntent,
    Vault,
    grant_record_name,
)

__all__ = ["Refresh", "Usable"]

_log: Final = logging.getLogger("harbor_oauth.tokens")

_STORE_PAUSES: Final = (0.0, 0.2, 1.0)

Known: TypeAlias = tuple[GrantRecord, int]
Usable: TypeAlias = Callable[[GrantRecord, int], bool]


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
        nonces: What servers want in proofs of possession (RFC 9449 §8).
    """

    vault: Vault
    transport: Transport
    resource_of: Callable[[GrantKey], Resource | None] = lambda _: None
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    entropy: Callable[[int], bytes] = os.urandom
    nonces: DPoPNonces = attrs.field(factory=DPoPNonces)

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

        def settled(known: Known) -> Refreshed | None:
            return Refreshed(*known) if is_usable(*known) else None

        leased = Leasing(self.vault, self.clock, self.monotonic, self.sleep, self.entropy)
        return leased(
            key,
            lambda: self._read(key),
            settled,
            lambda known: self._under_lease(key, known, reason),
        )

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
            if record.grant_type is not None:
                cause = "it is renewed by the program that declares it, and by no other"
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
                self._clear(name, _told(name, self.clock(), error))
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
        server = self._server(key, record)
        transport, endpoint = server.transport, server.endpoint
        return ask_while_lost(
            lambda: refresh_access_token(
                transport,
                endpoint,
                refresh_token=refresh_token,
                granted_scopes=record.granted_scopes,
                clock=self.clock,
            ),
            monotonic=self.monotonic,
            sleep=self.sleep,
            lost=lost,
        )

    def _server(self, key: GrantKey, record: GrantRecord) -> RecordedServer:
        return RecordedServer(
            record, self.resource_of(key), self.transport, self.nonces, self.clock, self.entropy
        )

    def _clear(self, name: str, *told: Append) -> None:
        """Forget the intent: the server has certainly not spent the token."""
        try:
            self.vault.apply([ClearIntent(name), *told])
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
        account = account_of(self.resource_of(key), answer)
        if account and old.account_id and account != old.account_id:
            self._clear(name)
            grant = str(self.vault.short_name(key))
            raise AccountMismatchError(grant=grant, expected=old.account_id, found=account)
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
        try:
            self._server(key, record).revoke()
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


def _told(name: str, now: float, error: TokenResponseError) -> Append:
    """Return the line of a refusal that does not end the grant."""
    said = f": {error.error_description}" if error.error_description else ""
    return history.event(name, now, history.REFUSED, reason=f"{error.error or 'no code'}{said}")


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

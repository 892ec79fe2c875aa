"""TokenSource: the only way to an access token.

A valid token comes from memory. Everything else happens once per grant, on a
pool of threads, and callers that ask meanwhile share its result: a slow grant
delays no other, and a caller that gives up stops no refresh.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

from harbor_oauth.errors import (
    FlowCancelledError,
    LoginRequiredError,
    TransportError,
    VaultConflictError,
    VaultError,
)
from harbor_oauth.protocol.http import Transport
from harbor_oauth.providers import Resource
from harbor_oauth.secret import Secret
from harbor_oauth.tokens import history
from harbor_oauth.tokens.access_token import AccessToken
from harbor_oauth.tokens.held import Held, end_of, hold
from harbor_oauth.tokens.leasing import Refreshed
from harbor_oauth.tokens.pool import Job, RefreshPool
from harbor_oauth.tokens.refresh import Refresh
from harbor_oauth.tokens.status import absent, login_required
from harbor_oauth.vault import ClearIntent, GrantKey, GrantRecord, Vault, grant_record_name

if TYPE_CHECKING:
    from harbor_oauth.tokens.unattended import Unattended

__all__ = ["TokenSource"]

_LOOK: Final = 1.0
"""Seconds between looks at whether another process wrote the vault."""

_FORCED: Final = 60.0
"""Seconds between two refreshes that a resource server's 401 causes."""

_COOL_DOWN: Final = 5.0
"""Seconds in which a token that is still good is not tried to be refreshed again."""

_VAULT: Final = "the vault"
"""What a job asks that looks at what is stored."""


class TokenSource:
    """Hands out valid access tokens of the grants in a vault.

    Thread-safe; a child made by fork starts with nothing in memory.

    Args:
        vault: Where the grants are.
        transport: How refresh requests are sent.
        resource_of: Returns a grant's resource, or None if its plugin is gone;
            called only when a refresh is due.
        unattended: The grants that need no person: instead of being refreshed,
            they are asked for anew.
        clock: Unix seconds, UTC.
        monotonic: Seconds that never go back.
        sleep: Waits that many seconds, between attempts.
        entropy: A source of random bytes.

    Attributes:
        epoch: Changes whenever the vault was seen to have changed.
    """

    def __init__(
        self,
        vault: Vault,
        transport: Transport,
        *,
        resource_of: Callable[[GrantKey], Resource | None] = lambda _: None,
        unattended: Unattended | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Read nothing yet."""
        self._vault = vault
        self._refresh = Refresh(vault, transport, resource_of, clock, monotonic, sleep, entropy)
        self._unattended = unattended
        self._clock = clock
        self._monotonic = monotonic
        self._jitter = int.from_bytes(entropy(2), "big") / 0xFFFF
        self._drop_memory()
        _SOURCES.add(self)

    def _drop_memory(self) -> None:
        """Start with nothing; a lock may have been held when a child was made."""
        self._guard = threading.Lock()
        self._pool = RefreshPool()
        self._held: dict[GrantKey, Held] = {}
        self._flights: dict[GrantKey, Future[AccessToken]] = {}
        self._stale: set[GrantKey] = set()
        self._unstored: dict[GrantKey, Refreshed] = {}
        self._forced_at: dict[GrantKey, float] = {}
        self._cool_until: dict[GrantKey, float] = {}
        self._version: int | None = None
        self.epoch = 0
        self._look_at = 0.0

    # --- asking ---------------------------------------------------------------

    def token(self, key: GrantKey, *, life: float = 0.0) -> AccessToken:
        """Return a valid access token.

        Args:
            key: The grant.
            life: How many seconds it should still live; at most half its life
                is ever asked for.

        Raises:
            LoginRequiredError: There is no such grant, or it cannot be refreshed.
            TokenResponseError: The server refused for a reason of the set-up.
            TransportError: The refresh failed for now; the grant is intact.
            VaultError: The vault could not be read or written.
        """
        return self.in_memory(key, life=life) or self._flight(key, life=life).result()

    def future(self, key: GrantKey, *, life: float = 0.0) -> Future[AccessToken]:
        """Return the token to come; cancelling it cancels nothing for others."""
        token = self.in_memory(key, life=life)
        if token is None:
            return self._flight(key, life=life)
        future: Future[AccessToken] = Future()
        future.set_result(token)
        return future

    def in_memory(self, key: GrantKey, *, life: float = 0.0) -> AccessToken | None:
        """Return a valid token that can be had without waiting, or None."""
        held = self._current(key)
        if held is None or held.is_due(self._clock(), self._monotonic(), life=life):
            return None
        return held.token

    def rejected(self, key: GrantKey, access_token: Secret) -> bool:
        """Report that a resource server answered 401 to a token.

        The grant is refreshed once for all who hold that token, and not at all
        if a newer one is stored. A server that refuses whatever it is given
        causes one refresh a minute.

        Args:
            key: The grant.
            access_token: The token that was refused.

        Returns:
            Whether `token` now gives another one.

        Raises:
            LoginRequiredError: It cannot be refreshed.
            TokenResponseError: The server refused for a reason of the set-up.
            TransportError: The refresh failed for now; the grant is intact.
            VaultError: The vault could not be read or written.
        """
        return self._flight(key, access_token).result().secret != access_token

    def allowed_origins(self, key: GrantKey) -> tuple[str, ...]:
        """Return the origins a grant's token may be sent to; none without such a grant.

        Raises:
            VaultError: The vault could not be read.
        """
        unattended = self._declared(key)
        if unattended is not None:
            return unattended.allowed_origins(key)
        held = self._current(key)
        if held is not None:
            return held.record.allowed_origins
        found = self._vault.grant(key)
        return found[0].allowed_origins if found else ()

    def dpop_key(self, key: GrantKey) -> Secret | None:
        """Return the key a grant's tokens are bound to (RFC 9449), as PEM, if they are.

        Raises:
            VaultError: The vault could not be read.
        """
        held = self._current(key)
        if held is not None:
            return held.record.dpop_key
        found = self._vault.grant(key)
        return found[0].dpop_key if found else None

    def forget(self, key: GrantKey) -> None:
        """Drop what is in memory, after a person signed in or out."""
        with self._guard:
            self.epoch += 1
            for memory in (self._held, self._unstored, self._forced_at, self._cool_until):
                memory.pop(key, None)

    def settle(self) -> None:
        """Store what the vault would not take before.

        Raises:
            VaultError: It still does not; the pair is in memory, and beside the
                vault if that could be written.
        """
        for key in list(self._unstored):
            self._store_again(key)

    def _declared(self, key: GrantKey) -> Unattended | None:
        """Return what renews a grant that needs no person; None for other grants."""
        unattended = self._unattended
        return unattended if unattended is not None and key in unattended else None

    # --- memory ---------------------------------------------------------------

    def _current(self, key: GrantKey) -> Held | None:
        """Return what is in memory, due or not, unless somebody wrote the vault since."""
        held = self._held.get(key)
        if held is None:
            return None
        now = self._monotonic()
        if now >= self._look_at:
            self._look(now)
        # Asked first whether there is any: most of a look-up's cost is the key's hash.
        return None if self._stale and key in self._stale else held

    def _look(self, now: float) -> None:
        """Find out whether anybody else wrote the vault, at most once a second."""
        self._look_at = now + _LOOK
        try:
            version = self._vault.storage.data_version()
        except VaultError:
            return  # what is in memory is good until it ends, vault or no vault
        if version != self._version:
            self._version = version
            self._stale.update(self._held)
            self.epoch += 1

    def _hold(self, key: GrantKey, record: GrantRecord, generation: int) -> Held:
        held = self._held.get(key)
        if held is None or (held.generation, held.record) != (generation, record):
            # Only what is new starts the clocks anew.
            held = hold(
                key,
                record,
                generation,
                wall=self._clock(),
                monotonic=self._monotonic(),
                jitter=self._jitter,
            )
            self._held[key] = held
        self._stale.discard(key)
        return held

    # --- one flight for all ---------------------------------------------------

    def _flight(
        self, key: GrantKey, refused: Secret | None = None, life: float = 0.0
    ) -> Future[AccessToken]:
        """Return the running work on a grant, or start it."""
        if self._pool.is_here:
            # What obtains one grant's token may ask for another's. It waits for no turn,
            # which the pool may never have; the vault's lease keeps the work single.
            return self._at_once(key, refused, life)
        while True:
            with self._guard:
                future = self._flights.get(key)
                if future is None:
                    future = Future()
                    future.set_running_or_notify_cancel()  # from now on it cannot be cancelled
                    self._start(key, self._job(key, future, refused, life))
                    # Known only once it runs: what nothing finishes keeps every caller waiting.
                    self._flights[key] = future
                    return future
            if refused is None:
                return future
            # What flies may have begun before the token was refused.
            token = future.result()
            if token.secret != refused:
                return future

    def _at_once(self, key: GrantKey, refused: Secret | None, life: float) -> Future[AccessToken]:
        """Do the work on a grant on the calling thread."""
        future: Future[AccessToken] = Future()
        job: Job | None = self._job(key, future, refused, life)
        while job is not None:
            job = job.work()
        return future

    def _start(self, key: GrantKey, job: Job) -> None:
        try:
            self._pool.run(job)
        except RuntimeError:  # no thread can be started
            raise TransportError(
                f"The refresh of {key} could not be started: this process cannot start a thread.",
                next_step="Try again; the sign-in is intact. Raise the limit of threads or"
                " memory if it happens again.",
                ambiguous=False,
            ) from None

    def _job(
        self, key: GrantKey, future: Future[AccessToken], refused: Secret | None, life: float
    ) -> Job:
        """Return the work on a grant: first a look at the vault, then perhaps at its server."""

        def look() -> Job | None:
            try:
                held = self._read(key)
                if held is not None and self._will_do(key, held, refused, life):
                    self._landed(key, future, held.token)
                    return None
                return Job(self._endpoint(key, held), lambda: renew(held))
            except BaseException as error:  # noqa: BLE001 - the waiting callers raise it
                self._landed(key, future, error)
                return None

        def renew(held: Held | None) -> None:
            try:
                token = self._renew(key, held, refused).token
            except BaseException as error:  # noqa: BLE001 - the waiting callers raise it
                self._landed(key, future, error)
            else:
                self._landed(key, future, token)

        return Job(_VAULT, look)

    def _endpoint(self, key: GrantKey, held: Held | None) -> str:
        """Return whom a renewal asks."""
        unattended = self._declared(key)
        if unattended is not None:
            return unattended.asked(key)
        return held.record.token_endpoint if held is not None else str(key)

    def _landed(
        self, key: GrantKey, future: Future[AccessToken], outcome: AccessToken | BaseException
    ) -> None:
        with self._guard:
            if self._flights.get(key) is future:
                del self._flights[key]
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    def _will_do(self, key: GrantKey, held: Held, refused: Secret | None, life: float) -> bool:
        """Say whether a token is handed out as it is."""
        now = self._monotonic()
        if refused is None and not self._is_due(held, life):
            return True
        if refused is not None and held.token.secret != refused:
            return True
        forced = now < self._forced_at.get(key, -_FORCED) + _FORCED
        # A server that refuses whatever it is given is not indulged. But in the second half
        # of its life a token may have ended there: some count whole seconds, and clocks differ.
        if refused is not None and forced and not self._is_due(held, math.inf):
            return True
        cooling = now < self._cool_until.get(key, 0.0)
        return refused is None and cooling and not self._has_ended(held)

    def _renew(self, key: GrantKey, held: Held | None, refused: Secret | None) -> Held:
        def is_usable(record: GrantRecord, generation: int) -> bool:
            if refused is not None:
                return record.access_token != refused
            newer = held is None or generation != held.generation
            return newer and not self._ended(record)

        if not threading.main_thread().is_alive():
            # Many may have waited for their turn, and the program's end waits for all of them.
            raise FlowCancelledError("The program ended before the token was refreshed.")
        reason = history.REJECTED if refused is not None else "expiry" if held else "absent"
        renew = self._declared(key) or self._refresh
        try:
            done = renew(key, is_usable, reason=reason)
        except LoginRequiredError:
            self._held.pop(key, None)
            raise
        except (TransportError, VaultError) as error:
            self._cool_until[key] = self._monotonic() + (error.retry_after or _COOL_DOWN)
            if refused is None and held is not None and not self._has_ended(held):
                return held  # due, not ended: good for now
            raise
        if refused is not None:
            self._forced_at[key] = self._monotonic()
        if not done.stored:
            self._unstored[key] = done
        return self._hold(key, done.record, done.generation)

    def _read(self, key: GrantKey) -> Held | None:
        """Take the newest generation into memory: unstored, spilled or stored.

        None only for a grant that needs no person, which is asked for then.
        """
        if self._version is None:  # what is read from here on is at least that new
            with contextlib.suppress(VaultError):
                self._version = self._vault.storage.data_version()
        self._store_unstored(key)
        unstored = self._unstored.get(key)
        if unstored is not None:
            return self._hold(key, unstored.record, unstored.generation)
        self._vault.adopt_spilled(key)
        unattended = self._declared(key)
        found = unattended.stored(key) if unattended else self._vault.grant(key)
        if found is None and unattended:
            self._held.pop(key, None)
            return None
        if found is None:
            self._held.pop(key, None)
            raise absent(str(self._vault.short_name(key)))
        record, generation = found
        if record.state == "dead":
            self._held.pop(key, None)
            raise login_required(self._vault, key, "dead", record.dead_cause)
        return self._hold(key, record, generation)

    def _store_unstored(self, key: GrantKey) -> None:
        if key in self._unstored:
            try:
                self._store_again(key)
            except VaultError:
                return  # served from memory, tried again next time

    def _store_again(self, key: GrantKey) -> None:
        unstored = self._unstored.get(key)
        if unstored is None:
            return
        # A conflict: a person signed in or out meanwhile, or the spilled copy was adopted.
        with contextlib.suppress(VaultConflictError):
            self._vault.store_grant(
                key,
                unstored.record,
                generation=unstored.generation - 1,
                also=(ClearIntent(grant_record_name(key)),),
            )
        self._unstored.pop(key, None)

    # --- clocks ---------------------------------------------------------------

    def _is_due(self, held: Held, life: float) -> bool:
        return held.is_due(self._clock(), self._monotonic(), life=life)

    def _has_ended(self, held: Held) -> bool:
        return held.has_ended(self._clock(), self._monotonic())

    def _ended(self, record: GrantRecord) -> bool:
        return self._clock() >= end_of(record)


_SOURCES: Final[weakref.WeakSet[TokenSource]] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for source in list(_SOURCES):
        source._drop_memory()  # noqa: SLF001 - the same module's business


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_after_fork_in_child)

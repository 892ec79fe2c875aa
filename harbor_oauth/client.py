"""Harbor: everything below, composed; each part is a parameter.

The functions of the top-level module are methods of one default instance.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import attrs

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.protocol.http import send
from harbor_oauth.providers.discovered import DISCOVERED_RESOURCE
from harbor_oauth.sign_ins import HarborSignIns
from harbor_oauth.tokens.history import TROUBLE, event
from harbor_oauth.tokens.logout import LogoutResult, log_out, take_back
from harbor_oauth.tokens.sending import Sending
from harbor_oauth.tokens.status import GrantStatus, describe
from harbor_oauth.use import Use
from harbor_oauth.vault import (
    DEFAULT_ACCOUNT,
    Event,
    GrantKey,
    grant_record_name,
    parse_grant_name,
)

if TYPE_CHECKING:
    # Given to whoever presents a sign-in, and named here for front ends.
    from harbor_oauth.login import DeviceSession as DeviceSession  # noqa: PLC0414 - says that it is meant
    from harbor_oauth.login import LoginSession as LoginSession  # noqa: PLC0414 - as above
    from harbor_oauth.protocol.http import HttpRequest, HttpResponse
    from harbor_oauth.session import GrantSession
    from harbor_oauth.settings import ServerEntry as ServerEntry  # noqa: PLC0414 - as above
    from harbor_oauth.tokens import AccessToken as AccessToken  # noqa: PLC0414 - as above

__all__ = ["GrantStatus", "Harbor", "LogoutResult"]

_UNAUTHORIZED: Final = 401
_OURS: Final = frozenset({"authorization", "dpop"})


class Harbor(HarborSignIns):
    """Signs people in, keeps their grants, hands out valid tokens.

    Thread-safe. Nothing is opened, read or asked before it is needed, and
    nothing is interactive but `login`.

    Args:
        vault: Where grants are kept; the user's own vault when left out.
        transport: How requests are sent: any callable from `HttpRequest` to
            `HttpResponse`.
        clients: Clients of the program's own, by ``provider`` or
            ``provider/resource``.
        tokens: Tokens that answer first, by grant name; they are never stored
            or refreshed, and no vault is opened for them.
        app: Keep an own vault under this name instead of the user's shared one.
        browser: Opens a URL and says whether it could; the system's when left out.
        clock: Unix seconds, UTC.
        monotonic: Seconds that never go back.
        sleep: Waits that many seconds, between attempts to refresh.
        entropy: A source of random bytes.
        providers: Providers in addition to, or in place of, the installed ones.
        registry: The installed providers.
        environ: The environment; the process's own when left out.
        home: The configuration directory; `HARBOR_HOME` or ``~/.harbor`` when
            left out.
        passphrase: Asks for the vault's passphrase, where it has one.
        unattended: Grants that need no person, by name: their tokens are
            obtained when they are asked for, and kept in the vault.
        client_metadata_url: The URL of the program's own client ID metadata
            document, in place of the configuration's.
        trusted_providers: Names of installed providers of others that the
            program agrees to use, besides those the configuration names.
    """

    def __enter__(self) -> Self:
        """Return itself; the end of the block closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the vault, as `close` does."""
        self.close()

    def __copy__(self) -> Self:
        """Return itself: two of it would hold each grant twice."""
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Return itself, as a copy does."""
        return self

    # --- use ------------------------------------------------------------------

    def request(self, grant: str, request: HttpRequest) -> HttpResponse:
        """Send a request with a grant's token; a 401 costs one refresh and one repetition.

        Raises:
            WrongResourceError: The URL is not one of the grant's origins;
                nothing is sent.
            LoginRequiredError: A person has to sign in.
            TransportError: The server is down.
        """
        sending = self.sending(grant)
        while True:
            response = send(
                self.transport, _with(request, sending.headers(request.method, request.url))
            )
            if not sending.again(self._status(grant, response), response.headers):
                return response

    def _status(self, grant: str, response: HttpResponse) -> int:
        """Return an answer's status; 401 where the provider knows it for a refused token."""
        name = parse_grant_name(grant)
        try:
            is_auth_error = (
                self.provider(name.provider).resource(name.resource).quirks.is_auth_error
            )
        except ConfigurationError:  # its plugin is gone; the grant works without
            return response.status
        return _UNAUTHORIZED if is_auth_error and is_auth_error(response) else response.status

    def sending(self, grant: str, *, interactive: bool = False) -> Sending:
        """Return what sends one request with a grant's token through any HTTP client.

        Args:
            grant: ``provider[/resource][@account]``.
            interactive: Whether a person may be asked: to sign in where the
                server refuses what there is, and to grant the scopes it wants.
        """
        return Sending(Use(self, grant, interactive=interactive))

    def session(self, grant: str) -> GrantSession:
        """Return a `requests_oauthlib.OAuth2Session` that sends a grant's token.

        It refreshes before expiry and after a 401, stores what it gets, and
        raises `WrongResourceError` for a URL outside the grant's origins.

        Args:
            grant: ``provider[/resource][@account]``.
        """
        from harbor_oauth.session import GrantSession  # noqa: PLC0415 - loads requests_oauthlib

        # Not lambdas: a session travels to another process as these names.
        return GrantSession(
            sending=functools.partial(self.sending, grant),
            check=functools.partial(self.check, grant),
        )

    # --- end ------------------------------------------------------------------

    def logout(self, grant: str, *, local_only: bool = False) -> LogoutResult:
        """Revoke a grant at its server, then forget it here.

        It is forgotten even if the server cannot be told; the result says so.

        Args:
            grant: ``provider[/resource][@account]``.
            local_only: Do not tell the server.

        Raises:
            LoginRequiredError: There is no such grant.
            VaultError: The vault could not be changed.
        """
        key = self._key(grant)
        result = log_out(
            self.vault,
            self.transport,
            key,
            self._resource_of(key),
            local_only=local_only,
            clock=self._clock,
            entropy=self._entropy,
        )
        self._tokens_of_vault.forget(key)
        return result

    def generation(self, grant: str) -> int:
        """Return which generation of a grant is stored, counted from 1; 0 for none.

        Args:
            grant: ``provider[/resource][@account]``.
        """
        key = self.vault.resolve(parse_grant_name(grant))
        return 0 if key is None else self.vault.grant_generation(key)

    def take_back(self, grant: str, generation: int) -> Callable[[], object] | None:
        """Forget a grant in one generation, which an operation stored that then failed.

        Args:
            grant: ``provider[/resource][@account]``.
            generation: What that operation stored; any other stays.

        Returns:
            What revokes its tokens at their server; None if nothing was forgotten.

        Raises:
            VaultError: The vault could not be changed.
        """
        key = self.vault.resolve(parse_grant_name(grant))
        if key is None:
            return None
        resource = self._resource_of(key)
        revoke = take_back(
            self.vault,
            self.transport,
            key,
            resource,
            generation,
            clock=self._clock,
            entropy=self._entropy,
        )
        self._tokens_of_vault.forget(key)
        return revoke

    # --- the same, awaited ------------------------------------------------------

    async def logout_async(self, grant: str, *, local_only: bool = False) -> LogoutResult:
        """Await `logout`, done in a thread."""
        import asyncio  # noqa: PLC0415 - as above

        return await asyncio.to_thread(self.logout, grant, local_only=local_only)

    # --- look -----------------------------------------------------------------

    def status(self) -> tuple[GrantStatus, ...]:
        """Describe every stored grant, sorted by name."""
        return tuple(status for key in self.vault.grants() if (status := describe(self.vault, key)))

    def history(self, grant: str, *, gone: bool = False) -> tuple[Event, ...]:
        """Return what happened to a grant, oldest first: sign-ins, refreshes, ends.

        It holds fingerprints of tokens, never a token, and reaches back 90 days.

        Args:
            grant: ``provider[/resource][@account]``.
            gone: Whether a grant that was forgotten may be meant, too.

        Raises:
            LoginRequiredError: There is no such grant.
        """
        key = self._named(grant) or self._past_key(grant) if gone else self._key(grant)
        return self.vault.history(key)

    def note_trouble(self, grant: str, why: str) -> None:
        """Keep in a grant's history why its server could not be used when it was asked.

        Args:
            grant: ``provider[/resource][@account]``.
            why: A clause, without a secret.

        Raises:
            LoginRequiredError: There is no such grant.
            VaultError: It could not be written.
        """
        name = grant_record_name(self._key(grant))
        self.vault.apply([event(name, self._clock(), TROUBLE, reason=why)])

    def _past_key(self, grant: str) -> GrantKey:
        """Return what a name would mean, had it a grant."""
        name = parse_grant_name(grant)
        resource = name.resource or DISCOVERED_RESOURCE
        if name.resource is None:
            with contextlib.suppress(ConfigurationError):  # it is not docked any more
                resource = self.provider(name.provider).resource().name
        return GrantKey(name.provider, resource, name.account or DEFAULT_ACCOUNT)

    def set_default_account(self, grant: str) -> None:
        """Let a provider's bare name mean this grant from now on.

        Args:
            grant: ``provider[/resource]@account``.

        Raises:
            LoginRequiredError: There is no such grant.
        """
        key = self._key(grant)
        self.vault.set_default(key)
        self._tokens_of_vault.forget(key)

    def rename_account(self, grant: str, label: str) -> GrantStatus:
        """Give a grant another account label; its history goes with it.

        Args:
            grant: ``provider[/resource][@account]``.
            label: The new label.

        Raises:
            LoginRequiredError: There is no such grant.
            VaultConflictError: It is being refreshed, or the label is taken.
        """
        key = self._key(grant)
        renamed = self.vault.rename_account(key, label)
        self._tokens_of_vault.forget(key)
        return self._described(renamed)


def _with(request: HttpRequest, fields: dict[str, str]) -> HttpRequest:
    """Return a request with these fields in place of any the caller set."""
    own = {name: value for name, value in request.headers.items() if name.lower() not in _OURS}
    return attrs.evolve(request, headers={**own, **fields})

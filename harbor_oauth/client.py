"""Harbor: everything below, composed; each part is a parameter.

The functions of the top-level module are methods of one default instance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from harbor_oauth.errors import BrowserError, LoginRequiredError
from harbor_oauth.parts import HarborParts
from harbor_oauth.providers import Provider
from harbor_oauth.tokens.access_token import AccessToken
from harbor_oauth.tokens.logout import LogoutResult, log_out
from harbor_oauth.tokens.origins import check_origin
from harbor_oauth.tokens.status import GrantStatus, absent, describe
from harbor_oauth.vault import DEFAULT_ACCOUNT, Event, GrantKey, parse_grant_name

if TYPE_CHECKING:
    from harbor_oauth.login import LoginSession
    from harbor_oauth.protocol.http import HttpRequest, HttpResponse
    from harbor_oauth.session import GrantSession

__all__ = ["GrantStatus", "Harbor", "LogoutResult"]

_UNAUTHORIZED: Final = 401
_DEFAULT_TIMEOUT: Final = 300.0


class Harbor(HarborParts):
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
    """

    # --- sign in --------------------------------------------------------------

    def begin_login(
        self,
        grant: str,
        *,
        account: str | None = None,
        scopes: Sequence[str] | None = None,
        provider: Provider | None = None,
        anew: bool = False,
    ) -> LoginSession:
        """Begin a sign-in and return it with its URL, for a front end to show.

        Args:
            grant: ``provider[/resource][@account]``.
            account: The account label, in place of the one in `grant`.
            scopes: What to ask for, in place of the default.
            provider: The provider, where it is not known by name yet.
            anew: Register a new client although one is stored.

        Raises:
            HarborError: See `LoginSession.begin`.
        """
        from harbor_oauth.login import ClientSources, LoginParts, LoginSession  # noqa: PLC0415 - late

        name = parse_grant_name(grant)
        provider = provider or self.provider(name.provider)
        resource = provider.resource(name.resource)
        key = GrantKey(provider.name, resource.name, account or name.account or DEFAULT_ACCOUNT)
        parts = LoginParts(
            vault=self.vault,
            transport=self.transport,
            clients=ClientSources(self.vault, self.settings, self._clients, self._clock),
            issuers_without_s256=self.settings.issuers_without_s256,
            client_name=self._app or "Harbor",
            clock=self._clock,
            monotonic=self._monotonic,
            entropy=self._entropy,
        )
        return LoginSession(parts, provider, resource, key, scopes=scopes).begin(anew=anew)

    def login(
        self,
        grant: str,
        *,
        account: str | None = None,
        scopes: Sequence[str] | None = None,
        provider: Provider | None = None,
        timeout: float = _DEFAULT_TIMEOUT,
        on_url: Callable[[str], None] | None = None,
    ) -> GrantStatus:
        """Sign a person in through the browser and keep the grant.

        A client registration that the server turns out to have forgotten is
        made once more.

        Args:
            grant: ``provider[/resource][@account]``.
            account: The account label, in place of the one in `grant`.
            scopes: What to ask for, in place of the default.
            provider: The provider, where it is not known by name yet.
            timeout: Seconds to wait for the person.
            on_url: Called with the URL before the browser opens; without it, a
                browser that cannot be opened is an error.

        Returns:
            The new grant's status.

        Raises:
            ConfigurationError: The provider or a client is missing.
            FlowError: Nobody finished the sign-in, or no browser could be opened.
            OAuthResponseError: The server or the person said no.
            ProtocolError: The server breaks a rule.
            TransportError: The server is down.
            VaultError: The grant could not be stored.
        """
        return self._sign_in(
            lambda anew: self.begin_login(
                grant, account=account, scopes=scopes, provider=provider, anew=anew
            ),
            timeout,
            on_url,
        )

    def _sign_in(
        self,
        begin: Callable[[bool], LoginSession],
        timeout: float,
        on_url: Callable[[str], None] | None,
    ) -> GrantStatus:
        from harbor_oauth.login.sign_in import sign_in  # noqa: PLC0415 - late

        record = sign_in(begin, lambda url: self._show(url, on_url), timeout)
        key = GrantKey(record.provider, record.resource_name, record.account_label)
        self._tokens_of_vault.forget(key)
        return self._described(key)

    def _show(self, url: str, on_url: Callable[[str], None] | None) -> None:
        if on_url is not None:
            on_url(url)
        if not self._open(url) and on_url is None:
            raise BrowserError(
                "No browser could be opened on this machine.",
                next_step="Set BROWSER, or pass on_url= to show the URL to the person.",
            )

    def _open(self, url: str) -> bool:
        if self._browser is not None:
            return self._browser(url)
        from harbor_oauth.login.browser import open_browser  # noqa: PLC0415 - late

        return open_browser(url, environ=self._environ)

    # --- use ------------------------------------------------------------------

    def token(self, grant: str) -> AccessToken:
        """Return a valid access token; never interactive.

        Args:
            grant: ``provider[/resource][@account]``.

        Raises:
            LoginRequiredError: A person has to sign in first.
            TransportError: It has to be refreshed, and the server is down.
            VaultError: The vault could not be read or written.
        """
        given = self._given_token(grant)
        return given or self._tokens_of_vault.token(self._key(grant))

    def rejected(self, grant: str, token: AccessToken) -> bool:
        """Report that a server answered 401 to a token, so that it is refreshed once.

        Returns:
            Whether `token` now gives another one. A server that refuses
            whatever it is given causes one refresh a minute.

        Raises:
            LoginRequiredError: It cannot be refreshed, or was given from outside.
            TransportError: The server is down; the grant is intact.
        """
        if self._given_token(grant) is not None:
            raise LoginRequiredError(
                f"The token given for {grant} was refused.",
                grant=grant,
                cause="given",
                next_step="Give a fresh one; a given token is never refreshed.",
            )
        return self._tokens_of_vault.rejected(self._key(grant), token.secret)

    def request(self, grant: str, request: HttpRequest) -> HttpResponse:
        """Send a request with a grant's token; a 401 costs one refresh and one repetition.

        Raises:
            WrongResourceError: The URL is not one of the grant's origins;
                nothing is sent.
            LoginRequiredError: A person has to sign in.
            TransportError: The server is down.
        """
        self._check(grant, request.url)
        token = self.token(grant)
        response = self.transport(_with_token(request, token))
        if response.status != _UNAUTHORIZED or not self.rejected(grant, token):
            return response
        return self.transport(_with_token(request, self.token(grant)))

    def session(self, grant: str) -> GrantSession:
        """Return a `requests_oauthlib.OAuth2Session` that sends a grant's token.

        It refreshes before expiry and after a 401, stores what it gets, and
        raises `WrongResourceError` for a URL outside the grant's origins.

        Args:
            grant: ``provider[/resource][@account]``.
        """
        from harbor_oauth.session import GrantSession  # noqa: PLC0415 - loads requests_oauthlib

        return GrantSession(
            token=lambda: self.token(grant),
            rejected=lambda token: self.rejected(grant, token),
            check=lambda url: self._check(grant, url),
        )

    def _given_token(self, grant: str) -> AccessToken | None:
        if grant not in self._given:  # neither `tokens` nor `environ` ever changes
            parse_grant_name(grant)
            value = self._tokens.get(grant) or self.settings.token_from_environment(grant)
            self._given[grant] = AccessToken(value, grant=grant) if value else None
        return self._given[grant]

    def _check(self, grant: str, url: str) -> None:
        if self._given_token(grant) is not None:
            name = parse_grant_name(grant)
            origins = self.provider(name.provider).resource(name.resource).allowed_origins
        else:
            origins = self._tokens_of_vault.allowed_origins(self._key(grant))
        check_origin(url, origins, grant, lambda: self._fitting(url))

    def _fitting(self, url: str) -> str:
        """Say which stored grant a URL is for, if any."""
        from harbor_oauth.protocol.urls import origin  # noqa: PLC0415 - late

        fits = [
            str(self.vault.short_name(key))
            for key in self.vault.grants()
            if (found := self.vault.grant(key)) and origin(url) in found[0].allowed_origins
        ]
        return f"Use the grant {fits[0]}." if fits else "No stored grant is for that origin."

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
        )
        self._tokens_of_vault.forget(key)
        return result

    # --- the same, awaited ------------------------------------------------------

    async def login_async(
        self,
        grant: str,
        *,
        account: str | None = None,
        scopes: Sequence[str] | None = None,
        provider: Provider | None = None,
        timeout: float = _DEFAULT_TIMEOUT,  # noqa: ASYNC109 - the person's time, not the task's
        on_url: Callable[[str], None] | None = None,
    ) -> GrantStatus:
        """Await `login`, done in a thread; cancelling the task closes the port."""
        import asyncio  # noqa: PLC0415 - costs more than all the rest of this module

        begun: list[LoginSession] = []

        def begin(anew: bool) -> LoginSession:  # noqa: FBT001 - as sign_in calls it
            begun.append(
                self.begin_login(
                    grant, account=account, scopes=scopes, provider=provider, anew=anew
                )
            )
            return begun[-1]

        try:
            return await asyncio.to_thread(self._sign_in, begin, timeout, on_url)
        except asyncio.CancelledError:
            for session in begun:
                session.cancel()
            raise

    async def token_async(self, grant: str) -> AccessToken:
        """Await `token`; cancelling the task stops no refresh that others wait for."""
        import asyncio  # noqa: PLC0415 - as above

        given = self._given_token(grant)
        if given is not None:
            return given
        key = self._known_key(grant)
        if key is None:
            key = await asyncio.to_thread(self._key, grant)
        return await asyncio.wrap_future(self._tokens_of_vault.future(key))

    async def logout_async(self, grant: str, *, local_only: bool = False) -> LogoutResult:
        """Await `logout`, done in a thread."""
        import asyncio  # noqa: PLC0415 - as above

        return await asyncio.to_thread(self.logout, grant, local_only=local_only)

    # --- look -----------------------------------------------------------------

    def status(self) -> tuple[GrantStatus, ...]:
        """Describe every stored grant, sorted by name."""
        return tuple(status for key in self.vault.grants() if (status := describe(self.vault, key)))

    def grant_status(self, grant: str) -> GrantStatus | None:
        """Describe one stored grant, or return None."""
        key = self.vault.resolve(parse_grant_name(grant))
        return describe(self.vault, key) if key else None

    def history(self, grant: str) -> tuple[Event, ...]:
        """Return what happened to a grant, oldest first: sign-ins, refreshes, ends.

        It holds fingerprints of tokens, never a token, and reaches back 90 days.

        Args:
            grant: ``provider[/resource][@account]``.

        Raises:
            LoginRequiredError: There is no such grant.
        """
        return self.vault.history(self._key(grant))

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

    def needs_no_token(self, provider: Provider, resource: str | None = None) -> bool:
        """Ask a resource's server whether it answers without a token.

        Raises:
            ConfigurationError: It wants one, and names no authorization server.
            TransportError: It is down.
        """
        from harbor_oauth.flows import discover  # noqa: PLC0415 - late

        return (
            discover(
                self.transport,
                provider.resource(resource),
                issuers_without_s256=self.settings.issuers_without_s256,
            )
            is None
        )

    def _described(self, key: GrantKey) -> GrantStatus:
        status = describe(self.vault, key)
        if status is None:
            raise absent(str(key))  # somebody logged out in this very moment
        return status

    def _known_key(self, grant: str) -> GrantKey | None:
        """Return what a name meant when the vault was last looked at."""
        known = self._keys.get(grant)
        return known[1] if known and known[0] == self._tokens_of_vault.epoch else None

    def _key(self, grant: str) -> GrantKey:
        key = self._known_key(grant)
        if key is None:
            epoch = self._tokens_of_vault.epoch
            key = self.vault.resolve(parse_grant_name(grant))
            if key is None:
                raise absent(grant)
            self._keys[grant] = (epoch, key)
        return key


def _with_token(request: HttpRequest, token: AccessToken) -> HttpRequest:
    headers = {k: v for k, v in request.headers.items() if k.lower() != "authorization"}
    return attrs.evolve(request, headers={**headers, "Authorization": token.authorization})

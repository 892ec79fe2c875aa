"""Signing in: what of Harbor asks a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

from harbor_oauth.errors import BrowserError, ConfigurationError
from harbor_oauth.providers import Provider, Resource
from harbor_oauth.token_access import HarborTokens
from harbor_oauth.tokens.status import GrantStatus, absent, describe
from harbor_oauth.vault import DEFAULT_ACCOUNT, GrantKey, parse_grant_name

if TYPE_CHECKING:
    from harbor_oauth.flows import Discovery
    from harbor_oauth.login import Asked, LoginParts, LoginSession
    from harbor_oauth.login.device import DeviceSession
    from harbor_oauth.login.prospects import Prospect
    from harbor_oauth.login.sign_in import Present
    from harbor_oauth.protocol.challenge import Challenge
    from harbor_oauth.vault import GrantRecord

__all__ = ["HarborSignIns"]

_DEFAULT_TIMEOUT: Final = 300.0

_FOUND_LIFE: Final = 60.0
"""Seconds that `needs_no_token` answers the same question of the next sign-in."""


class HarborSignIns(HarborTokens):
    """The sign-ins of `harbor_oauth.client.Harbor`."""

    def begin_login(
        self,
        grant: str,
        *,
        account: str | None = None,
        scopes: Sequence[str] | None = None,
        provider: Provider | None = None,
        challenge: Challenge | None = None,
        port: int | None = None,
        anew: bool = False,
    ) -> LoginSession:
        """Begin a sign-in and return it with its URL, for a front end to show.

        Args:
            grant: ``provider[/resource][@account]``.
            account: The account label, in place of the one in `grant`.
            scopes: What to ask for, in place of the default.
            provider: The provider, where it is not known by name yet.
            challenge: What the server answered to a request without a good
                token, which spares asking it.
            port: The loopback port to wait at; any free one, or what the
                provider demands, when left out.
            anew: Register a new client although one is stored.

        Raises:
            HarborError: See `LoginSession.begin`.
        """
        from harbor_oauth.login import LoginSession  # noqa: PLC0415 - late

        provider, resource, key, asked = self._what(
            grant, account, scopes, provider, challenge, port
        )
        return LoginSession(self._login_parts(), provider, resource, key, asked).begin(anew=anew)

    def begin_device_login(
        self,
        grant: str,
        *,
        account: str | None = None,
        scopes: Sequence[str] | None = None,
        provider: Provider | None = None,
        anew: bool = False,
    ) -> DeviceSession:
        """Begin a sign-in that a person confirms at another device (RFC 8628).

        For machines without a browser, where the server offers it.

        Args:
            grant: ``provider[/resource][@account]``.
            account: The account label, in place of the one in `grant`.
            scopes: What to ask for, in place of the default.
            provider: The provider, where it is not known by name yet.
            anew: Register a new client although one is stored.

        Raises:
            ConfigurationError: The server offers no device grant.
            HarborError: See `DeviceSession.begin`.
        """
        from harbor_oauth.login.device import DeviceSession  # noqa: PLC0415 - late

        provider, resource, key, asked = self._what(grant, account, scopes, provider)
        parts = self._login_parts()
        session = DeviceSession(parts, provider, resource, key, asked, sleep=self._sleep)
        return session.begin(anew=anew)

    def device_login(
        self,
        grant: str,
        on_codes: Callable[[DeviceSession], None],
        *,
        account: str | None = None,
        scopes: Sequence[str] | None = None,
        provider: Provider | None = None,
        timeout: float | None = None,
    ) -> GrantStatus:
        """Sign a person in at another device and keep the grant.

        Args:
            grant: ``provider[/resource][@account]``.
            on_codes: Shows the session's `user_code` and `verification_uri`.
            account: The account label, in place of the one in `grant`.
            scopes: What to ask for, in place of the default.
            provider: The provider, where it is not known by name yet.
            timeout: Seconds to wait; None waits until the codes end.

        Returns:
            The new grant's status.

        Raises:
            HarborError: See `DeviceSession.begin` and `DeviceSession.wait`.
        """
        begun = self.begin_device_login(grant, account=account, scopes=scopes, provider=provider)
        with begun as session:
            on_codes(session)
            return self._signed_in(session.wait(timeout))

    def _what(
        self,
        grant: str,
        account: str | None,
        scopes: Sequence[str] | None,
        provider: Provider | None,
        challenge: Challenge | None = None,
        port: int | None = None,
    ) -> tuple[Provider, Resource, GrantKey, Asked]:
        """Return whom to sign in to, what for, the grant's key and what to ask for."""
        from harbor_oauth.login import Asked  # noqa: PLC0415 - late

        if self._declared_key(grant) is not None:
            raise ConfigurationError(
                f"{grant} is declared as a grant without a person; nobody signs in to it.",
                next_step="Sign in under another name, or declare that grant under another.",
            )
        name = parse_grant_name(grant)
        provider = provider or self.provider(name.provider)
        resource = provider.resource(name.resource)
        key = GrantKey(provider.name, resource.name, account or name.account or DEFAULT_ACCOUNT)
        asked = Asked(
            scopes=None if scopes is None else tuple(scopes),
            ceiling=self.scope_ceiling(str(key), grant),
            challenge=challenge,
            found=None if challenge else self._just_found(key),
            port=port,
        )
        return provider, resource, key, asked

    def _login_parts(self) -> LoginParts:
        from harbor_oauth.login import ClientSources, LoginParts  # noqa: PLC0415 - late

        return LoginParts(
            vault=self.vault,
            transport=self.transport,
            clients=ClientSources(
                self.vault, self.settings, self._clients, self._clock, self.distributed_client
            ),
            issuers_without_s256=self.settings.issuers_without_s256,
            client_name=self._app or "Harbor",
            cache=self._metadata,
            nonces=self._nonces,
            clock=self._clock,
            monotonic=self._monotonic,
            entropy=self._entropy,
        )

    def prospect(self, provider: Provider, resource: Resource) -> Prospect:
        """Say how a sign-in to a resource would come by its client now; no server is asked.

        Raises:
            VaultError: The vault cannot be read.
        """
        from harbor_oauth.login.prospects import prospect  # noqa: PLC0415 - late

        return prospect(self._login_parts().clients, provider, resource)

    def scope_ceiling(self, *names: str) -> tuple[str, ...] | None:
        """Return all the scopes that the user allows a grant, or None for any.

        Args:
            names: The grant's names; ``provider`` stands for all of a
                provider's, ``provider/resource`` for all accounts.
        """
        ceilings = self.settings.scope_ceilings
        for name in names:
            account = name.partition("@")[0]
            for each in (name, account, account.partition("/")[0]):
                if each in ceilings:
                    return ceilings[each]
        return None

    def grant_status(self, grant: str) -> GrantStatus | None:
        """Describe one stored grant, or return None."""
        key = self.vault.resolve(parse_grant_name(grant))
        return describe(self.vault, key) if key else None

    @contextmanager
    def one_question(self) -> Iterator[None]:
        """Let one caller at a time ask the person; the next looks whether that helped it too."""
        with self._asking:
            yield

    def _just_found(self, key: GrantKey) -> Discovery | None:
        """Return what `needs_no_token` found out a moment ago, once."""
        ends, found = self._found.pop((key.provider, key.resource), (0.0, None))
        return found if self._monotonic() < ends else None

    def login(  # noqa: PLR0913 - each is a choice of its own
        self,
        grant: str,
        *,
        account: str | None = None,
        scopes: Sequence[str] | None = None,
        provider: Provider | None = None,
        timeout: float = _DEFAULT_TIMEOUT,
        on_url: Callable[[str], None] | None = None,
        present: Present | None = None,
        challenge: Challenge | None = None,
        port: int | None = None,
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
            present: Brings the sign-in to the person, in place of `on_url` and
                of opening the browser: given the `LoginSession`, it returns a
                context manager, which is left when the wait is over. A front
                end shows the URL there, and submits what a person pasted.
            challenge: What the server answered to a request without a good
                token, which spares asking it.
            port: The loopback port to wait at.

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
                grant,
                account=account,
                scopes=scopes,
                provider=provider,
                challenge=challenge,
                port=port,
                anew=anew,
            ),
            timeout,
            present or self._presenting(on_url),
        )

    def _sign_in(
        self,
        begin: Callable[[bool], LoginSession],
        timeout: float,
        present: Present,
    ) -> GrantStatus:
        from harbor_oauth.login.sign_in import sign_in  # noqa: PLC0415 - late

        return self._signed_in(sign_in(begin, present, timeout))

    def _presenting(self, on_url: Callable[[str], None] | None) -> Present:
        def present(session: LoginSession) -> AbstractContextManager[None]:
            self._show(session.url, on_url)
            return nullcontext()

        return present

    def _signed_in(self, record: GrantRecord) -> GrantStatus:
        key = GrantKey(record.provider, record.resource_name, record.account_label)
        self._tokens_of_vault.forget(key)
        return self._described(key)

    def _show(self, url: str, on_url: Callable[[str], None] | None) -> None:
        if on_url is not None:
            on_url(url)
        if not self.open_browser(url) and on_url is None:
            raise BrowserError(
                "No browser could be opened on this machine.",
                next_step="Set BROWSER, or pass on_url= to show the URL to the person.",
            )

    def open_browser(self, url: str) -> bool:
        """Open a sign-in's URL in the person's own browser, if there is one.

        Returns:
            Whether a browser took it.

        Raises:
            BrowserError: The URL must not be opened.
        """
        if self._browser is not None:
            return self._browser(url)
        from harbor_oauth.login.browser import open_browser  # noqa: PLC0415 - late

        return open_browser(url, environ=self._environ)

    def needs_no_token(self, provider: Provider, resource: str | None = None) -> bool:
        """Ask a resource's server whether it answers without a token.

        What it says is kept for the sign-in that follows.

        Raises:
            ConfigurationError: It wants one, and names no authorization server.
            TransportError: It is down.
        """
        from harbor_oauth.flows import discover  # noqa: PLC0415 - late

        asked = provider.resource(resource)
        found = discover(
            self.transport,
            asked,
            issuers_without_s256=self.settings.issuers_without_s256,
            cache=self._metadata,
        )
        if found is None:
            return True
        self._found[provider.name, asked.name] = (self._monotonic() + _FOUND_LIFE, found)
        return False

    def _described(self, key: GrantKey) -> GrantStatus:
        status = describe(self.vault, key)
        if status is None:
            raise absent(str(key))  # somebody logged out in this very moment
        return status

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
            return await asyncio.to_thread(self._sign_in, begin, timeout, self._presenting(on_url))
        except asyncio.CancelledError:
            for session in begun:
                session.cancel()
            raise

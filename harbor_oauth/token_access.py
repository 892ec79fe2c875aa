"""Tokens out of the vault: what of Harbor never asks anybody."""

from __future__ import annotations

from collections.abc import Mapping

from harbor_oauth.errors import LoginRequiredError
from harbor_oauth.parts import HarborParts
from harbor_oauth.tokens.access_token import AccessToken
from harbor_oauth.tokens.origins import check_origin
from harbor_oauth.tokens.status import absent
from harbor_oauth.vault import GrantKey, parse_grant_name

__all__ = ["HarborTokens"]


class HarborTokens(HarborParts):
    """The tokens of `harbor_oauth.client.Harbor`."""

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

    def token_now(self, grant: str, *, life: float = 0.0) -> AccessToken | None:
        """Return a valid token that can be had without waiting for anything, or None.

        Args:
            grant: ``provider[/resource][@account]``.
            life: How many seconds it should still live.
        """
        given = self._given_token(grant)
        if given is not None:
            return given
        key = self._known_key(grant)
        return None if key is None else self._tokens_of_vault.in_memory(key, life=life)

    async def rejected_async(self, grant: str, token: AccessToken) -> bool:
        """Await `rejected`, done in a thread."""
        import asyncio  # noqa: PLC0415 - as below

        return await asyncio.to_thread(self.rejected, grant, token)

    async def token_async(self, grant: str, *, life: float = 0.0) -> AccessToken:
        """Await `token`; cancelling the task stops no refresh that others wait for.

        Args:
            grant: ``provider[/resource][@account]``.
            life: How many seconds it should still live; at most half its life
                is ever asked for.
        """
        import asyncio  # noqa: PLC0415 - costs more than all the rest of this module

        given = self._given_token(grant)
        if given is not None:
            return given
        key = self._known_key(grant)
        if key is None:
            key = await asyncio.to_thread(self._key, grant)
        return await asyncio.wrap_future(self._tokens_of_vault.future(key, life=life))

    def proof(self, grant: str, token: AccessToken, method: str, url: str) -> Mapping[str, str]:
        """Return the header field that goes with a token bound to a key; none for others.

        Args:
            grant: ``provider[/resource][@account]``.
            token: The token to be sent.
            method: The request's method.
            url: Its absolute URL.
        """
        if not token.is_bound:
            return {}
        key = self._tokens_of_vault.dpop_key(self._key(grant))
        if key is None:  # signed in to anew meanwhile, without one
            return {}
        from harbor_oauth.tokens.keys import proof  # noqa: PLC0415 - signs

        nonce = self._resource_nonces.get(url)
        return proof(key, token, method, url, nonce=nonce, now=self._clock(), entropy=self._entropy)

    def take_nonce(self, url: str, nonce: str) -> None:
        """Take note of what a resource server wants in the next proof (RFC 9449 §9)."""
        self._resource_nonces.keep(url, nonce)

    def _given_token(self, grant: str) -> AccessToken | None:
        if grant not in self._given:  # neither `tokens` nor `environ` ever changes
            name = str(parse_grant_name(grant))
            value = self._tokens.get(name) or self.settings.token_from_environment(grant)
            self._given[grant] = AccessToken(value, grant=grant) if value else None
        return self._given[grant]

    def check(self, grant: str, url: str) -> None:
        """Refuse a URL that a grant's token must not be sent to.

        Raises:
            InsecureEndpointError: It is neither https nor loopback http.
            LoginRequiredError: There is no such grant.
            WrongResourceError: Its origin is not one of the grant's.
        """
        if self._given_token(grant) is not None:
            self.check_declared(grant, url)
        else:
            origins = self._tokens_of_vault.allowed_origins(self._key(grant))
            check_origin(url, origins, grant, lambda: self._fitting(url))

    def check_declared(self, grant: str, url: str) -> None:
        """Refuse a URL that a grant's provider does not declare, before there is a grant.

        Raises:
            InsecureEndpointError: It is neither https nor loopback http.
            ProviderNotFoundError: There is no such provider.
            WrongResourceError: Its origin is not one of the resource's.
        """
        name = parse_grant_name(grant)
        origins = self.provider(name.provider).resource(name.resource).allowed_origins
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

    def _known_key(self, grant: str) -> GrantKey | None:
        """Return what a name meant when the vault was last looked at."""
        known = self._keys.get(grant)
        return known[1] if known and known[0] == self._tokens_of_vault.epoch else None

    def _key(self, grant: str) -> GrantKey:
        key = self._known_key(grant)
        if key is None:
            epoch = self._tokens_of_vault.epoch
            key = self._named(grant)
            if key is None:
                raise absent(grant)
            self._keys[grant] = (epoch, key)
        return key

    def _named(self, grant: str) -> GrantKey | None:
        """Return what a name means: a grant the program declares, or a stored one."""
        return self._declared_key(grant) or self.vault.resolve(parse_grant_name(grant))

    def _declared_key(self, grant: str) -> GrantKey | None:
        """Return the key of a grant that the program declares, under any of its spellings."""
        if not self._unattended:
            return None
        from harbor_oauth.tokens.unattended import unattended_key  # noqa: PLC0415 - rarely

        key = unattended_key(grant)
        return key if key in {unattended_key(name) for name in self._unattended} else None

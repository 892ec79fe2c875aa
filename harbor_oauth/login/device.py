"""One sign-in at another device: a code to type, and polls until it is confirmed (RFC 8628).

For machines without a browser; only an explicit call starts it, and nothing is
opened here. Codes that a stranger sends are how people are tricked into
confirming somebody else's sign-in (RFC 8628 §5.4).
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Final, Self

import attrs

from harbor_oauth.errors import (
    ConfigurationError,
    MalformedResponseError,
    OAuthResponseError,
)
from harbor_oauth.flows import discover, look_up_account, register_client
from harbor_oauth.flows.device import authorize_device, poll_device_token
from harbor_oauth.flows.discovery import Discovery
from harbor_oauth.login.asked import Asked, LoginParts
from harbor_oauth.login.clients import ChosenClient, registered_client
from harbor_oauth.login.pending import scopes_to_ask, token_endpoint
from harbor_oauth.login.polling import Polling
from harbor_oauth.login.storing import Redemption, held_grant, store_login
from harbor_oauth.login.unchanged import check_unchanged
from harbor_oauth.protocol.device import DeviceAuthorization
from harbor_oauth.protocol.http import naming
from harbor_oauth.providers import Provider, Resource
from harbor_oauth.tokens.keys import assertions, new_dpop_key, proving
from harbor_oauth.vault import GrantKey, GrantRecord

__all__ = ["DeviceSession"]

# What a server answers for a client it has forgotten.
_CLIENT_REFUSED: Final = frozenset({"invalid_client", "unauthorized_client"})


@attrs.frozen
class _Begun:
    """The codes, and what they are redeemed by.

    Attributes:
        codes: What the person is shown.
        redemption: Where the device code is redeemed, and as whom.
        polling: How the redemption is waited for.
    """

    codes: DeviceAuthorization
    redemption: Redemption
    polling: Polling


class DeviceSession:
    """One sign-in of one account to one resource, confirmed at another device.

    Example:
        >>> with DeviceSession(parts, provider, resource, key).begin() as session:
        ...     print(f"Open {session.verification_uri} and type {session.user_code}")
        ...     record = session.wait()

    Args:
        parts: What it works with.
        provider: Whom to sign in to.
        resource: What for.
        key: The grant to make or replace.
        asked: What to ask for.
        sleep: Waits for that many seconds; never more than one at a time.
    """

    def __init__(
        self,
        parts: LoginParts,
        provider: Provider,
        resource: Resource,
        key: GrantKey,
        asked: Asked | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Do nothing yet."""
        self._parts = parts
        self._provider = provider
        self._resource = resource
        self._key = key
        self._asked = asked or Asked()
        self._sleep = sleep
        self._begun: _Begun | None = None

    # --- beginning ------------------------------------------------------------

    def begin(self, *, anew: bool = False) -> Self:
        """Find the server, choose the client, ask for the codes.

        Args:
            anew: Register a new client although one is stored: the server has
                refused that one.

        Raises:
            ConfigurationError: The server needs no token or offers no device
                grant, or no client is known.
            AuthorizationResponseError: The server refuses to begin.
            ProtocolError: The server breaks a rule.
            TransportError: A server is down.
            VaultError: The grant could not be stored afterwards.
        """
        self._parts.vault.prove()
        discovery = self._discovered()
        endpoint = _device_authorization_endpoint(discovery)
        client = self._client(discovery, anew=anew)
        try:
            self._begun = self._authorized(endpoint, discovery, client)
        except OAuthResponseError as error:
            if not client.reused or error.error not in _CLIENT_REFUSED:
                raise
            client = self._client(discovery, anew=True)
            self._begun = self._authorized(endpoint, discovery, client)
        return self

    def _discovered(self) -> Discovery:
        """Find the authorization server; no browser goes there, so it needs no S256."""
        discovery = self._asked.found or discover(
            self._parts.transport,
            self._resource,
            challenge=self._asked.challenge,
            issuers_without_s256=self._parts.issuers_without_s256,
            needs_authorization_endpoint=False,
            cache=self._parts.cache,
        )
        if discovery is None:
            raise ConfigurationError(
                f"{self._resource.url} answers without a token; there is nothing to sign in to.",
                next_step="Dock it with --skip-auth.",
            )
        return discovery

    def _client(self, discovery: Discovery, *, anew: bool) -> ChosenClient:
        metadata = discovery.metadata
        chosen = self._parts.clients.choose(
            self._provider, self._resource, metadata, anew=anew, device=True
        )
        if chosen is not None:
            return chosen
        answer = register_client(
            naming(self._parts.transport, discovery.named_by),
            metadata.registration_endpoint or "",
            redirect_uri=None,
            client_name=self._parts.client_name,
            auth_methods=metadata.token_endpoint_auth_methods_supported,
        )
        return registered_client(self._provider, self._resource, metadata, answer, None)

    def _authorized(self, endpoint: str, discovery: Discovery, client: ChosenClient) -> _Begun:
        """Ask for the codes, and fix what they are redeemed by."""
        parts = self._parts
        held = held_grant(parts.vault, self._key)
        check_unchanged(held, discovery.metadata, client, str(self._key))
        redemption = self._redemption(discovery, client, held)
        transport = naming(parts.transport, discovery.named_by)
        try:
            codes = authorize_device(
                transport,
                endpoint,
                redemption.endpoint,
                scopes=redemption.scopes,
                clock=parts.clock,
                parameters=self._resource.authorization_parameters,
            )
        except MalformedResponseError:
            # The endpoint may have moved since its metadata was read.
            parts.cache.forget(discovery.metadata.issuer)
            raise
        poll = functools.partial(
            poll_device_token,
            proving(
                transport,
                redemption.dpop_key,
                parts.nonces,
                clock=parts.clock,
                entropy=parts.entropy,
            ),
            redemption.endpoint,
            device_code=codes.device_code,
            requested_scopes=redemption.scopes,
            clock=parts.clock,
        )
        polling = Polling(
            poll,
            interval=codes.interval,
            life=codes.expires_in,
            monotonic=parts.monotonic,
            sleep=self._sleep,
        )
        return _Begun(codes, redemption, polling)

    def _redemption(
        self, discovery: Discovery, client: ChosenClient, held: GrantRecord | None
    ) -> Redemption:
        assertion = assertions(
            client.credentials,
            discovery.metadata.issuer,
            clock=self._parts.clock,
            entropy=self._parts.entropy,
        )
        same = held is not None and held.issuer == discovery.metadata.issuer
        scopes = scopes_to_ask(
            discovery,
            scopes=self._asked.scopes,
            held=held.requested_scopes if held and same else (),
            ceiling=self._asked.ceiling,
        )
        return Redemption(
            token_endpoint(self._resource, discovery, client, assertion),
            discovery,
            client,
            scopes,
            new_dpop_key() if discovery.dpop else None,
        )

    # --- what a person is shown --------------------------------------------------

    @property
    def user_code(self) -> str:
        """What the person types; to be shown even beside a QR code."""
        return self._codes.user_code

    @property
    def verification_uri(self) -> str:
        """Where the person goes, on any device."""
        return self._codes.verification_uri

    @property
    def verification_uri_complete(self) -> str | None:
        """The same with the code in it, if the server made one."""
        return self._codes.verification_uri_complete

    @property
    def expires_in(self) -> float:
        """How many seconds the codes are good for, from `begin`."""
        return self._codes.expires_in

    @property
    def expires_at(self) -> float:
        """When the codes end: Unix seconds, UTC."""
        return self._codes.expires_at

    @property
    def _codes(self) -> DeviceAuthorization:
        return self._require_begun().codes

    def _require_begun(self) -> _Begun:
        if self._begun is None:
            message = "begin() comes first"
            raise RuntimeError(message)
        return self._begun

    # --- waiting --------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> GrantRecord:
        """Wait for the person, fetch the tokens, store the grant.

        A server that is down meanwhile is asked again, ever more slowly.

        Args:
            timeout: Seconds to wait; None waits until the codes end. After
                that many seconds the codes are still good, and `wait` may be
                called again.

        Returns:
            The stored grant.

        Raises:
            AuthorizationResponseError: The person said no.
            FlowTimeoutError: Nobody confirmed the code in time.
            FlowCancelledError: `cancel` was called.
            TokenResponseError: The server refused for another reason.
            ProtocolError: The server breaks a rule.
            VaultError: The grant could not be stored.
        """
        begun = self._require_begun()
        answer = begun.polling.wait(timeout)
        account = look_up_account(
            self._parts.transport, self._resource.account, answer.access_token
        )
        begun.polling.check_cancelled()  # whoever cancelled was told that nothing is stored
        record = begun.redemption.record(
            self._key, self._resource, answer, account=account, now=self._parts.clock()
        )
        store_login(
            self._parts.vault,
            self._key,
            record,
            begun.redemption.client,
            default_resource=self._provider.resource().name,
        )
        return record

    def cancel(self) -> None:
        """End a wait, from any thread, within a second; nothing is stored."""
        if self._begun is not None:
            self._begun.polling.cancel()

    def __enter__(self) -> Self:
        """Return itself, begun or not."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Cancel, which means nothing to a sign-in that is over."""
        self.cancel()


def _device_authorization_endpoint(discovery: Discovery) -> str:
    """Return the endpoint whose presence says that the grant is offered (RFC 8628 §4)."""
    metadata = discovery.metadata
    if metadata.device_authorization_endpoint is None:
        raise ConfigurationError(
            f"{metadata.issuer} offers no sign-in with a code for another device.",
            next_step="Sign in through a browser instead.",
        )
    return metadata.device_authorization_endpoint

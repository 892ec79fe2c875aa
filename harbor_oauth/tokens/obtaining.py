"""Tokens from authorization servers that ask nobody: who is asked, how, and what for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from harbor_oauth.errors import ConfigurationError, IssuerMismatchError, TokenResponseError
from harbor_oauth.flows.cache import MetadataCache
from harbor_oauth.flows.discovery import Discovery, discover
from harbor_oauth.flows.tokens import TokenEndpoint
from harbor_oauth.flows.unattended import exchange_for_id_jag, obtain_as_client, redeem_assertion
from harbor_oauth.protocol.client_auth import (
    PRIVATE_KEY_JWT,
    ClientCredentials,
    choose_auth_method,
)
from harbor_oauth.protocol.http import Transport, naming
from harbor_oauth.protocol.metadata import ServerMetadata, same_issuer
from harbor_oauth.protocol.token import TokenResponse
from harbor_oauth.protocol.urls import origin
from harbor_oauth.providers import Resource
from harbor_oauth.tokens.asking import ask_while_lost
from harbor_oauth.tokens.declared import (
    ClientCredentialsGrant,
    IdentityAssertionGrant,
    JwtBearerGrant,
    UnattendedGrant,
)
from harbor_oauth.tokens.keys import assertions

__all__ = ["Obtained", "Obtaining"]

# RFC 6749 §5.2 and RFC 8707 §2: who has to change what; nothing is tried in their place.
_REMEDIES: Final = {
    "invalid_client": (
        "Check the client id, its secret or key, and how the server wants it to authenticate."
    ),
    "invalid_grant": (
        "Check the assertion: whether it has ended, and whether its issuer and audience are "
        "the ones the server expects."
    ),
    "invalid_scope": "Declare the grant with scopes that the server gives this client.",
    "invalid_target": "Declare the grant with the resource that the server knows.",
    "unauthorized_client": "Allow the client this grant type, where it is registered.",
    "unsupported_grant_type": "The server does not offer this grant type; it needs another.",
}


@attrs.frozen
class Obtained:
    """A token, and where it came from.

    Attributes:
        metadata: The authorization server.
        named_by: The URL of the server that named it; None where it is declared.
        endpoint: Where the token was asked for, as whom, and for what resource.
        scopes: What was asked for; empty leaves it to the server.
        answer: What the server granted.
    """

    metadata: ServerMetadata
    named_by: str | None
    endpoint: TokenEndpoint
    scopes: tuple[str, ...]
    answer: TokenResponse


@attrs.frozen(eq=False)
class Obtaining:
    """How tokens are asked for without a person.

    Attributes:
        transport: How requests are sent.
        cache: Server metadata read before.
        clock: Unix seconds, UTC.
        monotonic: Seconds that never go back.
        sleep: Waits that many seconds.
        entropy: A source of random bytes.
    """

    transport: Transport
    cache: MetadataCache | None
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    entropy: Callable[[int], bytes]

    def __call__(self, grant: UnattendedGrant, before: str | None) -> Obtained:
        """Ask for a token.

        Args:
            grant: What a program declares.
            before: The issuer this client was shown to before, if that is known;
                a server cannot name another one afterwards.

        Raises:
            ConfigurationError: The declaration cannot be used.
            IssuerMismatchError: The authorization server is not the one from before.
            TokenResponseError: A server refused; it is not asked another way.
            ProtocolError: An answer breaks a rule.
            TransportError: Not now.
        """
        found = self._discover(grant, before)
        endpoint = self._endpoint(grant, found)
        scopes = tuple(grant.scopes or found.scopes or ())
        try:
            answer = ask_while_lost(
                lambda: self._ask(grant, found, endpoint, scopes),
                monotonic=self.monotonic,
                sleep=self.sleep,
                lost=[],
            )
        except TokenResponseError as error:
            error.next_step = error.next_step or _REMEDIES.get(error.error, "")
            raise
        return Obtained(found.metadata, found.named_by, endpoint, scopes, answer)

    def _discover(self, grant: UnattendedGrant, before: str | None) -> Discovery:
        """Find the authorization server: the declared one, else the one the server names."""
        issuer = grant.known_issuer
        found = discover(
            self.transport,
            Resource(
                name="mcp",
                servers=(grant.url,),
                allowed_origins=grant.allowed_origins,
                issuer=issuer,
                resource=grant.resource or grant.url,
                discover=issuer is None,
                scopes=grant.scopes,
            ),
            needs_authorization_endpoint=False,
            cache=self.cache,
        )
        if found is None:
            raise ConfigurationError(
                f"{origin(grant.url)} answers without a token and names no authorization server.",
                next_step="Declare the grant with its issuer, if it needs a token at all.",
            )
        if issuer is None and before is not None:
            _require_unmoved(grant, before, found.metadata.issuer)
        if isinstance(grant, IdentityAssertionGrant):
            _require_own_token_endpoint(found)
        return found

    def _endpoint(self, grant: UnattendedGrant, found: Discovery) -> TokenEndpoint:
        url = found.metadata.token_endpoint
        assert url is not None  # noqa: S101 - `discover` has looked
        supported = found.metadata.token_endpoint_auth_methods_supported
        client = _authenticating(grant.client, supported)
        return self._as_client(client, url, found.metadata.issuer, grant.resource or found.resource)

    def _as_client(
        self, client: ClientCredentials, url: str, audience: str, resource: str | None
    ) -> TokenEndpoint:
        signs = client.token_endpoint_auth_method == PRIVATE_KEY_JWT
        sign = assertions(client, audience, clock=self.clock, entropy=self.entropy)
        return TokenEndpoint(url, client, resource, client_assertion=sign if signs else None)

    def _ask(
        self,
        grant: UnattendedGrant,
        found: Discovery,
        endpoint: TokenEndpoint,
        scopes: tuple[str, ...],
    ) -> TokenResponse:
        """Ask once, with new assertions throughout."""
        transport = naming(self.transport, found.named_by)
        issuer = found.metadata.issuer
        match grant:
            case ClientCredentialsGrant():
                return obtain_as_client(transport, endpoint, scopes=scopes, clock=self.clock)
            case JwtBearerGrant():
                assertion = grant.assertion(issuer)
            case IdentityAssertionGrant():
                id_jag = exchange_for_id_jag(
                    self.transport,
                    self._identity_provider(grant, endpoint.resource),
                    subject_token=grant.subject_token(),
                    subject_token_type=grant.subject_token_type,
                    audience=issuer,
                    scopes=scopes,
                    clock=self.clock,
                )
                assertion, scopes = id_jag.access_token, id_jag.scopes
        return redeem_assertion(
            transport, endpoint, assertion=assertion, scopes=scopes, clock=self.clock
        )

    def _identity_provider(
        self, grant: IdentityAssertionGrant, resource: str | None
    ) -> TokenEndpoint:
        client, url = _authenticating(grant.idp_client, None), grant.idp_token_endpoint
        return self._as_client(client, url, client.issuer or url, resource)


def _require_unmoved(grant: UnattendedGrant, before: str, now: str) -> None:
    """Refuse to show the client's credentials to another server than before (RFC 9728 §7.6)."""
    if not same_issuer(before, now):
        raise IssuerMismatchError(
            f"{origin(grant.url)} now names another authorization server ({now}) than before "
            f"({before})",
            requirement="RFC 9728 §7.6",
            next_step="If that is right, declare the grant with the new issuer.",
        )


def _require_own_token_endpoint(found: Discovery) -> None:
    """Refuse to redeem a person's identity anywhere but at the declared issuer."""
    endpoint, issuer = found.metadata.token_endpoint or "", found.metadata.issuer
    if origin(endpoint) != origin(issuer):
        raise IssuerMismatchError(
            f"The token endpoint of {issuer} is at another origin, {origin(endpoint)}",
            requirement="RFC 8414 §6.2",
            next_step="An ID-JAG is redeemed at the issuer's own origin only.",
        )


def _authenticating(
    client: ClientCredentials, supported: tuple[str, ...] | None
) -> ClientCredentials:
    """Return a client that says how it authenticates, chosen if its declaration does not."""
    if client.token_endpoint_auth_method != "none":  # noqa: S105 - a method's name
        return client
    method = choose_auth_method(
        supported,
        has_secret=client.client_secret is not None,
        has_private_key=client.private_key is not None,
    )
    return attrs.evolve(client, token_endpoint_auth_method=method)

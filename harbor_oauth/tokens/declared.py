"""Grants that a program declares: they need no person, and are off unless declared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, TypeAlias

import attrs

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.metadata import same_issuer
from harbor_oauth.protocol.unattended import (
    CLIENT_CREDENTIALS,
    ID_TOKEN,
    JWT_BEARER,
    TOKEN_EXCHANGE,
)
from harbor_oauth.protocol.urls import canonical_resource, origin, require_endpoint
from harbor_oauth.secret import Secret

__all__ = [
    "ClientCredentialsGrant",
    "IdentityAssertionGrant",
    "JwtBearerGrant",
    "UnattendedGrant",
]


def _server_url(url: str) -> str:
    return canonical_resource(require_endpoint(url, "server URL"))


def _scopes(scopes: Sequence[str] | None) -> tuple[str, ...] | None:
    # A string is a sequence too, of letters; RFC 6749 §3.3 says what it means here.
    return tuple(scopes.split() if isinstance(scopes, str) else scopes) if scopes else None


@attrs.frozen(kw_only=True)
class _Declared:
    """What every declared grant says."""

    grant_type: ClassVar[str]

    url: str = attrs.field(converter=_server_url)
    client: ClientCredentials
    scopes: tuple[str, ...] | None = attrs.field(default=None, converter=_scopes)
    resource: str | None = None
    issuer: str | None

    def __attrs_post_init__(self) -> None:
        """Refuse a declaration that contradicts itself."""
        if self.issuer is not None:
            require_endpoint(self.issuer, "issuer")
            if self.client.issuer and not same_issuer(self.client.issuer, self.issuer):
                raise ConfigurationError(
                    f"The client belongs to {self.client.issuer}, and not to {self.issuer}."
                )

    @property
    def known_issuer(self) -> str | None:
        """The only authorization server that may be asked; None leaves it to the server."""
        return self.issuer or self.client.issuer

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """The only origins the token may be sent to."""
        return (origin(self.url),)


@attrs.frozen(kw_only=True)
class ClientCredentialsGrant(_Declared):
    """A client that acts for itself (RFC 6749 §4.4).

    Attributes:
        url: The MCP server or API that the token is for, and goes to.
        client: The client: with a secret, or with a private key.
        scopes: What to ask for; None asks for what the server names.
        resource: The resource indicator (RFC 8707 §2); the server's own
            identifier when left out.
        issuer: The authorization server. Where neither this nor the client
            names it, the server at `url` does, and what it names first is kept
            to.

    Raises:
        ConfigurationError: The client has neither a secret nor a key.
    """

    grant_type: ClassVar[str] = CLIENT_CREDENTIALS

    issuer: str | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse a public client: anybody could be it (RFC 6749 §4.4)."""
        super().__attrs_post_init__()
        if not (self.client.client_secret or self.client.private_key):
            raise ConfigurationError(
                "A client that acts for itself needs a client secret or a private key."
            )


@attrs.frozen(kw_only=True)
class JwtBearerGrant(_Declared):
    """A workload that presents an assertion of its platform (RFC 7523 §2.1).

    Attributes:
        url: The MCP server or API that the token is for, and goes to.
        client: The client; with ``none`` the assertion alone says who asks.
        assertion: Returns a new assertion for an audience, the authorization
            server's issuer. It is called for each request, on a thread of the
            library's, and should answer within seconds.
        scopes: What to ask for; None asks for what the server names.
        resource: The resource indicator (RFC 8707 §2); the server's own
            identifier when left out.
        issuer: The authorization server. Where neither this nor the client
            names it, the server at `url` does, and what it names first is kept
            to.
    """

    grant_type: ClassVar[str] = JWT_BEARER

    issuer: str | None = None
    assertion: Callable[[str], Secret] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class IdentityAssertionGrant(_Declared):
    """A person's identity, exchanged at the identity provider for an ID-JAG (RFC 8693, RFC 7523).

    One declaration is for one person: name the account in the grant's name.

    Attributes:
        url: The MCP server that the token is for, and goes to.
        client: The client as the server's authorization server knows it.
        issuer: That authorization server. It is never taken from the server:
            what the ID-JAG is worth must not be for a server to give away.
        idp_token_endpoint: Where the identity provider exchanges tokens.
        idp_client: The client as the identity provider knows it.
        subject_token: Returns what stands for the person, such as an identity
            token; called for each request, on a thread of the library's.
        subject_token_type: What kind of token that is, as a URN (RFC 8693 §3).
        scopes: What to ask for; None leaves it to the servers.
        resource: The server's resource identifier; `url` when left out.
    """

    grant_type: ClassVar[str] = TOKEN_EXCHANGE

    issuer: str = attrs.field(validator=attrs.validators.instance_of(str))
    idp_token_endpoint: str
    idp_client: ClientCredentials
    subject_token: Callable[[], Secret] = attrs.field(repr=False)
    subject_token_type: str = ID_TOKEN

    def __attrs_post_init__(self) -> None:
        """Refuse an identity provider that secrets may not be sent to."""
        super().__attrs_post_init__()
        require_endpoint(self.idp_token_endpoint, "identity provider's token endpoint")


UnattendedGrant: TypeAlias = ClientCredentialsGrant | JwtBearerGrant | IdentityAssertionGrant

"""Authorization server metadata: RFC 8414, OpenID Connect Discovery 1.0."""

from __future__ import annotations

from typing import Any, Final

import attrs

from harbor_oauth.errors import InsecureEndpointError, IssuerMismatchError, PKCEUnsupportedError
from harbor_oauth.protocol._answer import (
    is_success,
    read_members,
    refuse_unavailable,
)
from harbor_oauth.protocol.http import (
    DISCOVERY_TIMEOUT,
    METADATA_LIMIT,
    HttpRequest,
    HttpResponse,
    refuse_redirect,
)
from harbor_oauth.protocol.urls import origin, require_endpoint

__all__ = [
    "ServerMetadata",
    "metadata_request",
    "parse_server_metadata",
    "same_issuer",
    "server_metadata_urls",
]

_WHAT: Final = "authorization server metadata"
_OAUTH: Final = "/.well-known/oauth-authorization-server"
_OPENID: Final = "/.well-known/openid-configuration"


@attrs.frozen
class ServerMetadata:
    """What an authorization server says of itself; the names are RFC 8414's.

    A member that is left out is None, which differs from an empty one.

    Attributes:
        issuer: The issuer identifier, character by character as the document
            spells it.
    """

    issuer: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    registration_endpoint: str | None = None
    revocation_endpoint: str | None = None
    introspection_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    pushed_authorization_request_endpoint: str | None = None
    require_pushed_authorization_requests: bool = False
    scopes_supported: tuple[str, ...] | None = None
    grant_types_supported: tuple[str, ...] | None = None
    code_challenge_methods_supported: tuple[str, ...] | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    revocation_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    dpop_signing_alg_values_supported: tuple[str, ...] | None = None
    authorization_response_iss_parameter_supported: bool = False
    client_id_metadata_document_supported: bool = False

    def require_s256(self) -> None:
        """Refuse a server that does not say it checks PKCE with S256.

        Raises:
            PKCEUnsupportedError: It does not (RFC 8414 §2). Where it says
                nothing at all, the text names the exception a user can store.
        """
        if self.code_challenge_methods_supported is None:
            raise PKCEUnsupportedError(
                f"{self.issuer} does not say whether it supports PKCE.",
                requirement="RFC 8414 §2",
                next_step=(
                    f'If its documentation says it does, add [issuers."{self.issuer}"] with '
                    "allow_missing_s256 = true to config.toml."
                ),
            )
        if "S256" not in self.code_challenge_methods_supported:
            raise PKCEUnsupportedError(
                f"{self.issuer} does not support PKCE with S256.", requirement="RFC 7636 §4.2"
            )


_ENDPOINTS: Final = tuple(
    field.name for field in attrs.fields(ServerMetadata) if field.name.endswith("_endpoint")
)
_FLAGS: Final = tuple(
    field.name for field in attrs.fields(ServerMetadata) if field.default is False
)
_ARRAYS: Final = tuple(
    field.name
    for field in attrs.fields(ServerMetadata)
    if field.name.endswith("_supported") and field.default is None
)


def server_metadata_urls(issuer: str) -> tuple[str, ...]:
    """Return where an issuer's metadata may be, in the order to ask.

    RFC 8414 §3.1 inserts the well-known path before the issuer's own; OpenID
    Connect Discovery §4 appends it, and servers are found that insert it.

    Args:
        issuer: The issuer identifier.

    Raises:
        InsecureEndpointError: It is not https or loopback http, or has a query.
    """
    base = origin(require_endpoint(issuer, "issuer"))
    if "?" in issuer:
        raise InsecureEndpointError(f"The issuer at {base} has a query.", requirement="RFC 8414 §2")
    path = _path(issuer).removesuffix("/")
    if not path:
        return f"{base}{_OAUTH}", f"{base}{_OPENID}"
    return f"{base}{_OAUTH}{path}", f"{base}{_OPENID}{path}", f"{base}{path}{_OPENID}"


def _path(url: str) -> str:
    _, slash, path = url.partition("://")[2].partition("/")
    return slash + path


def metadata_request(url: str, *, protocol_version: str | None = None) -> HttpRequest:
    """Build the request for a metadata document; it carries no credentials.

    Args:
        url: One of the well-known URLs.
        protocol_version: The MCP revision to name, if the caller speaks it.

    Raises:
        InsecureEndpointError: The URL is not https or loopback http.
    """
    headers = {"Accept": "application/json"}
    if protocol_version:
        headers["MCP-Protocol-Version"] = protocol_version
    return HttpRequest(
        "GET",
        require_endpoint(url, "metadata URL"),
        headers,
        timeout=DISCOVERY_TIMEOUT,
        limit=METADATA_LIMIT,
    )


def parse_server_metadata(response: HttpResponse, *, issuer: str) -> ServerMetadata:
    """Judge a metadata document.

    Args:
        response: The answer.
        issuer: The identifier the URL was made of.

    Returns:
        The metadata, with the issuer as the document spells it: that is the
        one to compare with in authorization responses.

    Raises:
        InsecureEndpointError: The answer is a redirect, or an endpoint is not
            https or loopback http.
        TransportError: The server cannot answer now: 408, 429 or 5xx.
        MalformedResponseError: There is no such document, or a member has the
            wrong type.
        IssuerMismatchError: The document is another issuer's.
    """
    refuse_redirect(response)
    refuse_unavailable(response, _WHAT)
    members = read_members(response, _WHAT, "RFC 8414 §3.2")
    if not is_success(response):
        members.refuse(f"has HTTP status {response.status}")
    found = members.required("issuer")
    if not same_issuer(found, issuer):
        raise IssuerMismatchError(
            f"The metadata at {response.endpoint} is not of the issuer {issuer}.",
            requirement="RFC 8414 §3.3",
        )
    endpoints = {name: members.text(name) for name in _ENDPOINTS}
    for name, url in endpoints.items():
        if url is not None:
            require_endpoint(url, name.replace("_", " "))
    known: dict[str, Any] = {
        **endpoints,
        **{name: members.texts(name) for name in _ARRAYS},
        **{name: members.flag(name) for name in _FLAGS},
    }
    return ServerMetadata(found, **known)


def same_issuer(found: str, asked: str) -> bool:
    """Compare issuers by code points, but let a root path be empty or a slash.

    RFC 8414 §3.3 wants them identical. Widely used servers announce an issuer
    with a root slash while resources name it without (python-sdk #3431);
    both spellings are the same URL (RFC 3986 §6.2.3), unlike any other pair.
    """
    return _without_root_slash(found) == _without_root_slash(asked)


def _without_root_slash(issuer: str) -> str:
    return issuer[:-1] if _path(issuer) == "/" else issuer

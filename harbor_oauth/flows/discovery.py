"""Who signs people in for a server: RFC 9728, then RFC 8414 or OpenID Connect.

A 4xx is a miss and the next document is tried; a 5xx, "not now" (408, 429) or a
network failure is an error, never "no OAuth here" (typescript-sdk PR #2785).
"""

from __future__ import annotations

import json
from typing import Final

import attrs

from harbor_oauth.errors import (
    ConfigurationError,
    IssuerMismatchError,
    MalformedResponseError,
    ResourceMismatchError,
    TransportError,
)
from harbor_oauth.protocol.challenge import Challenge, bearer_challenge
from harbor_oauth.protocol.http import (
    DISCOVERY_TIMEOUT,
    HttpRequest,
    HttpResponse,
    Transport,
    refuse_redirect,
)
from harbor_oauth.protocol.metadata import (
    ServerMetadata,
    metadata_request,
    parse_server_metadata,
    same_issuer,
    server_metadata_urls,
)
from harbor_oauth.protocol.resource_metadata import (
    ProtectedResourceMetadata,
    parse_resource_metadata,
    resource_metadata_urls,
)
from harbor_oauth.protocol.urls import origin, require_endpoint
from harbor_oauth.providers import Resource

__all__ = ["Discovery", "discover"]

_SERVER_ERROR: Final = 500
_CLIENT_ERROR: Final = 400
_NOT_NOW: Final = frozenset({408, 429})

# The first thing any MCP client says; a server without a token answers 401 and
# names its metadata (RFC 9728 §5.1), an open one answers it.
_PROBE: Final = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "harbor_oauth", "version": "0"},
        },
    }
).encode()


@attrs.frozen
class Discovery:
    """What was found out about a resource before anybody signs in.

    Attributes:
        metadata: The authorization server's metadata, S256 checked.
        resource: The RFC 8707 indicator to send, as the metadata spells it, or
            None to send none.
        scopes: The scopes to ask for: the provider's, else those of the
            challenge, else those of the resource's metadata; None leaves them
            out.
        protected: False when the server answered without a token.
    """

    metadata: ServerMetadata
    resource: str | None
    scopes: tuple[str, ...] | None
    protected: bool = True


def discover(
    transport: Transport,
    resource: Resource,
    *,
    issuers_without_s256: frozenset[str] = frozenset(),
) -> Discovery | None:
    """Find the authorization server of a resource.

    Args:
        transport: How requests are sent.
        resource: What a token is wanted for.
        issuers_without_s256: Issuers whose metadata may omit
            `code_challenge_methods_supported`.

    Returns:
        What was found, or None for a server that answers without a token and
        whose provider declares no issuer. (Some answer the first message to
        anybody, and want a token for the rest.)

    Raises:
        ConfigurationError: No document names an authorization server.
        ProtocolError: A document breaks its rule.
        TransportError: A server is down.
    """
    if not resource.discover or resource.url is None:
        metadata = _server_metadata(transport, resource, None, issuers_without_s256)
        return Discovery(metadata, resource.resource, resource.scopes or None)
    challenge, open_to_all = _probe(transport, resource.url)
    if open_to_all and _declared_issuer(resource) is None:
        return None
    described = _resource_metadata(transport, resource.url, challenge)
    metadata = _server_metadata(transport, resource, described, issuers_without_s256)
    scopes = _scopes(challenge, described) if resource.scopes is None else resource.scopes
    return Discovery(
        metadata,
        described.resource if described else resource.resource,
        scopes or None,
        protected=not open_to_all,
    )


def _probe(transport: Transport, url: str) -> tuple[Challenge | None, bool]:
    """Ask the server without a token; return its challenge, and whether it is open."""
    response = refuse_redirect(
        transport(
            HttpRequest(
                "POST",
                url,
                {
                    "Content-Type": "application/json",
                    "Accept": "application/json, text/event-stream",
                },
                _PROBE,
                timeout=DISCOVERY_TIMEOUT,
            )
        )
    )
    if _is_down(response):
        raise TransportError(
            f"{response.endpoint} answered {response.status}.", next_step="Try again later."
        )
    if response.status < _CLIENT_ERROR:
        return None, True
    challenge = response.headers.get("www-authenticate")
    return (bearer_challenge(challenge) if challenge else None), False


def _is_down(response: HttpResponse) -> bool:
    return response.status in _NOT_NOW or response.status >= _SERVER_ERROR


def _is_missing(response: HttpResponse) -> bool:
    """Say whether there is no document here; a server that is down does not say so."""
    return response.status >= _CLIENT_ERROR and not _is_down(response)


def _resource_metadata(
    transport: Transport, url: str, challenge: Challenge | None
) -> ProtectedResourceMetadata | None:
    """Read the first usable RFC 9728 document: the challenge's, by path, at the root."""
    named = challenge.resource_metadata if challenge else None
    candidates = [require_endpoint(named, "resource_metadata")] if named else []
    candidates += [other for other in resource_metadata_urls(url) if other not in candidates]
    mismatch: ResourceMismatchError | None = None
    for candidate in candidates:
        response = transport(metadata_request(candidate))
        if _is_missing(response):
            continue
        try:
            return parse_resource_metadata(response, server_url=url)
        except ResourceMismatchError as error:
            mismatch = mismatch or error
    if mismatch:
        raise mismatch
    return None


def _server_metadata(
    transport: Transport,
    resource: Resource,
    described: ProtectedResourceMetadata | None,
    issuers_without_s256: frozenset[str],
) -> ServerMetadata:
    """Return the metadata of the resource's authorization server: pinned, or read."""
    issuer = _issuer(resource, described)
    metadata = resource.metadata or _published(transport, issuer)
    if metadata is None:
        raise ConfigurationError(
            f"{issuer} publishes no authorization server metadata.",
            next_step="Check the server's URL; it may not use OAuth.",
        )
    if metadata.authorization_endpoint is None or metadata.token_endpoint is None:
        raise MalformedResponseError(
            f"The metadata of {issuer} lacks an authorization or token endpoint",
            requirement="RFC 8414 §2",
        )
    omitted = metadata.code_challenge_methods_supported is None
    if not (omitted and metadata.issuer in issuers_without_s256):
        metadata.require_s256()
    return metadata


def _declared_issuer(resource: Resource) -> str | None:
    return resource.issuer or (resource.metadata.issuer if resource.metadata else None)


def _issuer(resource: Resource, described: ProtectedResourceMetadata | None) -> str:
    """Choose the authorization server; a declared issuer is never given up for another."""
    declared = _declared_issuer(resource)
    offered = described.authorization_servers if described else ()
    if declared is None:
        if offered:
            return offered[0]
        if resource.discover and resource.url:
            # Servers from before RFC 9728 are their own authorization server.
            return origin(resource.url)
        raise ConfigurationError(
            f"The resource {resource.name!r} declares neither an issuer nor its endpoints."
        )
    if not offered:
        return declared
    for issuer in offered:
        if same_issuer(issuer, declared):
            return issuer
    raise IssuerMismatchError(
        f"{origin(resource.url or declared)} now names another authorization server "
        f"({origin(offered[0])}) than the one its provider declares",
        requirement="RFC 9728 §7.6",
        next_step="Update the provider's distribution.",
    )


def _published(transport: Transport, issuer: str) -> ServerMetadata | None:
    """Read the issuer's metadata: the first document that names challenge methods.

    Some servers list them in one of their two documents only (csharp-sdk
    PR #1700), so a document without them is kept as second choice.
    """
    fallback: ServerMetadata | None = None
    for url in server_metadata_urls(issuer):
        response = transport(metadata_request(url))
        if _is_missing(response):
            continue
        metadata = parse_server_metadata(response, issuer=issuer)
        if metadata.code_challenge_methods_supported is not None:
            return metadata
        fallback = fallback or metadata
    return fallback


def _scopes(
    challenge: Challenge | None, described: ProtectedResourceMetadata | None
) -> tuple[str, ...] | None:
    """Return what to ask for: the challenge's scopes, else the resource's, else nothing."""
    if challenge and challenge.scope:
        return challenge.scope
    return described.scopes_supported if described else None

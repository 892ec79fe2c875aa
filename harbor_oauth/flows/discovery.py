"""Who signs people in for a server: RFC 9728, then RFC 8414 or OpenID Connect.

A 4xx is a miss and the next document is tried; a 5xx, "not now" (408, 429) or a
network failure is an error, never "no OAuth here" (typescript-sdk PR #2785).
Every URL that a server names is asked in its name, so that the transport can
refuse what lies in a network that server has no part in (RFC 9728 §7.7).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import attrs

from harbor_oauth.errors import (
    ConfigurationError,
    IssuerMismatchError,
    MalformedResponseError,
    ResourceMismatchError,
    TransportError,
)
from harbor_oauth.flows.cache import MetadataCache
from harbor_oauth.protocol.challenge import Challenge, bearer_challenge
from harbor_oauth.protocol.http import (
    DISCOVERY_TIMEOUT,
    HttpRequest,
    HttpResponse,
    Transport,
    naming,
    refuse_redirect,
    send,
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
_UNAUTHORIZED: Final = 401
_NOT_NOW: Final = frozenset({408, 429})

# The first thing any MCP client says; a server without a token answers 401 and
# names its metadata (RFC 9728 §5.1), an open one answers it.
_HELLO: Final = (
    "initialize",
    {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "harbor_oauth", "version": "0"},
    },
)
# Some answer that to anybody and want a token for the rest.
_LIST: Final[tuple[str, dict[str, object]]] = ("tools/list", {})


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
        dpop: Whether the resource wants tokens bound to a key (RFC 9449).
        named_by: The URL of the server that named the authorization server;
            None where the provider declares it.
    """

    metadata: ServerMetadata
    resource: str | None
    scopes: tuple[str, ...] | None
    protected: bool = True
    dpop: bool = False
    named_by: str | None = None


def discover(
    transport: Transport,
    resource: Resource,
    *,
    challenge: Challenge | None = None,
    issuers_without_s256: frozenset[str] = frozenset(),
    needs_authorization_endpoint: bool = True,
    cache: MetadataCache | None = None,
) -> Discovery | None:
    """Find the authorization server of a resource.

    Args:
        transport: How requests are sent.
        resource: What a token is wanted for.
        challenge: What the server answered to a request without a good token;
            without it, the server is asked.
        issuers_without_s256: Issuers whose metadata may omit
            `code_challenge_methods_supported`.
        needs_authorization_endpoint: Whether a person will be sent there; then
            the server has to offer S256 too.
        cache: Server metadata read before.

    Returns:
        What was found, or None for a server that answers without a token and
        names no authorization server, or answers more than the first message.

    Raises:
        ConfigurationError: No document names an authorization server.
        ProtocolError: A document breaks its rule.
        TransportError: A server is down.
    """
    search = _Search(transport, resource, issuers_without_s256, needs_authorization_endpoint, cache)
    if not resource.discover or resource.url is None:
        return Discovery(search.metadata(None), resource.resource, resource.scopes or None)
    open_to_all = False
    if challenge is None:
        challenge, open_to_all = _probe(transport, resource.url, _HELLO)
    described = search.described(resource.url, challenge)
    if open_to_all and search.declared is None:
        if described is None:
            return None
        challenge, open_to_all = _probe(transport, resource.url, _LIST)
        if open_to_all:
            return None
    metadata = search.metadata(described)
    scopes = _scopes(challenge, described) if resource.scopes is None else resource.scopes
    return Discovery(
        metadata,
        described.resource if described else resource.resource,
        scopes or None,
        protected=not open_to_all,
        dpop=_wants_dpop(challenge, described, metadata),
        named_by=None if search.declared else resource.url,
    )


def _probe(
    transport: Transport, url: str, message: tuple[str, Mapping[str, object]]
) -> tuple[Challenge | None, bool]:
    """Ask the server without a token; return its challenge, and whether it answered."""
    method, params = message
    body = {"jsonrpc": "2.0", "id": 0, "method": method, "params": params}
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
    }
    response = refuse_redirect(
        send(
            transport,
            HttpRequest("POST", url, headers, json.dumps(body).encode(), timeout=DISCOVERY_TIMEOUT),
        )
    )
    if _is_down(response):
        raise TransportError(
            f"{response.endpoint} answered {response.status}.", next_step="Try again later."
        )
    if response.status < _CLIENT_ERROR or (message is _LIST and response.status != _UNAUTHORIZED):
        return None, True  # it wants a session first, perhaps, but no token
    challenge = response.headers.get("www-authenticate")
    return (bearer_challenge(challenge, mask=response.mask) if challenge else None), False


def _is_down(response: HttpResponse) -> bool:
    return response.status in _NOT_NOW or response.status >= _SERVER_ERROR


def _is_missing(response: HttpResponse) -> bool:
    """Say whether there is no document here; a server that is down does not say so."""
    return response.status >= _CLIENT_ERROR and not _is_down(response)


@attrs.frozen
class _Search:
    """The documents about one resource, and where they lead."""

    transport: Transport
    resource: Resource
    issuers_without_s256: frozenset[str]
    needs_authorization_endpoint: bool
    cache: MetadataCache | None

    @property
    def declared(self) -> str | None:
        """The issuer that the provider declares."""
        resource = self.resource
        return resource.issuer or (resource.metadata.issuer if resource.metadata else None)

    def described(self, url: str, challenge: Challenge | None) -> ProtectedResourceMetadata | None:
        """Read the first usable RFC 9728 document: the challenge's, by path, at the root."""
        named = challenge.resource_metadata if challenge else None
        candidates = [require_endpoint(named, "resource_metadata")] if named else []
        candidates += [other for other in resource_metadata_urls(url) if other not in candidates]
        transport = naming(self.transport, url)
        unusable: ResourceMismatchError | MalformedResponseError | None = None
        for candidate in candidates:
            response = send(transport, metadata_request(candidate))
            if _is_missing(response):
                continue
            try:
                return parse_resource_metadata(response, server_url=url)
            except (ResourceMismatchError, MalformedResponseError) as error:
                # A page for every path, as single-page applications have, is no
                # document; the first complaint is told if none is found.
                unusable = unusable or error
        if unusable:
            raise unusable
        return None

    def metadata(self, described: ProtectedResourceMetadata | None) -> ServerMetadata:
        """Return the metadata of the resource's authorization server: pinned, or read."""
        issuer = self._issuer(described)
        metadata = self._found(issuer) or self.resource.metadata or self._assumed(described)
        if metadata is None:
            raise ConfigurationError(
                f"{issuer} publishes no authorization server metadata.",
                next_step="Check the server's URL; it may not use OAuth.",
            )
        if metadata.token_endpoint is None or (
            self.needs_authorization_endpoint and metadata.authorization_endpoint is None
        ):
            raise MalformedResponseError(
                f"The metadata of {issuer} lacks an authorization or token endpoint",
                requirement="RFC 8414 §2",
            )
        omitted = metadata.code_challenge_methods_supported is None
        excepted = omitted and metadata.issuer in self.issuers_without_s256
        if self.needs_authorization_endpoint and not excepted:
            metadata.require_s256()
        return metadata

    def _issuer(self, described: ProtectedResourceMetadata | None) -> str:
        """Choose the authorization server; a declared one is never given up for another."""
        resource, declared = self.resource, self.declared
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

    def _found(self, issuer: str) -> ServerMetadata | None:
        """Return what the issuer publishes; a provider's own metadata bounds where that may lead.

        Endpoints at hosts the provider does not allow are not used, and a
        server that cannot be asked now leaves the pinned ones.
        """
        pinned, allowed = self.resource.metadata, set(self.resource.issuer_hosts)
        if pinned is None:
            found = self._known(issuer)
            if found and allowed and not _hosts(found) <= allowed:
                raise IssuerMismatchError(
                    f"{issuer} has endpoints at hosts that its provider does not allow",
                    requirement="RFC 9728 §7.6",
                    next_step="Update the provider's distribution.",
                )
            return found
        if not self.resource.discover:
            return None
        try:
            found = self._known(issuer)
        except (TransportError, MalformedResponseError, IssuerMismatchError):
            # A document by another name is not this issuer's (RFC 8414 §3.3).
            return None
        return found if found and _hosts(found) <= (allowed or _hosts(pinned)) else None

    def _known(self, issuer: str) -> ServerMetadata | None:
        known = self.cache.get(issuer) if self.cache else None
        if known is None:
            server = None if self.declared else self.resource.url
            known = _published(
                naming(self.transport, server), issuer, pkce=self.needs_authorization_endpoint
            )
            if known and self.cache:
                self.cache.put(issuer, known)
        return known

    def _assumed(self, described: ProtectedResourceMetadata | None) -> ServerMetadata | None:
        """Return the default endpoints of MCP's revision 2025-03-26, where it allows them.

        That is a server that names no authorization server and publishes no
        metadata. The revision demands PKCE of it.
        """
        url = self.resource.url
        declared = self.declared or self.resource.issuer_hosts
        if declared or url is None or (described and described.authorization_servers):
            return None
        base = origin(url)
        return ServerMetadata(
            issuer=base,
            authorization_endpoint=f"{base}/authorize",
            token_endpoint=f"{base}/token",
            registration_endpoint=f"{base}/register",
            code_challenge_methods_supported=("S256",),
        )


def _hosts(metadata: ServerMetadata) -> set[str | None]:
    """Return the hosts of all endpoints a person or a secret is sent to."""
    endpoints = (
        metadata.authorization_endpoint,
        metadata.token_endpoint,
        metadata.registration_endpoint,
        metadata.revocation_endpoint,
        metadata.device_authorization_endpoint,
        metadata.pushed_authorization_request_endpoint,
    )
    return {urlsplit(endpoint).hostname for endpoint in endpoints if endpoint}


def _published(transport: Transport, issuer: str, *, pkce: bool) -> ServerMetadata | None:
    """Read the issuer's metadata: the first document that names challenge methods.

    Some servers list them in one of their two documents only (csharp-sdk
    PR #1700), so a document without them is kept as second choice.
    """
    fallback: ServerMetadata | None = None
    unusable: MalformedResponseError | None = None
    for url in server_metadata_urls(issuer):
        response = send(transport, metadata_request(url))
        if _is_missing(response):
            continue
        try:
            metadata = parse_server_metadata(response, issuer=issuer)
        except MalformedResponseError as error:
            unusable = unusable or error
            continue
        if metadata.code_challenge_methods_supported is not None or not pkce:
            return metadata
        fallback = fallback or metadata
    if fallback is None and unusable:
        raise unusable
    return fallback


def _scopes(
    challenge: Challenge | None, described: ProtectedResourceMetadata | None
) -> tuple[str, ...] | None:
    """Return what to ask for: the challenge's scopes, else the resource's, else nothing."""
    if challenge and challenge.scope:
        return challenge.scope
    return described.scopes_supported if described else None


def _wants_dpop(
    challenge: Challenge | None,
    described: ProtectedResourceMetadata | None,
    metadata: ServerMetadata,
) -> bool:
    """Say whether a token has to be bound to a key: the resource asks, the server can."""
    asked = (challenge is not None and challenge.scheme == "dpop") or (
        described is not None and described.dpop_bound_access_tokens_required
    )
    offered = metadata.dpop_signing_alg_values_supported
    return asked and (offered is None or "ES256" in offered)

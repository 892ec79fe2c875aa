"""Protected resource metadata: RFC 9728."""

from __future__ import annotations

from typing import Final

import attrs

from harbor_oauth.errors import ResourceMismatchError
from harbor_oauth.protocol._answer import (
    is_success,
    read_members,
    refuse_unavailable,
)
from harbor_oauth.protocol.http import HttpResponse, refuse_redirect
from harbor_oauth.protocol.urls import canonical_resource, covers, origin, require_endpoint

__all__ = ["ProtectedResourceMetadata", "parse_resource_metadata", "resource_metadata_urls"]

_WHAT: Final = "protected resource metadata"
_WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"


@attrs.frozen
class ProtectedResourceMetadata:
    """What a resource says of itself; the names are RFC 9728's.

    Attributes:
        resource: The resource identifier, as the document spells it.
        authorization_servers: Issuer identifiers; empty where none is named.
        scopes_supported: Scopes to ask for, or None.
        dpop_bound_access_tokens_required: Whether it takes DPoP-bound tokens only.
        resource_name: Its name for people, or None; the peer's text, not cleaned.
        resource_documentation: A page for developers, or None; not checked.
    """

    resource: str
    authorization_servers: tuple[str, ...] = ()
    scopes_supported: tuple[str, ...] | None = None
    dpop_bound_access_tokens_required: bool = False
    resource_name: str | None = None
    resource_documentation: str | None = None


def resource_metadata_urls(server_url: str) -> tuple[str, ...]:
    """Return where a server's metadata may be, in the order to ask.

    The well-known path is inserted before the server's own path and query
    (RFC 9728 §3.1); the MCP authorization specification asks at the root next.

    Raises:
        InsecureEndpointError: The URL is not https or loopback http.
    """
    base = origin(require_endpoint(server_url, "server URL"))
    rest = canonical_resource(server_url).removeprefix(base)
    path, mark, query = rest.partition("?")
    # A slash that ends the host's component alone is removed (RFC 9728 §3.1).
    inserted = f"{base}{_WELL_KNOWN}{path.removesuffix('/')}{mark}{query}"
    return tuple(dict.fromkeys((inserted, f"{base}{_WELL_KNOWN}")))


def parse_resource_metadata(
    response: HttpResponse, *, server_url: str
) -> ProtectedResourceMetadata:
    """Judge a metadata document.

    Args:
        response: The answer.
        server_url: The server it is about.

    Raises:
        InsecureEndpointError: The answer is a redirect, or an authorization
            server is not https or loopback http.
        TransportError: The server cannot answer now: 408, 429 or 5xx.
        MalformedResponseError: There is no such document, or a member has the
            wrong type.
        ResourceMismatchError: The document is another resource's.
    """
    refuse_redirect(response)
    refuse_unavailable(response, _WHAT)
    members = read_members(response, _WHAT, "RFC 9728 §3.2")
    if not is_success(response):
        members.refuse(f"has HTTP status {response.status}")
    resource = members.required("resource")
    # RFC 9728 §3.3 wants them identical; servers that announce a parent path are
    # common, and a token for the parent goes to no other origin.
    if not covers(resource, canonical_resource(server_url)):
        raise ResourceMismatchError(
            f"The metadata at {response.endpoint} is about another resource.",
            requirement="RFC 9728 §3.3",
        )
    authorization_servers = members.texts("authorization_servers") or ()
    for issuer in authorization_servers:
        require_endpoint(issuer, "authorization server")
    return ProtectedResourceMetadata(
        resource=resource,
        authorization_servers=authorization_servers,
        scopes_supported=members.texts("scopes_supported"),
        dpop_bound_access_tokens_required=members.flag("dpop_bound_access_tokens_required"),
        resource_name=members.text("resource_name"),
        resource_documentation=members.text("resource_documentation"),
    )

"""A provider made from a server's URL alone."""

from __future__ import annotations

from typing import Final

from harbor_oauth.errors import InvalidNameError
from harbor_oauth.protocol.urls import canonical_resource, origin, require_endpoint
from harbor_oauth.providers.api import NativeServer, OAuthProvider, Resource
from harbor_oauth.providers.names import check_server_name, is_reserved

__all__ = ["DISCOVERED_RESOURCE", "discovered_provider"]

DISCOVERED_RESOURCE: Final = "mcp"
"""The one resource of such a provider."""


def discovered_provider(name: str, url: str) -> OAuthProvider:
    """Return the provider of an MCP server that is known by its URL only.

    Its authorization server is found at sign-in through RFC 9728 and RFC 8414,
    and the server's own identifier is asked for as RFC 8707 resource.

    Args:
        name: The docked server's name, which is also the grant's.
        url: The server's URL.

    Raises:
        InvalidNameError: The name breaks the rules, or is reserved.
        InsecureEndpointError: The URL is neither https nor loopback http.
    """
    if is_reserved(check_server_name(name)):
        raise InvalidNameError(
            f"{name!r} is a name of Harbor's own and cannot stand for another URL.",
            next_step="Dock the server under a different name.",
        )
    url = canonical_resource(require_endpoint(url, "server URL"))
    resource = Resource(
        name=DISCOVERED_RESOURCE,
        servers=(url,),
        allowed_origins=(origin(url),),
        resource=url,
    )
    return OAuthProvider(
        name=name,
        display_name=name,
        resources=(resource,),
        native_servers=(NativeServer(name=name, resource=DISCOVERED_RESOURCE, url=url),),
    )

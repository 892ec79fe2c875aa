"""A provider as its plugin declares it, but for what a test has to have otherwise."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, ParamSpec
from urllib.parse import urlsplit

import attrs

from harbor_oauth.protocol.http import HttpRequest
from harbor_oauth.protocol.metadata import ServerMetadata
from harbor_oauth.providers import (
    AccountLookup,
    IssuedToken,
    OAuthProvider,
    RedirectRule,
    Resource,
    Revocation,
)
from harbor_oauth.testing.mcp_server import McpServer

__all__ = ["on_free_ports", "rewritten"]

_P = ParamSpec("_P")


def rewritten(provider: OAuthProvider, server: McpServer) -> OAuthProvider:
    """Return a provider whose every request goes to the doubles.

    Only origins change: paths, scopes, parameters, redirect rules and quirks
    stay the vendor's. A resource that is discovered is served by the MCP
    server, any other by its authorization server, where what is none of that
    server's endpoints (an account look-up, say) is ``unknown`` to `script` and
    `count`. Give both doubles the vendor's paths: ``issuer_path`` and ``path``.

    Example:
        >>> Harbor(providers={"linear": rewritten(PROVIDER, mcp_server)})  # doctest: +SKIP

    Args:
        provider: The plugin's provider.
        server: The MCP server; its authorization server is the issuer.
    """
    return attrs.evolve(
        provider,
        resources=tuple(_resource(resource, server) for resource in provider.resources),
        native_servers=tuple(
            attrs.evolve(native, url=_moved(native.url, server.origin)) if native.url else native
            for native in provider.native_servers
        ),
    )


def _resource(resource: Resource, server: McpServer) -> Resource:
    issuer = server.authorization_server
    origin = server.origin if resource.discover else issuer.origin
    return attrs.evolve(
        resource,
        servers=tuple(_moved(url, origin) for url in resource.servers),
        allowed_origins=(origin,),
        issuer=issuer.issuer if resource.issuer else None,
        resource=_moved(resource.resource, origin) if resource.resource else None,
        issuer_hosts=(urlsplit(issuer.origin).hostname or "",) if resource.issuer_hosts else (),
        refresh_endpoint=(
            _moved(resource.refresh_endpoint, issuer.origin) if resource.refresh_endpoint else None
        ),
        metadata=_metadata(resource.metadata, issuer.issuer, issuer.origin),
        account=_account(resource.account, issuer.origin),
        revocation=_revocation(resource.revocation, issuer.origin),
    )


def _moved(url: str, origin: str) -> str:
    parts, there = urlsplit(url), urlsplit(origin)
    return parts._replace(scheme=there.scheme, netloc=there.netloc).geturl()


def _metadata(metadata: ServerMetadata | None, issuer: str, origin: str) -> ServerMetadata | None:
    if metadata is None:
        return None
    endpoints: dict[str, Any] = {
        name: _moved(url, origin)
        for name, url in attrs.asdict(metadata).items()
        if name.endswith("_endpoint") and url
    }
    return attrs.evolve(metadata, issuer=issuer, **endpoints)


def _account(lookup: AccountLookup | None, origin: str) -> AccountLookup | None:
    return lookup and attrs.evolve(lookup, request=_moving(lookup.request, origin))


def _revocation(revocation: Revocation, origin: str) -> Revocation:
    return attrs.evolve(
        revocation,
        endpoint=_moved(revocation.endpoint, origin) if revocation.endpoint else None,
        request=_moving(revocation.request, origin) if revocation.request else None,
        own_api=_moving_own_api(revocation.own_api, origin) if revocation.own_api else None,
    )


def _moving_own_api(
    build: Callable[[IssuedToken], HttpRequest | None], origin: str
) -> Callable[[IssuedToken], HttpRequest | None]:
    def moved(issued: IssuedToken) -> HttpRequest | None:
        request = build(issued)
        return request and attrs.evolve(request, url=_moved(request.url, origin))

    return moved


def _moving(build: Callable[_P, HttpRequest], origin: str) -> Callable[_P, HttpRequest]:
    def moved(*args: _P.args, **kwargs: _P.kwargs) -> HttpRequest:
        request = build(*args, **kwargs)
        return attrs.evolve(request, url=_moved(request.url, origin))

    return moved


def on_free_ports(provider: OAuthProvider) -> OAuthProvider:
    """Return a provider with free ports for its fixed ones, which somebody else may hold now.

    Args:
        provider: The plugin's provider.
    """
    return attrs.evolve(
        provider,
        resources=tuple(
            attrs.evolve(resource, redirect=_on_free_ports(resource.redirect))
            for resource in provider.resources
        ),
    )


def _on_free_ports(rule: RedirectRule) -> RedirectRule:
    if 0 in rule.ports:
        return rule
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in rule.ports]
        for each in held:
            each.bind(("127.0.0.1", 0))
        return attrs.evolve(rule, ports=tuple(each.getsockname()[1] for each in held))

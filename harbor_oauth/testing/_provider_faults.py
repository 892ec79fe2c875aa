"""Faults in a provider's data, each told in one sentence.

Nothing is asked of any server: these are the mistakes that can be seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

import attrs

from harbor_oauth.errors import HarborError, InvalidNameError
from harbor_oauth.protocol.client_auth import PRIVATE_KEY_JWT, SECRET_METHODS
from harbor_oauth.protocol.urls import origin
from harbor_oauth.providers import (
    IssuedToken,
    NativeServer,
    OAuthProvider,
    Registration,
    Resource,
    Secret,
    check_server_name,
)

__all__ = [
    "constant_faults",
    "data_faults",
    "name_faults",
    "origin_faults",
    "pkce_faults",
    "redirect_uris",
    "registration_faults",
    "scope_faults",
    "url_faults",
]

# RFC 6749 §3.3, without the comma: where it joins scopes it can be in none.
_SCOPE: Final = re.compile(r"[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+")
_SEPARATORS: Final = (" ", ",")
_HOSTS: Final = ("127.0.0.1", "::1", "localhost")
_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_HIGHEST_PORT: Final = 65535
_DUMMY: Final = Secret("dummy-canary")


def data_faults(provider: OAuthProvider, without_s256: Mapping[str, str]) -> list[str]:
    """Return everything that is wrong with a provider's data.

    Args:
        provider: The provider.
        without_s256: Why a resource's pinned metadata does not name S256, by resource.
    """
    return [
        *name_faults(provider),
        *url_faults(provider),
        *origin_faults(provider),
        *pkce_faults(provider, without_s256),
        *scope_faults(provider),
        *registration_faults(provider),
        *constant_faults(provider),
    ]


def redirect_uris(resource: Resource) -> tuple[str, ...]:
    """Return the redirect URIs to register by hand; without a port where any will do."""
    rule = resource.redirect
    if rule.paste:
        return (rule.paste_uri or "",)
    host = f"[{rule.host}]" if ":" in rule.host else rule.host
    ports = ("" if port == 0 else f":{port}" for port in rule.ports)
    return tuple(f"http://{host}{port}/callback" for port in ports)


# --- names ------------------------------------------------------------------------


def name_faults(provider: OAuthProvider) -> Iterator[str]:
    """Tell which names cannot be used, or mislead."""
    natives = [native.name for native in provider.native_servers]
    for name in (provider.name, *(resource.name for resource in provider.resources), *natives):
        try:
            check_server_name(name)
        except InvalidNameError as error:
            yield error.message
    if not provider.display_name or not provider.servers_label:
        yield "display_name or servers_label is empty"
    for variable in provider.environment:
        if not _VARIABLE.fullmatch(variable):
            yield f"{variable!r} is not the name of an environment variable"
    yield from _native_name_faults(provider, natives)
    known = {resource.name for resource in provider.resources}
    for native in provider.native_servers:
        yield from _native_faults(provider, native, known)


def _native_name_faults(provider: OAuthProvider, natives: list[str]) -> Iterator[str]:
    if natives and natives[0] != provider.name:
        yield f"the first native server is {natives[0]!r}, which is not the provider's name"
    for name in natives[1:]:
        if not name.startswith(f"{provider.name}-"):
            yield f"the native server {name!r} does not begin with {provider.name}-"
    if len(set(natives)) != len(natives):
        yield "two native servers have one name"


def _native_faults(provider: OAuthProvider, native: NativeServer, known: set[str]) -> Iterator[str]:
    if (native.url is None) == (not native.command):
        yield f"the native server {native.name!r} needs either a URL or a command"
    for resource in (native.resource, *native.other_resources):
        if resource not in known:
            yield f"the native server {native.name!r} is of an unknown resource, {resource!r}"
    reference = re.compile(rf"vault:oauth:{re.escape(provider.name)}(/[a-z0-9-]+)?:access_token")
    for name, value in (*native.headers.items(), *native.env.items()):
        if "vault:" in value and not reference.search(value):
            yield f"{name} of {native.name!r} refers to something else than an own access token"


# --- URLs -------------------------------------------------------------------------


def url_faults(provider: OAuthProvider) -> Iterator[str]:
    """Tell which URLs are not https, and which requests put a token into one."""
    for what, url in _urls(provider):
        parts = urlsplit(url)
        plain = parts.scheme == "https" and parts.hostname and "@" not in parts.netloc
        if not plain or "#" in url or re.search(r"\s", url):
            yield f"{what} is not an https URL: {url!r}"
    for resource in provider.resources:
        for what, url in _built(resource):
            if _DUMMY.reveal() in url:
                yield f"{what} of {resource.name} has the token in its URL"


def _urls(provider: OAuthProvider) -> Iterator[tuple[str, str]]:
    if provider.documentation is not None:
        yield "documentation", provider.documentation
    for native in provider.native_servers:
        if native.url is not None:
            yield f"the URL of {native.name}", native.url
    for resource in provider.resources:
        for what, url in _urls_of(resource):
            yield f"{what} of {resource.name}", url


def _urls_of(resource: Resource) -> Iterator[tuple[str, str]]:
    yield from (("a server", url) for url in resource.servers)
    yield from (("an allowed origin", url) for url in resource.allowed_origins)
    single = {
        "issuer": resource.issuer,
        "resource": resource.resource,
        "refresh_endpoint": resource.refresh_endpoint,
        "the revocation endpoint": resource.revocation.endpoint,
        "paste_uri": resource.redirect.paste_uri,
        "manage_url": resource.manage_url,
        "registration_url": resource.registration_url,
    }
    if resource.metadata is not None:
        members = attrs.asdict(resource.metadata).items()
        single |= {name: url for name, url in members if name.endswith(("issuer", "_endpoint"))}
    yield from ((what, url) for what, url in single.items() if url is not None)
    yield from _built(resource)


def _built(resource: Resource) -> Iterator[tuple[str, str]]:
    """Yield the URLs of the requests that a plugin's functions build."""
    revocation = resource.revocation
    if resource.account is not None:
        yield "the account look-up", resource.account.request(_DUMMY).url
    for kind in ("refresh_token", "access_token"):
        if revocation.request is not None:
            yield "the revocation", revocation.request(_DUMMY, kind, "client").url
        if revocation.own_api is not None:
            request = revocation.own_api(IssuedToken(_DUMMY, kind, "client", _DUMMY))
            if request is not None:
                yield "the revocation", request.url


def origin_faults(provider: OAuthProvider) -> Iterator[str]:
    """Tell where a token is meant to go although its resource does not allow it."""
    allowed = {resource.name: set(resource.allowed_origins) for resource in provider.resources}
    own = set().union(*allowed.values())
    for resource in provider.resources:
        yield from _resource_origin_faults(resource, own)
    for native in provider.native_servers:
        for name in (native.resource, *native.other_resources):
            if native.url is not None and _origin(native.url) not in allowed.get(name, ()):
                yield f"{native.name} is at an origin that {name} does not allow"


def _resource_origin_faults(resource: Resource, own: set[str]) -> Iterator[str]:
    if not resource.allowed_origins:
        yield f"{resource.name} allows no origin at all"
    for url in resource.allowed_origins:
        if _origin(url) != url:
            yield f"an allowed origin of {resource.name} is not a bare origin: {url!r}"
    for url in resource.servers:
        if _origin(url) not in resource.allowed_origins:
            yield f"a server of {resource.name} is at an origin it does not allow: {url!r}"
    if resource.account is not None:
        there = _origin(resource.account.request(_DUMMY).url)
        others = attrs.evolve(resource, account=None)
        if there not in own | {_origin(url) for _, url in _urls_of(others)}:
            yield f"the account look-up of {resource.name} sends the token to {there}"


def _origin(url: str) -> str | None:
    try:
        return origin(url)
    except (HarborError, ValueError):
        return None


# --- what goes over the wire ------------------------------------------------------


def pkce_faults(provider: OAuthProvider, without_s256: Mapping[str, str]) -> Iterator[str]:
    """Tell which pinned metadata does not name S256, and no reason is given."""
    for resource in provider.resources:
        if resource.metadata is None or without_s256.get(resource.name):
            continue
        if "S256" not in (resource.metadata.code_challenge_methods_supported or ()):
            yield f"the pinned metadata of {resource.name} does not name S256 (RFC 7636)"


def scope_faults(provider: OAuthProvider) -> Iterator[str]:
    """Tell which scopes could not be joined, or not be read by anybody."""
    groups = {f"{native.name}'s scopes": native.scopes for native in provider.native_servers}
    for resource in provider.resources:
        separator = resource.scope_separator
        if separator not in _SEPARATORS:
            yield f"the scope separator of {resource.name} is {separator!r}, not a space or comma"
        groups[f"{resource.name}'s scopes"] = resource.scopes or ()
        groups[f"{resource.name}'s scopes for reading"] = resource.read_only_scopes or ()
    for what, scopes in groups.items():
        for scope in scopes:
            if not _SCOPE.fullmatch(scope):
                yield f"one of {what} is no scope (RFC 6749 §3.3): {scope!r}"
        if len(set(scopes)) != len(scopes):
            yield f"one of {what} is there twice"


def constant_faults(provider: OAuthProvider) -> Iterator[str]:
    """Tell what of encoding, client authentication, redirects and endpoints cannot be."""
    for resource in provider.resources:
        if resource.token_encoding not in ("form", "json"):
            yield f"token_encoding of {resource.name} is neither form nor json"
        method = resource.token_endpoint_auth_method
        if method not in (None, "none", *SECRET_METHODS, PRIVATE_KEY_JWT):
            yield f"{resource.name} has an unknown token_endpoint_auth_method: {method!r}"
        if resource.secret_required and method == "none":
            yield f"{resource.name} requires a secret that it does not send"
        yield from _redirect_faults(resource)
        yield from _endpoint_faults(resource)


def _redirect_faults(resource: Resource) -> Iterator[str]:
    rule = resource.redirect
    if rule.host not in _HOSTS:
        yield f"the redirect host of {resource.name} is none of {', '.join(_HOSTS)}"
    if not rule.ports or not all(0 <= port <= _HIGHEST_PORT for port in rule.ports):
        yield f"{resource.name} has an impossible redirect port"
    if rule.paste != (rule.paste_uri is not None):
        yield f"{resource.name} needs both paste and paste_uri, or neither"


def _endpoint_faults(resource: Resource) -> Iterator[str]:
    """Tell what is neither pinned nor can be found."""
    metadata = resource.metadata
    if resource.discover:
        if not resource.servers:
            yield f"{resource.name} is to be discovered and names no server to ask"
        return
    if metadata is None or not (metadata.authorization_endpoint and metadata.token_endpoint):
        yield f"{resource.name} is not discovered, and its endpoints are not pinned"
        return
    ways = resource.registration
    if Registration.DYNAMIC in ways and not metadata.registration_endpoint:
        yield f"{resource.name} registers clients and pins no registration_endpoint"
    known = metadata.client_id_metadata_document_supported
    if Registration.METADATA_DOCUMENT in ways and not known:
        yield f"{resource.name} takes metadata documents, and its pinned metadata does not say so"


# --- coming by a client -----------------------------------------------------------


def registration_faults(provider: OAuthProvider) -> Iterator[str]:
    """Tell where a person would not learn how to come by a client, or how to end a grant."""
    for resource in provider.resources:
        if not resource.registration:
            yield f"{resource.name} has no way to come by a client"
        if set(resource.registration) == {Registration.OWN_PAPERS}:
            if not resource.registration_url or not resource.registration_steps:
                yield f"{resource.name} needs an app, and does not say how to register one"
            steps = " ".join(resource.registration_steps)
            for uri in redirect_uris(resource):
                fixed = resource.redirect.paste or resource.redirect.ports != (0,)
                if fixed and uri not in steps:
                    yield f"the registration steps of {resource.name} do not name {uri}"
        if not resource.revocation.possible and not resource.manage_url:
            yield f"{resource.name} cannot be revoked, and has no manage_url to do it by hand"

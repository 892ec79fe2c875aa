"""Write docs/providers/README.md: what each provider is, and the requests it sends.

python scripts/provider_table.py

The requests are made by the functions that a sign-in makes them with.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from harbor_oauth.errors import TransportError
from harbor_oauth.flows import exchange_code
from harbor_oauth.flows.discovery import Discovery
from harbor_oauth.flows.tokens import refresh_access_token
from harbor_oauth.login.clients import ChosenClient
from harbor_oauth.login.pending import prepare, token_endpoint
from harbor_oauth.protocol.client_auth import ClientCredentials, choose_auth_method
from harbor_oauth.protocol.http import HttpRequest, HttpResponse, Transport
from harbor_oauth.providers import OAuthProvider, Resource, Secret, ServerMetadata
from harbor_oauth.registry import Registry

ROOT: Final = Path(__file__).resolve().parents[1]
TARGET: Final = ROOT / "docs" / "providers" / "README.md"
PREFIX: Final = "harbor-oauth-"

HEAD: Final = """\
# Providers

This page is made from the plugins by `scripts/provider_table.py`. Each plugin's own README says
how to register an app there, with date and source of every fact.

| Provider | Servers | Flow | Grants |
| --- | --- | --- | --- |
"""
REQUESTS: Final = """
## Requests

What a sign-in with each grant sends where nothing is discovered that says otherwise: the URL for
the browser, the exchange of the code, a refresh. In capitals is what differs from one sign-in to
the next; `{authorization_endpoint}` and `{token_endpoint}` are known from the server's metadata
only. A client secret is shown where one is required. PKCE is sent to every vendor, also where its
own flow does not mention it.

| grant | step | request |
| --- | --- | --- |
"""
_FOUND: Final = "https://discovered.invalid"


def plugins() -> list[OAuthProvider]:
    """Return the providers of this tree, sorted by name."""
    names = sorted(path.name.removeprefix(PREFIX) for path in ROOT.glob(f"plugins/{PREFIX}*"))
    found = [Registry().provider(name) for name in names]
    return [provider for provider in found if isinstance(provider, OAuthProvider)]


def text() -> str:
    """Return the whole page."""
    providers = plugins()
    rows = [
        f"| [{each.display_name}](../../plugins/{PREFIX}{each.name}/README.md) "
        f"| {each.servers_label} | {each.flow.value} | {', '.join(_grants(each))} |"
        for each in providers
    ]
    requests = [
        f"| `{provider.name}/{resource.name}` | {step} | `{request}` |"
        for provider in providers
        for resource in provider.resources
        for step, request in _requests(resource)
    ]
    return HEAD + "\n".join(rows) + "\n" + REQUESTS + "\n".join(requests) + "\n"


def _grants(provider: OAuthProvider) -> Iterator[str]:
    """Yield the grants' names; the default one is the provider's."""
    default = provider.resource()
    for resource in provider.resources:
        name = f"{provider.name}/{resource.name}"
        yield f"`{provider.name}` (`{name}`)" if resource is default else f"`{name}`"


def _requests(resource: Resource) -> Iterator[tuple[str, str]]:
    metadata = resource.metadata or ServerMetadata(
        resource.issuer or _FOUND,
        authorization_endpoint=f"{_FOUND}/authorization_endpoint",
        token_endpoint=f"{_FOUND}/token_endpoint",
    )
    discovery = Discovery(metadata, resource.resource, resource.scopes or None)
    client = ChosenClient(_client(resource, metadata))
    request = prepare(
        resource,
        discovery,
        client,
        redirect_uri=_redirect_uri(resource),
        scopes=discovery.scopes or (),
        entropy=bytes,
    )
    fleeting = {request.state.reveal(): "STATE", request.pkce.code_challenge: "CODE_CHALLENGE"}
    yield "sign in", _named(request.url(), fleeting)
    endpoint = token_endpoint(resource, discovery, client, None)

    def exchange(transport: Transport) -> None:
        exchange_code(
            transport,
            endpoint,
            code=Secret("CODE"),
            code_verifier=Secret("CODE_VERIFIER"),
            redirect_uri=_redirect_uri(resource),
            requested_scopes=(),
            clock=float,
        )

    def refresh(transport: Transport) -> None:
        refresh_access_token(
            transport,
            attrs.evolve(endpoint, url=resource.refresh_endpoint or endpoint.url),
            refresh_token=Secret("REFRESH_TOKEN"),
            granted_scopes=(),
            clock=float,
        )

    yield "code", _shown(_sent(exchange))
    yield "refresh", _shown(_sent(refresh))


def _sent(ask: Callable[[Transport], None]) -> HttpRequest:
    """Return the request that is made, which nobody answers."""
    sent: list[HttpRequest] = []

    def keep(request: HttpRequest) -> HttpResponse:
        sent.append(request)
        return HttpResponse(503, {}, b"", request.url)

    with suppress(TransportError):
        ask(keep)
    return sent[0]


def _client(resource: Resource, metadata: ServerMetadata) -> ClientCredentials:
    """Return a client, with a secret where one is required."""
    if not resource.secret_required:
        return ClientCredentials("CLIENT_ID")
    supported = metadata.token_endpoint_auth_methods_supported
    method = resource.token_endpoint_auth_method or choose_auth_method(supported, has_secret=True)
    return ClientCredentials("CLIENT_ID", Secret("CLIENT_SECRET"), method)


def _redirect_uri(resource: Resource) -> str:
    rule = resource.redirect
    if rule.paste:
        return rule.paste_uri or ""
    return f"http://{rule.host}:{rule.ports[0] or 'PORT'}/callback"


def _shown(request: HttpRequest) -> str:
    """Return a request on one line: method, URL, fields, body."""
    fields = {name: value for name, value in request.headers.items() if name != "Accept"}
    authorization = fields.get("Authorization", "")
    if authorization.startswith("Basic "):
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        fields["Authorization"] = f"Basic base64({pair})"
    told = [f"{name}: {value}" for name, value in sorted(fields.items())]
    line = [f"{request.method} {request.url}", *told, (request.body or b"").decode()]
    return _named(" · ".join(line), {})


def _named(line: str, names: dict[str, str]) -> str:
    for value, name in names.items():
        line = line.replace(value, name)
    for endpoint in ("authorization_endpoint", "token_endpoint"):
        line = line.replace(f"{_FOUND}/{endpoint}", f"{{{endpoint}}}")
    return line


if __name__ == "__main__":
    target = Path(sys.argv[1]) if sys.argv[1:] else TARGET
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text(), encoding="utf-8")
    print(f"Wrote {target}")

"""One resource of a provider, signed in to with doubles in the vendor's place."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs

from harbor_oauth.client import Harbor
from harbor_oauth.login import LoginSession
from harbor_oauth.providers import OAuthProvider, Registration, Resource
from harbor_oauth.testing import answers
from harbor_oauth.testing._browser import follow
from harbor_oauth.testing._clock import Clock
from harbor_oauth.testing._loopback import RecordedRequest
from harbor_oauth.testing._provider_answers import RecordedAnswer
from harbor_oauth.testing._provider_double import VendorServer, advertise, vendor_server
from harbor_oauth.testing._provider_faults import redirect_uris
from harbor_oauth.testing.mcp_server import McpServer
from harbor_oauth.testing.rewriting import on_free_ports, rewritten
from harbor_oauth.vault import GrantRecord

__all__ = ["CANARY", "SECRET", "Rehearsal", "rehearsed", "ways_of"]

CANARY: Final = "canary-of-the-kit"
SECRET: Final = f"{CANARY}-secret+/=&"
_CLIENT_ID: Final = "app"
_DOCUMENT: Final = "https://client.example/client.json"
_SOON: Final = 10.0
_SECRET_METHODS: Final = ("client_secret_basic", "client_secret_post")


@attrs.frozen(eq=False)
class Rehearsal:
    """What a sign-in is played with.

    Attributes:
        grant: The grant's name.
        resource: The resource, its URLs moved to the doubles.
        vendor: The authorization server, and every API of the vendor's.
        server: The MCP server, for a resource that is discovered.
        harbor: A Harbor that knows the provider by its moved URLs.
        clock: Its time.
        has_secret: Whether the client has a secret.
    """

    grant: str
    resource: Resource
    vendor: VendorServer
    server: McpServer
    harbor: Harbor
    clock: Clock
    has_secret: bool

    def begin(self) -> LoginSession:
        """Begin a sign-in, up to the URL for the browser."""
        return self.harbor.begin_login(self.grant)

    def sign_in(self) -> GrantRecord:
        """Sign in as the person would: by the browser's redirect, or by pasting its URL."""
        with self.begin() as session:
            location = redirected(session.url)
            if self.resource.redirect.paste:
                session.submit(location)
            else:
                follow(location)
            return session.wait(_SOON)

    def answer(self, session: LoginSession, **changes: str) -> GrantRecord:
        """Bring a sign-in its answer with some parameters changed.

        Raises:
            HarborError: The answer was refused.
        """
        location = urlsplit(redirected(session.url))
        query = urlencode(dict(parse_qsl(location.query)) | changes)
        session.submit(location._replace(query=query).geturl())
        return session.wait(_SOON)

    def asked(self, kind: str) -> list[RecordedRequest]:
        """Return the token requests of a grant type."""
        return [
            each
            for each in self.vendor.requests
            if each.endpoint == "token" and each.parameters.get("grant_type") == kind
        ]

    def script_account(self, recorded: RecordedAnswer | None) -> None:
        """Let the vendor's API say who signed in."""
        if recorded is not None:
            self.vendor.script("unknown", _said(recorded))


def _said(recorded: RecordedAnswer) -> answers.Answer:
    response = recorded.response()
    fields = {name: value for name, value in response.headers.items() if name != "content-type"}
    return answers.json(response.body, response.status, fields)


def redirected(url: str) -> str:
    """Return where the authorization endpoint sends the browser.

    Raises:
        AssertionError: It shows a page instead, as for a request it refuses.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_SOON)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        page = answer.read()
    finally:
        connection.close()
    location = answer.headers.get("Location")
    assert location is not None, f"the authorization request was refused: {page!r}"
    return location


@contextmanager
def rehearsed(
    provider: OAuthProvider,
    name: str,
    recorded: Sequence[RecordedAnswer],
    home: Path,
    way: Registration | None = None,
    *,
    secret: bool = True,
) -> Iterator[Rehearsal]:
    """Set the scene for one resource.

    Args:
        provider: The plugin's provider.
        name: The resource's name.
        recorded: Recorded answers of the vendor.
        home: An empty directory.
        way: How the client is come by; the first of the resource's ways when left out.
        secret: Whether own papers have a secret, where that is left to the client.
    """
    resource, clock = provider.resource(name), Clock()
    way = way or resource.registration[0]
    fitting = [each for each in recorded if each.resource == name]
    with ExitStack() as stack:
        vendor = vendor_server(provider, resource, fitting, clock=clock, canary=CANARY)
        stack.enter_context(vendor)
        advertise(vendor, way)
        path = urlsplit(resource.servers[0]).path if resource.servers else ""
        server = stack.enter_context(McpServer(vendor, path=path or "/", clock=clock))
        moved = on_free_ports(rewritten(provider, server))
        there = moved.resource(name)
        server.metadata["resource"] = there.resource or (there.servers or (server.url,))[0]
        method = add_client(vendor, there, way, secret=secret)
        harbor = Harbor(
            home=home,
            environ={"HARBOR_VAULT": "memory"},
            clock=clock,
            monotonic=clock.monotonic,
            providers={provider.name: moved},
            client_metadata_url=_DOCUMENT if way is Registration.METADATA_DOCUMENT else None,
        )
        stack.callback(harbor.close)
        if way is Registration.OWN_PAPERS:
            key = f"oauth:{provider.name}/{name}:client"
            harbor.vault.set(f"{key}_id", _CLIENT_ID)
            if method in _SECRET_METHODS:
                harbor.vault.set(f"{key}_secret", SECRET)
        has_secret = way is Registration.OWN_PAPERS and method in _SECRET_METHODS
        grant = f"{provider.name}/{name}"
        yield Rehearsal(grant, there, vendor, server, harbor, clock, has_secret)


def ways_of(resource: Resource) -> Iterator[tuple[Registration, bool]]:
    """Yield the ways to come by a client, and whether it has a secret if it may have one."""
    for way in resource.registration:
        yield way, True
        optional = resource.token_endpoint_auth_method in _SECRET_METHODS
        if way is Registration.OWN_PAPERS and optional and not resource.secret_required:
            yield way, False


def add_client(vendor: VendorServer, resource: Resource, way: Registration, *, secret: bool) -> str:
    """Register the client by hand, or publish its document; return how it authenticates."""
    uris = redirect_uris(resource)
    if way is Registration.METADATA_DOCUMENT:
        document = {"client_id": _DOCUMENT, "redirect_uris": list(uris)}
        vendor.client_documents[_DOCUMENT] = document
    if way is not Registration.OWN_PAPERS:
        return "none"
    method = _method(resource) if secret else "none"
    vendor.add_client(
        client_id=_CLIENT_ID,
        client_secret=SECRET if method in _SECRET_METHODS else None,
        token_endpoint_auth_method=method,
        redirect_uris=uris,
    )
    return method


def _method(resource: Resource) -> str:
    """Return how own papers authenticate: as declared, else as the metadata says."""
    declared, metadata = resource.token_endpoint_auth_method, resource.metadata
    if declared is not None or not resource.secret_required:
        return declared or "none"
    supported = (metadata and metadata.token_endpoint_auth_methods_supported) or ()
    return next((each for each in _SECRET_METHODS if each in supported), _SECRET_METHODS[0])

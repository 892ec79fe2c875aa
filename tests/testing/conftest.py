"""A plain HTTP client and a sign-in done by hand, on the standard library alone."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs
import pytest

from harbor_oauth.testing import AuthorizationServer, Client
from harbor_oauth.testing.fixtures import authorization_server, mcp_server

__all__ = ["authorization_server", "mcp_server"]  # pytest finds fixtures by name

VERIFIER = "v" * 43
REDIRECT_URI = "http://127.0.0.1:4711/callback"


@attrs.frozen
class Reply:
    """One answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def sent_back(self) -> dict[str, str]:
        """The parameters of the redirect."""
        return dict(parse_qsl(urlsplit(self.headers["Location"]).query))


Ask: TypeAlias = Callable[..., Reply]


@pytest.fixture
def ask() -> Ask:
    """Make one request, without redirects and proxies."""

    def request(
        url: str,
        *,
        method: str | None = None,
        form: object = None,
        content: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        parts = urlsplit(url)
        fields = dict(headers or {})
        body: bytes | None = None
        if form is not None:
            body = urlencode(form, doseq=True).encode()  # type: ignore[arg-type] # dict or pairs
            fields.setdefault("Content-Type", "application/x-www-form-urlencoded")
        elif content is not None:
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            fields.setdefault("Content-Type", "application/json")
        assert parts.hostname
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
        try:
            target = parts._replace(scheme="", netloc="").geturl()
            connection.request(method or ("GET" if body is None else "POST"), target, body, fields)
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    return request


@attrs.frozen
class User:
    """A client that signs in by hand at one server."""

    server: AuthorizationServer
    ask: Ask
    client: Client

    def url(self, **changes: str | list[str] | None) -> str:
        """Build an authorization URL; None leaves a parameter out."""
        digest = hashlib.sha256(VERIFIER.encode()).digest()
        parameters: dict[str, str | list[str] | None] = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": REDIRECT_URI,
            "state": "state-1",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        parameters |= changes
        present = {name: value for name, value in parameters.items() if value is not None}
        return f"{self.server.metadata['authorization_endpoint']}?{urlencode(present, doseq=True)}"

    def authorize(self, **changes: str | list[str] | None) -> Reply:
        """Ask for a code."""
        return self.ask(self.url(**changes))

    def token(self, **parameters: str | list[str] | None) -> Reply:
        """Ask the token endpoint as a public client."""
        form = {"client_id": self.client.client_id} | parameters
        present = {name: value for name, value in form.items() if value is not None}
        return self.ask(str(self.server.metadata["token_endpoint"]), form=present)

    def redeem(self, code: str, /, **changes: str | list[str] | None) -> Reply:
        """Exchange a code."""
        parameters: dict[str, str | list[str] | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT_URI,
            "code_verifier": VERIFIER,
        }
        return self.token(**(parameters | changes))

    def refresh(self, refresh_token: str, **changes: str | list[str] | None) -> Reply:
        """Exchange a refresh token."""
        return self.token(grant_type="refresh_token", refresh_token=refresh_token, **changes)

    def sign_in(self, **changes: str | list[str] | None) -> Any:
        """Go all the way and return the first token answer."""
        reply = self.redeem(self.authorize(**changes).sent_back["code"])
        assert reply.status == 200
        return reply.json


@pytest.fixture
def user(authorization_server: AuthorizationServer, ask: Ask) -> User:
    """Give a public client at the server of the fixture."""
    client = authorization_server.add_client(redirect_uris=[REDIRECT_URI])
    return User(authorization_server, ask, client)


@pytest.fixture
def new_user(ask: Ask) -> Callable[[AuthorizationServer], User]:
    """Give a public client at a server of the test's own."""

    def make(server: AuthorizationServer, **options: Any) -> User:
        return User(server, ask, server.add_client(redirect_uris=[REDIRECT_URI], **options))

    return make


@attrs.define
class Clock:
    """A clock that moves when told."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Give a clock that moves when told."""
    return Clock()

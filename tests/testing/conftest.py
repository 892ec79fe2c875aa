"""A plain HTTP client, a sign-in done by hand, and a key that signs; nothing of the library's."""

from __future__ import annotations

import base64
import hashlib
import http.client
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256

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

    def post(
        self,
        endpoint: str,
        /,
        *,
        headers: Mapping[str, str] | None = None,
        **parameters: str | list[str] | None,
    ) -> Reply:
        """Ask an endpoint by its word as a public client."""
        form = {"client_id": self.client.client_id} | parameters
        present = {name: value for name, value in form.items() if value is not None}
        return self.ask(f"{self.server.base}/{endpoint}", form=present, headers=headers)

    def token(self, **parameters: Any) -> Reply:
        """Ask the token endpoint as a public client."""
        return self.post("token", **parameters)

    def redeem(self, code: str, /, **changes: Any) -> Reply:
        """Exchange a code."""
        parameters: dict[str, Any] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT_URI,
            "code_verifier": VERIFIER,
        }
        return self.token(**(parameters | changes))

    def refresh(self, refresh_token: str, **changes: Any) -> Reply:
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


def encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def number(value: int) -> str:
    return encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@attrs.frozen
class Key:
    """A private key that signs JWTs, written apart from every other code that does."""

    alg: str
    private: Any
    serial: Iterator[int] = attrs.field(factory=itertools.count)

    @property
    def jwk(self) -> dict[str, str]:
        """The public half."""
        if self.alg == "EdDSA":
            raw = self.private.public_key().public_bytes_raw()
            return {"kty": "OKP", "crv": "Ed25519", "x": encoded(raw)}
        numbers = self.private.public_key().public_numbers()
        if self.alg == "ES256":
            x, y = (encoded(value.to_bytes(32, "big")) for value in (numbers.x, numbers.y))
            return {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        return {"kty": "RSA", "e": number(numbers.e), "n": number(numbers.n)}

    @property
    def jkt(self) -> str:
        """The thumbprint (RFC 7638)."""
        canonical = json.dumps(self.jwk, sort_keys=True, separators=(",", ":"))
        return encoded(hashlib.sha256(canonical.encode()).digest())

    def jwt(self, claims: Mapping[str, object], /, **header: object) -> str:
        """Sign claims."""
        parts = ({"alg": self.alg} | header, {k: v for k, v in claims.items() if v is not None})
        signing_input = ".".join(encoded(json.dumps(part).encode()) for part in parts)
        return f"{signing_input}.{encoded(self._sign(signing_input.encode()))}"

    def _sign(self, octets: bytes) -> bytes:
        match self.alg:
            case "ES256":
                der = self.private.sign(octets, ec.ECDSA(SHA256()))
                return b"".join(n.to_bytes(32, "big") for n in utils.decode_dss_signature(der))
            case "EdDSA":
                return bytes(self.private.sign(octets))
            case "PS256":
                scheme: Any = padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH)
            case _:
                scheme = padding.PKCS1v15()
        return bytes(self.private.sign(octets, scheme, SHA256()))

    def proof(
        self,
        method: str,
        url: str,
        *,
        now: float,
        access_token: str | None = None,
        header: Mapping[str, object] | None = None,
        **changes: object,
    ) -> dict[str, str]:
        """Return the DPoP field for a request; None leaves a claim out."""
        ath = access_token and encoded(hashlib.sha256(access_token.encode()).digest())
        claims = {"jti": f"j{next(self.serial)}", "htm": method, "htu": url, "iat": now, "ath": ath}
        fields = {"typ": "dpop+jwt", "jwk": self.jwk} | dict(header or {})
        return {"DPoP": self.jwt(claims | changes, **fields)}


def private_key(alg: str) -> Any:
    match alg:
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def new_key() -> Callable[..., Key]:
    """Make keys."""

    def make(alg: str = "ES256") -> Key:
        return Key(alg, private_key(alg))

    return make


@pytest.fixture
def key(new_key: Callable[..., Key]) -> Key:
    """Give a key."""
    return new_key()

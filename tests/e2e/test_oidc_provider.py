"""What a modern authorization server offers, with a real one: each feature on, in turn."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from pytest_httpserver import HTTPServer

from harbor_oauth.protocol.client_metadata import client_metadata_document
from harbor_oauth.providers import discovered_provider
from harbor_oauth.secret import Secret
from harbor_oauth.signing import SigningKey, dpop_proof

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor
    from tests.e2e.conftest import McpServer, OidcProvider
    from tests.e2e.person import Person

pytestmark = pytest.mark.e2e

PATIENCE = 30  # seconds; a person without a real browser needs less than one

HarborFor = Callable[..., "Harbor"]

HEADERS = {"Accept": "application/json, text/event-stream"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


@pytest.fixture
def harbor_for(harbor_with: Callable[..., Harbor]) -> HarborFor:
    """Make a Harbor that knows an MCP server as ``real``."""

    def make(server: McpServer, **parts: object) -> Harbor:
        return harbor_with(providers={"real": discovered_provider("real", server.url)}, **parts)

    return make


def an_hour_later() -> float:
    """A clock by which every access token has expired."""
    return time.time() + 3601


def initialize(harbor: Harbor, server: McpServer) -> int:
    """Begin to speak MCP with the grant's token; return the status."""
    return harbor.session("real").post(server.url, json=INITIALIZE, headers=HEADERS).status_code


def direct(method: str, url: str, **options: Any) -> requests.Response:
    """Send a request of the test's own."""
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, timeout=30, allow_redirects=False, **options)


def introspection(provider: OidcProvider, token: str) -> dict[str, Any]:
    """Return what the server says of a token (RFC 7662)."""
    url = f"{provider.origin}/token/introspection"
    credentials = (provider.client_id, provider.client_secret)
    answer: dict[str, Any] = direct("POST", url, data={"token": token}, auth=credentials).json()
    return answer


def metadata(provider: OidcProvider) -> dict[str, Any]:
    """Return the server's metadata."""
    url = f"{provider.origin}/.well-known/openid-configuration"
    answer: dict[str, Any] = direct("GET", url).json()
    return answer


def authorization_request(provider: OidcProvider, person: Person) -> dict[str, list[str]]:
    """Return the parameters that went through the browser."""
    where = metadata(provider)["authorization_endpoint"]
    (page,) = [page for page in person.pages if page.startswith(f"{where}?")]
    return parse_qs(urlsplit(page).query)


# --- pushed authorization requests (RFC 9126) -------------------------------
@pytest.mark.parametrize("pushed", ["offered", "required"])
def test_the_request_is_pushed(
    start_oidc_provider: Callable[..., OidcProvider],
    start_mcp_server: Callable[..., McpServer],
    harbor_for: HarborFor,
    person: Person,
    pushed: str,
) -> None:
    """Where it can be pushed it is: the browser carries a reference and the client, no more."""
    provider = start_oidc_provider(pushed=pushed)
    server = start_mcp_server(provider)
    harbor = harbor_for(server)
    harbor.login("real", timeout=PATIENCE)
    assert authorization_request(provider, person).keys() == {"client_id", "request_uri"}
    assert initialize(harbor, server) == 200


def test_the_server_requires_pushing(start_oidc_provider: Callable[..., OidcProvider]) -> None:
    """So the test above cannot pass without it: an ordinary request is refused."""
    for pushed, refused in (("offered", False), ("required", True)):
        provider = start_oidc_provider(pushed=pushed)
        where = metadata(provider)
        client = {"redirect_uris": ["https://client.test/callback"]}
        registered = direct("POST", where["registration_endpoint"], json=client).json()
        query = {
            "client_id": registered["client_id"],
            "redirect_uri": "https://client.test/callback",
            "response_type": "code",
            "scope": "openid",
            "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            "code_challenge_method": "S256",
        }
        answer = direct("GET", f"{where['authorization_endpoint']}?{urlencode(query)}")
        assert ("error=invalid_request" in answer.headers["Location"]) == refused


# --- tokens bound to a key (RFC 9449) ---------------------------------------
@pytest.mark.parametrize("dpop", ["on", "nonce"])
def test_a_bound_grant(
    start_oidc_provider: Callable[..., OidcProvider],
    start_mcp_server: Callable[..., McpServer],
    harbor_for: HarborFor,
    tmp_path: Path,
    dpop: str,
) -> None:
    """Sign-in, use, refresh by another process, use: always with proofs, with nonces if asked."""
    provider = start_oidc_provider(dpop=dpop)
    server = start_mcp_server(provider, dpop=dpop)
    harbor = harbor_for(server)
    harbor.login("real", timeout=PATIENCE)
    assert initialize(harbor, server) == 200
    token = harbor.token("real").reveal()
    assert introspection(provider, token)["token_type"] == "DPoP"
    assert uses_of_a_thief(server, token) == [401, 401]

    later = harbor_for(server, clock=an_hour_later)
    renewed = later.token("real").reveal()
    assert renewed != token
    bound_to = introspection(provider, renewed)["cnf"]
    assert bound_to == introspection(provider, token)["cnf"]
    assert initialize(harbor_for(server), server) == 200

    (key,) = harbor.vault.grants()
    found = harbor.vault.grant(key)
    assert found is not None
    assert found[0].dpop_key is not None
    assert_nowhere(tmp_path / "home", found[0].dpop_key.reveal(), token, renewed)


def test_no_proof_is_sent_where_none_is_asked_for(
    start_oidc_provider: Callable[..., OidcProvider],
    start_mcp_server: Callable[..., McpServer],
    harbor_for: HarborFor,
) -> None:
    """A server that offers bound tokens does not get them asked for a Bearer resource."""
    provider = start_oidc_provider(dpop="on")
    server = start_mcp_server(provider)
    harbor = harbor_for(server)
    harbor.login("real", timeout=PATIENCE)
    assert introspection(provider, harbor.token("real").reveal())["token_type"] == "Bearer"
    assert initialize(harbor, server) == 200


def uses_of_a_thief(server: McpServer, token: str) -> list[int]:
    """Return what a bound token is good for without its key: as Bearer, and with another key."""
    from tests.e2e.dpop_guard import NONCE

    thief = SigningKey.generate()
    proof = dpop_proof(
        *(thief, "POST", server.url),
        now=time.time(),
        jti="fresh",
        access_token=Secret(token),
        nonce=NONCE,
    )
    attempts = (
        {"Authorization": f"Bearer {token}"},
        {"Authorization": f"DPoP {token}", "DPoP": proof},
    )
    return [
        direct("POST", server.url, json=INITIALIZE, headers={**HEADERS, **fields}).status_code
        for fields in attempts
    ]


def assert_nowhere(home: Path, *secrets: str) -> None:
    """Look for secrets in the vault's files."""
    content = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    assert content
    for secret in secrets:
        assert not [data for data in content if secret.encode() in data]


# --- sign-in at another device (RFC 8628) -----------------------------------
def test_sign_in_at_another_device(
    start_oidc_provider: Callable[..., OidcProvider],
    start_mcp_server: Callable[..., McpServer],
    harbor_for: HarborFor,
    person: Person,
) -> None:
    """A person elsewhere types the code; no browser is opened here, and the grant is refreshed."""
    provider = start_oidc_provider(device=True)
    server = start_mcp_server(provider)
    asleep: list[float] = []

    def sleep(seconds: float) -> None:
        """Let the person act while the program waits."""
        if not asleep:
            person.types["user_code"] = session.user_code
            assert "Sign-in Success" in person.visit(session.verification_uri)
        asleep.append(seconds)

    def monotonic() -> float:
        """Pass at least as fast as it is slept."""
        return time.monotonic() + sum(asleep)

    def refuse(url: str) -> bool:
        pytest.fail(f"a browser was opened for {url}")

    harbor = harbor_for(server, browser=refuse, sleep=sleep, monotonic=monotonic)
    with harbor.begin_device_login("real") as session:
        session.wait(PATIENCE)
    assert asleep
    assert initialize(harbor, server) == 200
    token = harbor.token("real").reveal()
    assert introspection(provider, token)["aud"] == server.url
    assert harbor_for(server, clock=an_hour_later).token("real").reveal() != token


# --- client ID metadata documents -------------------------------------------
def test_a_client_that_is_a_document(
    start_oidc_provider: Callable[..., OidcProvider],
    start_mcp_server: Callable[..., McpServer],
    harbor_for: HarborFor,
    httpserver: HTTPServer,
    person: Person,
) -> None:
    """The server learns of the client from its document; nothing is registered."""
    client_id = "https://client.test/harbor.json"
    document = client_metadata_document(client_id, client_name="Harbor")
    httpserver.expect_request("/harbor.json").respond_with_json(document)
    provider = start_oidc_provider(documents={client_id: httpserver.url_for("/harbor.json")})
    server = start_mcp_server(provider)
    harbor = harbor_for(server, client_metadata_url=client_id)
    harbor.login("real", timeout=PATIENCE)
    assert authorization_request(provider, person)["client_id"] == [client_id]
    assert httpserver.log
    assert initialize(harbor, server) == 200
    assert introspection(provider, harbor.token("real").reveal())["client_id"] == client_id
    later = harbor_for(server, client_metadata_url=client_id, clock=an_hour_later)
    assert introspection(provider, later.token("real").reveal())["client_id"] == client_id
    assert harbor.vault.registration(provider.issuer, "real", "mcp") is None


# --- resource indicators (RFC 8707) -----------------------------------------
def test_a_token_is_for_one_server(
    oidc_provider: OidcProvider,
    start_mcp_server: Callable[..., McpServer],
    harbor_for: HarborFor,
    person: Person,
) -> None:
    """The audience is the MCP server, before and after a refresh; another one refuses it."""
    server, other = start_mcp_server(oidc_provider), start_mcp_server(oidc_provider)
    harbor = harbor_for(server)
    harbor.login("real", timeout=PATIENCE)
    assert authorization_request(oidc_provider, person)["resource"] == [server.url]
    later = harbor_for(server, clock=an_hour_later)
    tokens = [harbor.token("real").reveal(), later.token("real").reveal()]
    assert len(set(tokens)) == 2
    for token in tokens:
        assert introspection(oidc_provider, token)["aud"] == server.url
    headers = {**HEADERS, "Authorization": f"Bearer {tokens[-1]}"}
    assert direct("POST", server.url, json=INITIALIZE, headers=headers).status_code == 200
    assert direct("POST", other.url, json=INITIALIZE, headers=headers).status_code == 401


# --- registration with management (RFC 7592) --------------------------------
def test_the_key_to_the_registration_is_kept_sealed(
    start_oidc_provider: Callable[..., OidcProvider],
    start_mcp_server: Callable[..., McpServer],
    harbor_for: HarborFor,
    tmp_path: Path,
) -> None:
    """The registration access token reads and ends the registration, and is in no file."""
    provider = start_oidc_provider(management=True)
    server = start_mcp_server(provider)
    harbor = harbor_for(server)
    harbor.login("real", timeout=PATIENCE)
    found = harbor.vault.registration(provider.issuer, "real", "mcp")
    assert found is not None
    record = found[0]
    assert record.registration_access_token is not None
    assert record.registration_client_uri is not None
    key = record.registration_access_token.reveal()
    headers = {"Authorization": f"Bearer {key}"}
    answer = direct("GET", record.registration_client_uri, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["client_id"] == record.client_id
    assert direct("DELETE", record.registration_client_uri, headers=headers).status_code == 204
    assert direct("GET", record.registration_client_uri, headers=headers).status_code == 401
    assert_nowhere(tmp_path / "home", key, json.dumps(key))

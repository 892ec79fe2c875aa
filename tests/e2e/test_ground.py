"""The ground itself holds: each fixture is what it says, driven by hand without this library."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlencode, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import attrs
import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Browser, McpServer, OidcProvider, SecretService

pytestmark = pytest.mark.e2e

DIRECT = build_opener(ProxyHandler({}))


def ask(
    url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, str], Any]:
    """Return status, headers and the JSON (or the text) of an answer."""
    try:
        with DIRECT.open(Request(url, body, dict(headers or {}))) as response:  # noqa: S310 - loopback
            status, fields, text = response.status, response.headers, response.read().decode()
    except HTTPError as error:
        with error:
            status, fields, text = error.code, error.headers, error.read().decode()
    kind = fields.get_content_type()
    if kind == "text/event-stream":  # one answer, one event
        kind, text = "application/json", text.partition("data: ")[2]
    return status, fields, json.loads(text) if kind == "application/json" and text else text


def form(**fields: str) -> bytes:
    """Encode a form."""
    return urlencode(fields).encode()


class Callback(HTTPServer):
    """The least receiver that a browser can come back to."""

    answer: Mapping[str, str] | None = None

    class Handler(BaseHTTPRequestHandler):
        """Keeps the answer, then sends the browser on to a page without it."""

        server: Callback

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/callback":
                self.server.answer = dict(parse_qsl(parts.query))
                self.send_response(303)
                self.send_header("Location", "/done")
                self.end_headers()
                return
            self.send_response(200 if parts.path == "/done" else 404)
            self.end_headers()
            if parts.path == "/done":
                self.wfile.write(b"<title>Signed in</title>")

        def log_message(self, *_args: object) -> None:
            """Say nothing."""


@pytest.fixture
def callback() -> Iterator[Callback]:
    """A receiver on a free port."""
    with Callback(("127.0.0.1", 0), Callback.Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@attrs.frozen
class SignedIn:
    """What a sign-in by hand ended with."""

    client_id: str
    answer: Mapping[str, str]
    tokens: dict[str, Any]
    metadata: dict[str, Any]

    def refresh(self, refresh_token: str) -> tuple[int, dict[str, Any]]:
        """Send a refresh token (RFC 6749 §6)."""
        fields = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        body = form(client_id=self.client_id, **fields)
        status, _, answer = ask(self.metadata["token_endpoint"], body)
        return status, answer


def sign_in(
    provider: OidcProvider,
    browser: Browser,
    callback: Callback,
    resource: str,
    *,
    decision: str = "allow",
) -> SignedIn:
    """Register, let the person at the browser decide, exchange the code."""
    _, _, metadata = ask(f"{provider.origin}/.well-known/openid-configuration")
    redirect_uri = f"http://127.0.0.1:{callback.server_port}/callback"
    registration = {
        "application_type": "native",
        "client_name": "by hand",
        "grant_types": ["authorization_code", "refresh_token"],
        "redirect_uris": [redirect_uri],
        "token_endpoint_auth_method": "none",
    }
    json_body = {"Content-Type": "application/json"}
    status, _, client = ask(
        metadata["registration_endpoint"], json.dumps(registration).encode(), json_body
    )
    assert status == 201, client
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    request = {
        "response_type": "code",
        "client_id": client["client_id"],
        "redirect_uri": redirect_uri,
        "scope": "mcp:use",
        "resource": resource,
        "state": secrets.token_urlsafe(16),
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    url = f"{metadata['authorization_endpoint']}?{urlencode(request)}"
    command = [part.replace("%s", url) for part in shlex.split(browser.environment["BROWSER"])]
    environment = {**os.environ, **browser.environment, "HARBOR_E2E_BROWSER_DECISION": decision}
    subprocess.run(command, env=environment, check=True, timeout=180)
    assert callback.answer is not None
    assert callback.answer["state"] == request["state"]
    tokens: dict[str, Any] = {}
    if decision == "allow":
        exchange = form(
            grant_type="authorization_code",
            client_id=client["client_id"],
            code=callback.answer["code"],
            redirect_uri=redirect_uri,
            code_verifier=verifier,
        )
        status, _, tokens = ask(metadata["token_endpoint"], exchange)
        assert status == 200, tokens
    return SignedIn(client["client_id"], callback.answer, tokens, metadata)


def rpc(
    server: McpServer, method: str, params: object, *, token: str = "", session: str = ""
) -> tuple[int, Mapping[str, str], Any]:
    """Send one JSON-RPC request of protocol 2025-06-18."""
    headers = {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": "2025-06-18",
        **({"Authorization": f"Bearer {token}"} if token else {}),
        **({"Mcp-Session-Id": session} if session else {}),
    }
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return ask(server.url, json.dumps(message).encode(), headers)


INITIALIZE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "by hand", "version": "0"},
}


@pytest.mark.parametrize("slash", [False, True])
def test_issuer_with_and_without_slash(
    start_oidc_provider: Callable[..., OidcProvider], slash: bool
) -> None:
    """The issuer ends in a slash when asked to, and the metadata repeats it byte for byte."""
    provider = start_oidc_provider(slash=slash)
    status, _, metadata = ask(f"{provider.origin}/.well-known/openid-configuration")
    assert status == 200
    assert metadata["issuer"] == provider.issuer
    assert provider.issuer.endswith("/") is slash
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert metadata["authorization_response_iss_parameter_supported"] is True


def test_challenge_names_the_authorization_server(
    start_mcp_server: Callable[..., McpServer], oidc_provider: OidcProvider
) -> None:
    """Without a token: 401, and the metadata it points to has the issuer as it was given."""
    for issuer in (oidc_provider.origin, f"{oidc_provider.origin}/"):
        server = start_mcp_server(oidc_provider, issuer=issuer)
        status, headers, _ = rpc(server, "initialize", INITIALIZE)
        assert status == 401
        well_known = server.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")
        assert f'resource_metadata="{well_known}"' in headers["WWW-Authenticate"]
        _, _, metadata = ask(well_known)
        assert metadata["resource"] == server.url
        assert metadata["authorization_servers"] == [issuer]


def test_sign_in_call_rotate_revoke(
    oidc_provider: OidcProvider,
    mcp_resource_server: McpServer,
    chromium_browser: Browser,
    callback: Callback,
) -> None:
    """A browser's sign-in gives a token the server takes; a reused refresh token ends it all."""
    person = sign_in(oidc_provider, chromium_browser, callback, mcp_resource_server.url)
    assert person.answer["iss"] == oidc_provider.issuer
    (visit,) = chromium_browser.visits()
    assert visit["title"] == "Signed in"
    assert visit["url"] == f"http://127.0.0.1:{callback.server_port}/done"

    token = person.tokens["access_token"]
    status, headers, _ = rpc(mcp_resource_server, "initialize", INITIALIZE, token=token)
    assert status == 200
    session = headers["Mcp-Session-Id"]
    _, _, listed = rpc(mcp_resource_server, "tools/list", {}, token=token, session=session)
    assert [tool["name"] for tool in listed["result"]["tools"]] == ["echo", "add"]
    call = {"name": "add", "arguments": {"a": 20, "b": 22}}
    _, _, called = rpc(mcp_resource_server, "tools/call", call, token=token, session=session)
    assert called["result"]["content"][0]["text"] == "42"
    status, _, _ = rpc(mcp_resource_server, "initialize", INITIALIZE, token=token + "x")
    assert status == 401

    status, second = person.refresh(person.tokens["refresh_token"])
    assert status == 200
    assert second["refresh_token"] != person.tokens["refresh_token"]
    status, refused = person.refresh(person.tokens["refresh_token"])
    assert (status, refused["error"]) == (400, "invalid_grant")
    status, refused = person.refresh(second["refresh_token"])
    assert (status, refused["error"]) == (400, "invalid_grant")
    status, _, _ = rpc(mcp_resource_server, "initialize", INITIALIZE, token=second["access_token"])
    assert status == 401


def test_revoked_token_is_refused(
    oidc_provider: OidcProvider,
    mcp_resource_server: McpServer,
    chromium_browser: Browser,
    callback: Callback,
) -> None:
    """Revocation of the refresh token takes the access token with it (RFC 7009 §2.1)."""
    person = sign_in(oidc_provider, chromium_browser, callback, mcp_resource_server.url)
    token = person.tokens["access_token"]
    assert rpc(mcp_resource_server, "initialize", INITIALIZE, token=token)[0] == 200
    revocation = form(client_id=person.client_id, token=person.tokens["refresh_token"])
    assert ask(person.metadata["revocation_endpoint"], revocation)[0] == 200
    assert rpc(mcp_resource_server, "initialize", INITIALIZE, token=token)[0] == 401


def test_token_of_another_resource_is_refused(
    oidc_provider: OidcProvider,
    start_mcp_server: Callable[..., McpServer],
    chromium_browser: Browser,
    callback: Callback,
) -> None:
    """A token for one server is of no use at the other (RFC 8707 §2)."""
    one, other = start_mcp_server(oidc_provider), start_mcp_server(oidc_provider)
    person = sign_in(oidc_provider, chromium_browser, callback, one.url)
    token = person.tokens["access_token"]
    assert rpc(one, "initialize", INITIALIZE, token=token)[0] == 200
    assert rpc(other, "initialize", INITIALIZE, token=token)[0] == 401


def test_access_token_lives_as_long_as_asked(
    start_oidc_provider: Callable[..., OidcProvider],
    chromium_browser: Browser,
    callback: Callback,
) -> None:
    """The life of access tokens is a parameter, told in `expires_in`."""
    provider = start_oidc_provider(access_token_seconds=7)
    person = sign_in(provider, chromium_browser, callback, "http://127.0.0.1:9/mcp")
    assert person.tokens["expires_in"] == 7


def test_person_refuses(
    oidc_provider: OidcProvider, chromium_browser: Browser, callback: Callback
) -> None:
    """A person who cancels sends the program `access_denied`."""
    resource = "http://127.0.0.1:9/mcp"
    person = sign_in(oidc_provider, chromium_browser, callback, resource, decision="deny")
    assert person.answer["error"] == "access_denied"


KEYRING = """
import keyring.backends.SecretService as backend
ring = backend.Keyring()
ring.set_password("harbor-e2e", "me", "påss")
assert ring.get_password("harbor-e2e", "me") == "påss"
ring.delete_password("harbor-e2e", "me")
print(ring.get_password("harbor-e2e", "me"))
"""


def test_keyring_round_trip(secret_service: SecretService) -> None:
    """The `keyring` package writes, reads and deletes in the private keychain."""
    done = subprocess.run(
        [sys.executable, "-c", KEYRING],
        env=dict(secret_service.environment),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "None\n", done.stderr


def test_secret_tool_sees_what_was_stored(secret_service: SecretService) -> None:
    """`secret-tool` stores and looks up there, and nowhere else."""
    environment = dict(secret_service.environment)
    store = ["secret-tool", "store", "--label=e2e", "service", "harbor-e2e"]
    subprocess.run(store, env=environment, input=b"s3cret", check=True)
    lookup = ["secret-tool", "lookup", "service", "harbor-e2e"]
    assert subprocess.run(lookup, env=environment, check=True, capture_output=True).stdout == (
        b"s3cret"
    )


def test_locked_keychain(locked_secret_service: SecretService) -> None:
    """A locked keychain refuses with keyring's own `KeyringLocked`."""
    done = subprocess.run(
        [sys.executable, "-c", KEYRING],
        env=dict(locked_secret_service.environment),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "KeyringLocked" in done.stderr

"""The gateway, from a caller's request to the docked server and back."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector

from harbor_oauth.client import Harbor
from harbor_oauth.errors import LoginRequiredError
from harbor_oauth.fleet.config import add_server, remove_server
from harbor_oauth.gateway.limits import Limits
from harbor_oauth.gateway.upstream import Upstream
from harbor_oauth.settings import ServerEntry
from harbor_oauth.testing import AuthorizationServer, McpServer, answers
from tests.gateway.conftest import ACCEPT, RunningGateway, call_echo

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, (answer.status_code, answer.text)
    said = answer.json()
    assert "result" in said, said
    return str(said["result"]["content"][0]["text"])


def error_of(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, (answer.status_code, answer.text)
    error: dict[str, Any] = answer.json()["error"]
    return error


# --- the way there and back -----------------------------------------------------


def test_a_call_reaches_the_server_with_the_grants_token(
    gateway: RunningGateway, mcp: McpServer
) -> None:
    """The caller has no token, and gets none."""
    answer = gateway.post("/practice", call_echo("hello"))
    assert text_of(answer) == "hello"
    token = gateway.harbor.token("practice").reveal()
    assert mcp.requests[-1].headers["authorization"] == f"Bearer {token}"
    assert token not in str(answer.headers) + answer.text


def test_the_callers_credentials_stay_here(gateway: RunningGateway, mcp: McpServer) -> None:
    """Neither its key, nor a token of its own, nor a cookie goes on (MCP, "Token Passthrough")."""
    foreign = {"Cookie": "session=canary", "DPoP": "canary", "X-Api-Key": "canary"}
    assert text_of(gateway.post("/practice", call_echo("x"), foreign)) == "x"
    bearer = {"X-Harbor-Key": None, "Authorization": f"Bearer {gateway.key}"}
    assert text_of(gateway.post("/practice", call_echo("y"), bearer)) == "y"
    for request in mcp.requests[-2:]:
        sent = str(dict(request.headers))
        assert gateway.key not in sent
        assert "canary" not in sent


@pytest.mark.parametrize("headers", [{"X-Harbor-Key": None}, {"X-Harbor-Key": "wrong"}])
def test_nobody_comes_in_without_a_key(
    gateway: RunningGateway, mcp: McpServer, headers: dict[str, str | None]
) -> None:
    """Loopback is no key: any program and any page can reach it."""
    before = len(mcp.requests)
    answer = gateway.post("/practice", LIST, headers)
    assert answer.status_code == 401
    assert "resource_metadata" not in answer.headers["WWW-Authenticate"]
    assert len(mcp.requests) == before


def test_guesses_are_slowed_down_and_the_key_still_works(gateway: RunningGateway) -> None:
    """Guessing is answered with 429; it does not lock the owner out."""
    guesses = [{"X-Harbor-Key": f"{number}"} for number in range(30)]
    codes = [gateway.post("/practice", LIST, guess).status_code for guess in guesses]
    assert codes == [401] * 20 + [429] * 10
    assert text_of(gateway.post("/practice", call_echo("still"))) == "still"


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource/practice",
        "/practice/.well-known/openid-configuration",
    ],
)
@pytest.mark.parametrize("key", [None, "wrong"])
def test_it_is_no_oauth_server(gateway: RunningGateway, path: str, key: str | None) -> None:
    """A host that looks for one is told so in JSON, with a key or without."""
    answer = gateway.send("GET", path, {"X-Harbor-Key": key})
    assert answer.status_code == 404
    assert answer.json()["error"] == "not_found"


def test_health_says_nothing_else(gateway: RunningGateway) -> None:
    """No version, no server, no key needed."""
    answer = gateway.send("GET", "/health", {"X-Harbor-Key": None})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert "Server" not in answer.headers or "aiohttp" not in answer.headers["Server"]


def test_an_unknown_server_is_not_found(gateway: RunningGateway) -> None:
    """A request with an id gets a JSON-RPC error, another a 404."""
    assert "docked" in error_of(gateway.post("/nowhere", LIST))["message"]
    assert gateway.send("GET", "/nowhere").status_code == 404


# --- tokens that are refused ------------------------------------------------------


def test_a_refused_token_is_renewed_and_the_request_sent_again(
    gateway: RunningGateway, issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """The caller sees one answer; the tool ran once; the vault has the new pair."""
    before = gateway.harbor.token("practice").reveal()
    issuer.expire_access_tokens()
    assert text_of(gateway.post("/practice", call_echo("again"))) == "again"
    assert [call.arguments["text"] for call in mcp.calls] == ["again"]
    assert gateway.harbor.token("practice").reveal() != before
    assert issuer.count("token") == 2


def test_a_server_that_always_refuses_costs_one_refresh_a_minute(
    gateway: RunningGateway, issuer: AuthorizationServer, mcp: McpServer, clock: Any
) -> None:
    """The caller is told the command to run, in an answer to its own request."""
    mcp.always_401 = True
    for _ in range(5):
        error = error_of(gateway.post("/practice", call_echo("x")))
        assert "harbor charter practice" in error["message"]
    assert issuer.count("token") == 2
    clock.advance(61)
    assert "harbor charter practice" in error_of(gateway.post("/practice", LIST))["message"]
    assert issuer.count("token") == 3


def test_a_dead_grant_names_the_command(
    gateway: RunningGateway, issuer: AuthorizationServer
) -> None:
    """Requests get a JSON-RPC error with their id, notifications a 502; never a 401."""
    issuer.revoke_all()
    answer = gateway.post("/practice", call_echo("x", "an id"))
    assert answer.json()["id"] == "an id"
    error = error_of(answer)
    assert "harbor charter practice" in error["message"]
    assert error["data"]["error"] == "login_required"
    notification = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert gateway.post("/practice", notification).status_code == 502
    assert gateway.send("GET", "/practice").status_code == 502


def test_a_refused_notification_is_renewed_too(
    gateway: RunningGateway, issuer: AuthorizationServer
) -> None:
    """It has no answer, and still must arrive."""
    issuer.expire_access_tokens()
    notification = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert gateway.post("/practice", notification).status_code == 202
    assert issuer.count("token") == 2


def test_a_body_too_large_to_be_held_is_not_sent_again(
    docked: Harbor,
    start_gateway: Callable[..., RunningGateway],
    issuer: AuthorizationServer,
    mcp: McpServer,
) -> None:
    """The token is renewed for the next time, and the caller is told to send it again."""
    gateway = start_gateway(docked, limits=Limits(held_bytes=1000))
    issuer.expire_access_tokens()
    large = call_echo("x" * 2000)
    refused = gateway.post("/practice", large)
    assert refused.status_code == 502
    assert "again" in refused.json()["next"]
    assert mcp.calls == []
    assert text_of(gateway.post("/practice", large)) == "x" * 2000
    assert int(mcp.requests[-1].headers["content-length"]) == len(mcp.requests[-1].body)
    assert issuer.count("token") == 2


def test_an_authorization_server_that_is_down_for_a_moment_costs_no_call(
    docked: Harbor, start_gateway: Callable[..., RunningGateway], issuer: AuthorizationServer
) -> None:
    """The call waits for the next attempt; the grant is intact."""
    gateway = start_gateway(docked)
    issuer.script("token", answers.status(503, {"Retry-After": "1"}))
    issuer.expire_access_tokens()
    assert text_of(gateway.post("/practice", call_echo("later"))) == "later"
    assert issuer.count("token") == 3


def test_more_scopes_are_asked_of_a_person(gateway: RunningGateway, mcp: McpServer) -> None:
    """A 403 never refreshes; the text has the whole command."""
    mcp.tool_scopes = {"echo": ["admin"]}
    error = error_of(gateway.post("/practice", call_echo("x")))
    assert "harbor charter practice" in error["message"]
    assert "--scope admin" in error["message"]
    assert error["data"]["error"] == "scope_required"


def test_a_changed_url_gets_no_token(
    gateway: RunningGateway, docked: Harbor, hostile: Hostile
) -> None:
    """Whoever can write the configuration cannot send a grant's token elsewhere."""
    remove_server(docked.settings, "practice")
    docked.reload_settings()
    add_server(docked.settings, ServerEntry(name="practice", url=hostile.url, grant="practice"))
    error = error_of(gateway.post("/practice", call_echo("x")))
    assert hostile.origin in error["message"]
    assert hostile.requests == []


# --- headers by reference -----------------------------------------------------------


def test_a_secret_goes_where_its_server_is(
    docked: Harbor, start_gateway: Callable[..., RunningGateway], hostile: Hostile
) -> None:
    """It is looked up for each request, so that a new value counts at once."""
    docked.vault.set("acme-key", "first")
    entry = ServerEntry(
        name="acme", url=hostile.url, headers={"X-Api-Key": "vault:acme-key", "X-Team": "blue"}
    )
    add_server(docked.settings, entry)
    approve(docked, entry)
    gateway = start_gateway(docked)
    hostile.answer = (200, {"Content-Type": "application/json"}, b"{}")
    assert gateway.post("/acme", LIST).status_code == 200
    docked.vault.set("acme-key", "second")
    assert gateway.post("/acme", LIST, {"X-Api-Key": "callers"}).status_code == 200
    sent = [(headers["X-Api-Key"], headers["X-Team"]) for headers, _ in hostile.requests]
    assert sent == [("first", "blue"), ("second", "blue")]


@pytest.mark.parametrize("field", ["Authorization", "authorization"])
@pytest.mark.parametrize("scheme", ["", "Bearer ", "Basic ", "Token "])
def test_a_secret_may_be_the_authorization(
    docked: Harbor,
    start_gateway: Callable[..., RunningGateway],
    hostile: Hostile,
    field: str,
    scheme: str,
) -> None:
    """An API key in `Authorization` is sent as docked, in place of the caller's own."""
    docked.vault.set("acme-key", "stored")
    entry = ServerEntry(name="acme", url=hostile.url, headers={field: f"{scheme}vault:acme-key"})
    add_server(docked.settings, entry)
    approve(docked, entry)
    hostile.answer = (200, {"Content-Type": "application/json"}, b"{}")
    assert start_gateway(docked).post("/acme", LIST).status_code == 200
    sent = [
        value
        for headers, _ in hostile.requests
        for name, value in headers.items()
        if name.lower() == "authorization"
    ]
    assert sent == [f"{scheme}stored"]


def test_a_reference_to_nothing_is_an_error_and_sends_nothing(
    docked: Harbor, start_gateway: Callable[..., RunningGateway], hostile: Hostile
) -> None:
    """Never an empty header, never a variable of the environment."""
    entry = ServerEntry(name="acme", url=hostile.url, headers={"X-Api-Key": "vault:acme-key"})
    add_server(docked.settings, entry)
    approve(docked, entry)
    error = error_of(start_gateway(docked).post("/acme", LIST))
    assert "vault:acme-key" in error["message"]
    assert "harbor chest set acme-key" in error["message"]
    assert hostile.requests == []


def test_a_refused_secret_names_its_key(
    docked: Harbor, start_gateway: Callable[..., RunningGateway], hostile: Hostile
) -> None:
    """A static key that is refused starts no sign-in (vscode #334970)."""
    docked.vault.set("acme-key", "stale")
    entry = ServerEntry(name="acme", url=hostile.url, headers={"X-Api-Key": "vault:acme-key"})
    add_server(docked.settings, entry)
    approve(docked, entry)
    hostile.answer = (401, {"WWW-Authenticate": "Bearer canary"}, b"no")
    answer = start_gateway(docked).post("/acme", LIST)
    assert "harbor chest set acme-key" in error_of(answer)["message"]
    assert "canary" not in str(answer.headers) + answer.text


# --- what comes back ------------------------------------------------------------


class Hostile:
    """A server that answers what it is told to, and records what it got."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answer: tuple[int, dict[str, str], bytes] = (200, {}, b"")
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                double.requests.append((dict(self.headers.items()), body))
                status, headers, answer = double.answer
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_DELETE = do_POST  # noqa: N815 - http.server's names

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *args: object) -> None:
                """Say nothing of callers that leave in the middle."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.url = f"{self.origin}/mcp"


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    double = Hostile()
    thread = threading.Thread(target=double.server.serve_forever)
    thread.start()
    yield double
    double.server.shutdown()
    thread.join()
    double.server.server_close()


def approve(harbor: Harbor, entry: ServerEntry) -> None:
    """Let a person agree that the entry's secrets go to its URL."""
    from harbor_oauth.fleet.approvals import approve

    approve(harbor, entry)


@pytest.fixture
def facing(
    docked: Harbor, start_gateway: Callable[..., RunningGateway], hostile: Hostile
) -> RunningGateway:
    """A gateway with the hostile server docked as ``hostile``, without a credential."""
    add_server(docked.settings, ServerEntry(name="hostile", url=hostile.url))
    docked.reload_settings()
    return start_gateway(docked)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(facing: RunningGateway, hostile: Hostile, status: int) -> None:
    """Nothing is sent to the place it names, and the caller does not see it either."""
    hostile.answer = (status, {"Location": f"{hostile.origin}/elsewhere"}, b"")
    answer = facing.post("/hostile", LIST)
    assert "elsewhere" in error_of(answer)["message"]
    assert "Location" not in answer.headers
    assert hostile.origin not in str(answer.headers)
    assert len(hostile.requests) == 1


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html", b"<script>alert(1)</script>"),
        ("image/svg+xml", b"<svg onload=alert(1)>"),
        ("text/plain", b"<script>"),
        ("application/jsonp", b"x()"),
        ("", b"<html>"),
    ],
)
def test_only_json_and_events_come_back(
    facing: RunningGateway, hostile: Hostile, content_type: str, body: bytes
) -> None:
    """All servers share the gateway's origin; a page of one could script the others."""
    hostile.answer = (200, {"Content-Type": content_type} if content_type else {}, body)
    answer = facing.post("/hostile", LIST)
    assert "neither JSON" in error_of(answer)["message"]
    assert body not in answer.content
    assert facing.send("GET", "/hostile").status_code == 502


@pytest.mark.parametrize("status", [400, 403, 404, 405, 500, 503])
def test_a_failing_servers_words_stay_there(
    facing: RunningGateway, hostile: Hostile, status: int
) -> None:
    """The status is handed on, a page of ten megabytes with secrets in it is not."""
    hostile.answer = (status, {"Content-Type": "text/html"}, b"canary" * 100_000)
    answer = facing.post("/hostile", LIST)
    assert answer.status_code == status
    assert b"canary" not in answer.content
    assert answer.headers["Content-Type"] == "application/json"
    assert len(answer.content) < 200


def test_headers_that_would_rule_the_origin_are_dropped(
    facing: RunningGateway, hostile: Hostile
) -> None:
    """Cookies ignore ports: every program on this machine would share them (RFC 6265 §8.5)."""
    dropped = {
        "Set-Cookie": "canary=1",
        "Strict-Transport-Security": "max-age=canary",
        "Access-Control-Allow-Origin": "*",
        "Alt-Svc": "canary",
        "Clear-Site-Data": "canary",
        "Link": "canary",
        "Refresh": "0; canary",
        "WWW-Authenticate": "Bearer canary",
        "Server": "canary",
        "Via": "canary",
    }
    hostile.answer = (200, {**dropped, "Content-Type": "application/json"}, b'{"id": 1}')
    answer = facing.post("/hostile", LIST)
    assert answer.json() == {"id": 1}
    assert "canary" not in str(answer.headers)
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_a_server_that_wants_a_sign_in_and_has_none(
    facing: RunningGateway, hostile: Hostile
) -> None:
    """Its challenge is not handed on: the caller would sign in for the wrong resource."""
    hostile.answer = (401, {"WWW-Authenticate": 'Bearer resource_metadata="canary"'}, b"")
    answer = facing.post("/hostile", LIST)
    assert "harbor dock --name hostile" in error_of(answer)["message"]
    assert "canary" not in str(answer.headers) + answer.text
    assert facing.send("GET", "/hostile").status_code == 502


def test_nothing_is_sent_twice_when_the_answer_is_lost(
    facing: RunningGateway, hostile: Hostile
) -> None:
    """The server has executed it and dropped the connection: one execution, and an error."""
    hostile.answer = (200, {"Content-Type": "application/json", "Content-Length": "5"}, b"")
    error = error_of(facing.post("/hostile", call_echo("x")))
    assert "not known" in error["message"]
    assert len(hostile.requests) == 1


# --- sessions, reload, audit --------------------------------------------------------


def test_a_session_belongs_to_one_caller_and_one_server(
    facing: RunningGateway, hostile: Hostile, docked: Harbor
) -> None:
    """The server's own id is never seen; another caller's or server's use of it is a 404."""
    hostile.answer = (
        200,
        {"Content-Type": "application/json", "Mcp-Session-Id": "canary-session"},
        b"{}",
    )
    session = facing.post("/hostile", LIST).headers["Mcp-Session-Id"]
    assert "canary" not in session
    facing.post("/hostile", LIST, {"Mcp-Session-Id": session})
    assert hostile.requests[-1][0]["Mcp-Session-Id"] == "canary-session"
    before = len(hostile.requests)
    assert facing.post("/practice", LIST, {"Mcp-Session-Id": session}).status_code == 404
    assert facing.post("/hostile", LIST, {"Mcp-Session-Id": "canary-session"}).status_code == 404
    assert len(hostile.requests) == before


def test_docking_and_undocking_count_without_a_restart(
    docked: Harbor, start_gateway: Callable[..., RunningGateway], hostile: Hostile
) -> None:
    """A file that is broken for a moment leaves what was read in use."""
    seconds = iter(range(1_000_000))  # each look at the clock is a second later
    gateway = start_gateway(docked, upstream=Upstream(docked, monotonic=lambda: next(seconds)))
    hostile.answer = (200, {"Content-Type": "application/json"}, b"{}")
    assert gateway.send("GET", "/acme").status_code == 404
    path = docked.settings.config_path
    before = path.read_text()
    path.write_text(before + f'\n[servers.acme]\nurl = "{hostile.url}"\n')
    assert gateway.send("GET", "/acme").status_code == 200
    path.write_text("[servers.acme\nurl =")
    assert gateway.send("GET", "/acme").status_code == 200
    path.write_text(before)
    assert gateway.send("GET", "/acme").status_code == 404


def test_a_thousand_callers_refused_at_once_cost_one_refresh(
    docked: Harbor,
    start_gateway: Callable[..., RunningGateway],
    issuer: AuthorizationServer,
    mcp: McpServer,
) -> None:
    """The server holds its refusals until all thousand are there; then each call runs once."""
    callers = 1000
    gateway = start_gateway(docked)
    issuer.expire_access_tokens()
    all_here = threading.Event()
    refusal = answers.status(401, {"WWW-Authenticate": "Bearer"})
    mcp.script("mcp", *[answers.slow(all_here, refusal)] * callers)

    async def call(session: ClientSession, text: str) -> str:
        message = call_echo(text)
        async with session.post(f"{gateway.address}/practice", json=message) as answer:
            said = await answer.json()
        return str(said["result"]["content"][0]["text"])

    async def storm() -> list[str]:
        headers = {**ACCEPT, "X-Harbor-Key": gateway.key}
        async with ClientSession(connector=TCPConnector(limit=0), headers=headers) as session:
            calls = [asyncio.ensure_future(call(session, f"{n}")) for n in range(callers)]
            assert await asyncio.to_thread(mcp.wait_for, "mcp", callers, timeout=60)
            all_here.set()
            return await asyncio.gather(*calls)

    texts = [f"{number}" for number in range(callers)]
    assert asyncio.run(storm()) == texts
    assert sorted(str(each.arguments["text"]) for each in mcp.calls) == sorted(texts)
    assert issuer.count("token") == 2  # the sign-in, and one refresh
    assert issuer.reuse_events == []


def test_the_audit_has_no_arguments(
    docked: Harbor, start_gateway: Callable[..., RunningGateway], audit_path: Path
) -> None:
    """Who called which tool of which server, how it ended, with which generation."""
    gateway = start_gateway(docked, audit=audit_path)
    gateway.post("/practice", call_echo("canary-argument"))
    gateway.post("/practice", LIST, {"X-Harbor-Key": "canary-key"})
    text = audit_path.read_text()
    (line,) = (json.loads(line) for line in text.splitlines())
    assert "canary" not in text
    assert line["server"] == "practice"
    assert (line["method"], line["tool"], line["status"]) == ("tools/call", "echo", 200)
    assert (line["grant"], line["generation"]) == ("practice", 1)
    assert line["key"]
    assert line["milliseconds"] >= 0


def test_a_given_token_that_is_refused_is_not_renewed(
    make_harbor: Callable[..., Harbor], mcp: McpServer, start_gateway: Callable[..., RunningGateway]
) -> None:
    """It came from outside; the text says so."""
    harbor = make_harbor(tokens={"practice": "made-up"})
    add_server(harbor.settings, ServerEntry(name="practice", url=mcp.url, grant="practice"))
    harbor.reload_settings()
    error = error_of(start_gateway(harbor).post("/practice", LIST))
    assert "given" in error["message"]
    with pytest.raises(LoginRequiredError):
        harbor.rejected("practice", harbor.token("practice"))

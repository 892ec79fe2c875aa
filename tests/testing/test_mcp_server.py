"""The MCP server's protection and its messages, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from harbor_oauth.testing import AuthorizationServer, McpServer, ToolCall, answers

ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.fixture
def token(user: Any, mcp_server: McpServer) -> str:
    """Give an access token for the MCP server."""
    return str(user.sign_in(resource=mcp_server.url)["access_token"])


@pytest.fixture
def call(ask: Any, mcp_server: McpServer, token: str) -> Any:
    """Send one JSON-RPC message with the token."""

    def send(method: str, *, headers: Any = None, **params: Any) -> Any:
        message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        fields = ACCEPT | {"Authorization": f"Bearer {token}"} | (headers or {})
        return ask(mcp_server.url, content=message, headers=fields)

    return send


# --- protection ---------------------------------------------------------------


def test_no_token_is_a_challenge_that_leads_to_the_metadata(
    mcp_server: McpServer, ask: Any
) -> None:
    """RFC 9728 §5.1: the URL in the challenge is where the document is; no error code."""
    mcp_server.scope = "read"
    reply = ask(mcp_server.url, content={}, headers=ACCEPT)
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"] == (
        f'Bearer resource_metadata="{mcp_server.origin}'
        '/.well-known/oauth-protected-resource/mcp", scope="read"'
    )
    assert mcp_server.metadata_url is not None
    document = ask(mcp_server.metadata_url).json
    assert document["resource"] == mcp_server.url
    assert document["authorization_servers"] == [mcp_server.authorization_server.issuer]
    assert document["scopes_supported"] == ["read", "write"]


@pytest.mark.parametrize("authorization", ["Bearer made-up", "Basic made-up", "Bearer"])
def test_a_token_that_is_none_is_refused(
    mcp_server: McpServer, ask: Any, authorization: str
) -> None:
    """Unknown bearer tokens are invalid_token; another scheme counts as no token."""
    headers = ACCEPT | {"Authorization": authorization}
    reply = ask(mcp_server.url, content={}, headers=headers)
    assert reply.status == 401
    named = 'error="invalid_token"' in reply.headers["WWW-Authenticate"]
    assert named == authorization.startswith("Bearer")


def test_an_expired_token_is_invalid(mcp_server: McpServer, call: Any) -> None:
    """It worked before, and does not after."""
    assert call("ping").status == 200
    mcp_server.authorization_server.expire_access_tokens()
    reply = call("ping")
    assert reply.status == 401
    assert 'error="invalid_token"' in reply.headers["WWW-Authenticate"]


@pytest.mark.parametrize("resource", [None, "https://other.example/mcp"])
def test_a_token_for_another_resource_is_refused(
    mcp_server: McpServer, user: Any, ask: Any, resource: str | None
) -> None:
    """RFC 8707 §2: the audience counts, unless told otherwise."""
    token = user.sign_in(resource=resource)["access_token"]
    headers = ACCEPT | {"Authorization": f"Bearer {token}"}
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert ask(mcp_server.url, content=message, headers=headers).status == 401
    mcp_server.require_audience = False
    assert ask(mcp_server.url, content=message, headers=headers).status == 200


def test_a_missing_scope_is_403(mcp_server: McpServer, call: Any) -> None:
    """RFC 6750 §3.1, with the scope that is needed."""
    mcp_server.scope = "admin"
    reply = call("ping")
    assert reply.status == 403
    assert 'error="insufficient_scope"' in reply.headers["WWW-Authenticate"]
    assert 'scope="admin"' in reply.headers["WWW-Authenticate"]


def test_always_401_refuses_a_good_token(mcp_server: McpServer, call: Any) -> None:
    """For refresh storms."""
    mcp_server.always_401 = True
    assert call("tools/call", name="echo", arguments={"text": "x"}).status == 401
    assert mcp_server.calls == []


def test_without_protection_nobody_is_asked(mcp_server: McpServer, ask: Any) -> None:
    """For servers that need no sign-in."""
    mcp_server.require_auth = False
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert ask(mcp_server.url, content=message, headers=ACCEPT).json["result"] == {}


def test_odd_challenges_are_sent_as_they_are(mcp_server: McpServer, ask: Any) -> None:
    """Several fields, in order, not mended."""
    mcp_server.challenges = ['Basic realm="a, b"', "Bearer x=y,,"]
    reply = ask(mcp_server.url, content={}, headers=ACCEPT)
    assert reply.headers.get_all("WWW-Authenticate") == mcp_server.challenges
    mcp_server.challenges = []
    assert ask(mcp_server.url, content={}, headers=ACCEPT).headers["WWW-Authenticate"] is None


def test_metadata_can_hide_move_and_lie(mcp_server: McpServer, ask: Any) -> None:
    """Not advertised, elsewhere, nowhere, or with other members."""
    mcp_server.advertise = False
    challenge = ask(mcp_server.url, content={}, headers=ACCEPT).headers["WWW-Authenticate"]
    assert challenge == "Bearer"
    usual = mcp_server.metadata_url
    mcp_server.metadata_path = "/.well-known/oauth-protected-resource"
    mcp_server.metadata["resource"] = "https://evil.example"
    mcp_server.metadata["scopes_supported"] = None
    assert ask(usual).status == 404
    document = ask(mcp_server.metadata_url).json
    assert document["resource"] == "https://evil.example"
    assert "scopes_supported" not in document
    mcp_server.advertise, mcp_server.metadata_path = True, None
    challenge = ask(mcp_server.url, content={}, headers=ACCEPT).headers["WWW-Authenticate"]
    assert challenge == "Bearer"
    assert mcp_server.metadata_url is None
    assert mcp_server.count("metadata") == 2


def test_another_path_is_another_resource(ask: Any) -> None:
    """RFC 9728 §3.1 inserts the path."""
    with AuthorizationServer() as issuer, McpServer(issuer, path="/v1/mcp") as server:
        assert server.url.endswith("/v1/mcp")
        assert server.metadata_path == "/.well-known/oauth-protected-resource/v1/mcp"
        assert ask(f"{server.origin}/mcp").status == 404
        assert server.count("unknown") == 1


# --- messages -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("1900-01-01", "2025-11-25"),
    ],
)
def test_initialize_settles_a_revision(call: Any, asked: str, answered: str) -> None:
    """A known one with a handshake is kept, for any other its newest is offered."""
    result = call("initialize", protocolVersion=asked).json["result"]
    assert result["protocolVersion"] == answered
    assert "tools" in result["capabilities"]


def test_tools_are_listed_and_called(mcp_server: McpServer, call: Any) -> None:
    """Two tools; what runs is counted, what fails is not."""
    names = [tool["name"] for tool in call("tools/list").json["result"]["tools"]]
    assert names == ["echo", "add"]
    echoed = call("tools/call", name="echo", arguments={"text": "hej"}).json["result"]
    assert echoed == {"content": [{"type": "text", "text": "hej"}], "isError": False}
    added = call("tools/call", name="add", arguments={"a": 2, "b": 0.5}).json["result"]
    assert added["content"][0]["text"] == "2.5"
    wrong = call("tools/call", name="add", arguments={"a": "2"}).json["result"]
    assert wrong["isError"] is True
    assert call("tools/call", name="none").json["error"]["code"] == -32602
    assert mcp_server.calls == [
        ToolCall("echo", {"text": "hej"}),
        ToolCall("add", {"a": 2, "b": 0.5}),
    ]
    assert mcp_server.count("mcp", method="tools/call") == 4


def test_a_notification_is_accepted_without_a_body(
    mcp_server: McpServer, ask: Any, token: str
) -> None:
    """202, as streamable HTTP demands."""
    message = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    headers = ACCEPT | {"Authorization": f"Bearer {token}"}
    reply = ask(mcp_server.url, content=message, headers=headers)
    assert (reply.status, reply.body) == (202, b"")


def stateless(method: str, name: str | None = None) -> tuple[dict[str, str], dict[str, Any]]:
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
    if name:
        headers["Mcp-Name"] = name
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return headers, meta


def test_the_stateless_revision_needs_no_handshake(mcp_server: McpServer, call: Any) -> None:
    """2026-07-28: discovery and tools at once, each result says that it is complete."""
    headers, meta = stateless("server/discover")
    found = call("server/discover", headers=headers, _meta=meta).json["result"]
    assert found["supportedVersions"] == ["2026-07-28", "2025-11-25", "2025-06-18"]
    headers, meta = stateless("tools/list")
    listed = call("tools/list", headers=headers, _meta=meta).json["result"]
    assert listed["resultType"] == "complete"
    assert len(listed["tools"]) == 2
    headers, meta = stateless("tools/call", "echo")
    done = call(
        "tools/call", headers=headers, _meta=meta, name="echo", arguments={"text": "x"}
    ).json["result"]
    assert done["resultType"] == "complete"
    assert len(mcp_server.calls) == 1
    headers, meta = stateless("initialize")
    gone = call("initialize", headers=headers, _meta=meta)
    assert (gone.status, gone.json["error"]["code"]) == (404, -32601)


@pytest.mark.parametrize(
    "wrong",
    [{"Mcp-Method": "tools/list"}, {"Mcp-Name": "add"}, {"MCP-Protocol-Version": ""}],
)
def test_stateless_header_fields_match_the_body(
    mcp_server: McpServer, call: Any, wrong: dict[str, str]
) -> None:
    """Otherwise -32020 and nothing runs."""
    headers, meta = stateless("tools/call", "echo")
    reply = call(
        "tools/call", headers=headers | wrong, _meta=meta, name="echo", arguments={"text": "x"}
    )
    assert reply.status == 400
    assert reply.json["error"]["code"] in {-32020, -32022}
    assert mcp_server.calls == []


def test_an_unknown_revision_is_refused(call: Any) -> None:
    """With the ones there are."""
    reply = call("ping", headers={"MCP-Protocol-Version": "1900-01-01"})
    assert (reply.status, reply.json["error"]["code"]) == (400, -32022)
    assert "2025-11-25" in reply.json["error"]["data"]["supported"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", -32700),
        ([{"jsonrpc": "2.0", "id": 1, "method": "ping"}], -32600),
        ({"id": 1, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": 5}, -32600),
        ({"jsonrpc": "2.0", "method": "ping"}, -32600),
    ],
)
def test_what_is_no_message_is_400(
    mcp_server: McpServer, ask: Any, token: str, content: Any, code: int
) -> None:
    """Broken JSON, batches, other versions."""
    headers = ACCEPT | {"Authorization": f"Bearer {token}"}
    reply = ask(mcp_server.url, content=content, headers=headers)
    assert (reply.status, reply.json["error"]["code"]) == (400, code)


def test_an_unknown_method_is_a_json_rpc_error(call: Any) -> None:
    """With the request's id."""
    reply = call("resources/list")
    assert (reply.status, reply.json["id"], reply.json["error"]["code"]) == (200, 7, -32601)


def test_http_rules_of_the_endpoint(mcp_server: McpServer, ask: Any, token: str) -> None:
    """No stream to GET, and both content types have to be accepted."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    assert ask(mcp_server.url, headers=headers).status == 405
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert ask(mcp_server.url, content=message, headers=headers).status == 406


def test_it_is_scripted_like_the_other_double(mcp_server: McpServer, call: Any) -> None:
    """One 503, then the real work."""
    mcp_server.script("mcp", answers.status(503))
    assert [call("ping").status, call("ping").status] == [503, 200]

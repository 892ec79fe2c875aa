"""What a protected resource asks of whom, and how it moves."""

from __future__ import annotations

from typing import Any

import pytest

from harbor_oauth.testing import AuthorizationServer, McpServer

ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.fixture
def call(ask: Any, mcp_server: McpServer) -> Any:
    """Send one JSON-RPC message, with a token or without."""

    def send(method: str, token: str | None = None, **params: Any) -> Any:
        message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        fields = ACCEPT if token is None else ACCEPT | {"Authorization": f"Bearer {token}"}
        return ask(mcp_server.url, content=message, headers=fields)

    return send


def echo(call: Any, token: str) -> Any:
    return call("tools/call", token, name="echo", arguments={"text": "x"})


def test_a_tool_may_need_more_than_the_server(mcp_server: McpServer, user: Any, call: Any) -> None:
    """RFC 6750 §3.1: 403 with all the operation needs; other tools and methods go on."""
    mcp_server.scope, mcp_server.tool_scopes = "read", {"echo": ("write",)}
    token = user.sign_in(scope="read", resource=mcp_server.url)["access_token"]
    refused = echo(call, token)
    assert refused.status == 403
    challenge = refused.headers["WWW-Authenticate"]
    assert challenge.startswith('Bearer error="insufficient_scope", resource_metadata="http')
    assert challenge.endswith('scope="read write"')
    assert mcp_server.calls == []
    assert call("tools/list", token).status == 200
    assert call("tools/call", token, name="add", arguments={"a": 1, "b": 2}).status == 200
    wider = user.sign_in(scope="read write", resource=mcp_server.url)["access_token"]
    assert echo(call, wider).status == 200


def test_the_first_challenge_names_the_operations_scopes(mcp_server: McpServer, call: Any) -> None:
    """Also to a request without a token."""
    mcp_server.tool_scopes = {"echo": ("write",)}
    assert 'scope="write"' in echo(call, "made-up").headers["WWW-Authenticate"]
    assert "scope" not in call("tools/list").headers["WWW-Authenticate"]


def test_some_methods_may_be_open(mcp_server: McpServer, call: Any) -> None:
    """Discovery without a token, the tools with one."""
    mcp_server.open_methods = {"initialize", "server/discover"}
    assert call("initialize").status == 200
    assert call("initialize", "made-up").status == 200
    assert call("tools/list").status == 401
    assert echo(call, "made-up").status == 401


@pytest.mark.parametrize("content", [b"{", [], [{"method": "initialize"}], "initialize"])
def test_what_is_no_message_is_not_open(mcp_server: McpServer, ask: Any, content: Any) -> None:
    """Only a message that names an open method is."""
    mcp_server.open_methods = {"initialize"}
    assert ask(mcp_server.url, content=content, headers=ACCEPT).status == 401


def test_it_moves_to_another_authorization_server(
    mcp_server: McpServer, user: Any, new_user: Any, ask: Any, call: Any
) -> None:
    """The metadata names the new one, whose tokens count from then on; or both."""
    old = user.sign_in(resource=mcp_server.url)["access_token"]
    with AuthorizationServer() as other:
        new = new_user(other).sign_in(resource=mcp_server.url)["access_token"]
        assert [call("ping", token).status for token in (old, new)] == [200, 401]
        mcp_server.authorization_servers = [other]
        assert [call("ping", token).status for token in (old, new)] == [401, 200]
        assert ask(mcp_server.metadata_url).json["authorization_servers"] == [other.issuer]
        mcp_server.authorization_servers = [user.server, other]
        assert [call("ping", token).status for token in (old, new)] == [200, 200]
        both = [user.server.issuer, other.issuer]
        assert ask(mcp_server.metadata_url).json["authorization_servers"] == both
        assert mcp_server.authorization_servers == (user.server, other)


def test_it_may_have_several_from_the_start(user: Any, ask: Any) -> None:
    """Set before the start."""
    with AuthorizationServer() as other:
        server = McpServer(user.server)
        server.authorization_servers = (other, user.server)
        with server:
            document = ask(server.metadata_url).json
            assert document["authorization_servers"] == [other.issuer, user.server.issuer]

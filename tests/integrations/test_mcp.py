"""`integrations.mcp`: sessions of the mcp package, and a storage for its own OAuth client."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.oauth2 import TokenStorage as Protocol
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from harbor_oauth.client import Harbor
from harbor_oauth.errors import (
    ConfigurationError,
    LoginRequiredError,
    ScopeRequiredError,
    VaultRecordError,
    WrongResourceError,
)
from harbor_oauth.integrations.mcp import TokenStorage, connect
from harbor_oauth.providers import OAuthProvider, Resource
from harbor_oauth.testing import AuthorizationServer, McpServer, answers

if TYPE_CHECKING:
    from tests.conftest import FakeClock

NOT_FOUND = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "unknown"}}


def listed(harbor: Harbor, **options: Any) -> tuple[str | None, list[str]]:
    """Connect, list the tools, and return the revision and their names."""

    async def scene() -> tuple[str | None, list[str]]:
        async with connect("practice", harbor=harbor, **options) as session:
            assert isinstance(session, ClientSession)
            tools = (await session.list_tools()).tools
            return session.protocol_version, [tool.name for tool in tools]

    return asyncio.run(scene())


# --- sessions -------------------------------------------------------------------
def test_expiry_and_a_401_within_a_session(
    signed_in: Harbor,
    issuer: AuthorizationServer,
    clock: FakeClock,
    refreshes: Callable[[], int],
) -> None:
    """Each costs a refresh, and the session goes on."""

    async def scene() -> None:
        async with connect("practice", harbor=signed_in) as session:
            clock.advance(3600)
            await session.list_tools()
            assert refreshes() == 1
            issuer.expire_access_tokens()
            result = await session.call_tool("add", {"a": 1, "b": 2})
            assert result.content[0].text == "3"  # type: ignore[union-attr]  # the tool gives text

    asyncio.run(scene())
    assert refreshes() == 2


def test_without_a_grant_the_error_is_harbor_s(harbor: Harbor, mcp: McpServer) -> None:
    """Not a group that holds it; nothing was sent."""
    with pytest.raises(LoginRequiredError):
        listed(harbor)
    assert mcp.count("mcp") == 0


def test_an_interactive_caller_signs_in(harbor: Harbor) -> None:
    """From nothing to a session."""
    assert listed(harbor, interactive=True)[1] == ["echo", "add"]


def test_a_url_outside_the_grant_is_refused(signed_in: Harbor, issuer: AuthorizationServer) -> None:
    """The other server gets no request."""
    with McpServer(issuer) as other:
        with pytest.raises(WrongResourceError):
            listed(signed_in, url=other.url)
        assert other.requests == []


def test_a_redirect_does_not_take_the_token_along(
    signed_in: Harbor, issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """The other server gets nothing."""
    with McpServer(issuer) as other:
        mcp.script("mcp", *[answers.redirect(307, other.url)] * 2)
        with pytest.raises(Exception, match="not followed"):
            listed(signed_in)
        assert other.requests == []


def test_a_url_may_be_given(signed_in: Harbor, mcp: McpServer) -> None:
    """Any of the grant's origins."""
    assert listed(signed_in, url=mcp.url)[1] == ["echo", "add"]


def test_a_resource_without_a_server_needs_a_url(make_harbor: Callable[..., Harbor]) -> None:
    """There is nowhere to connect to."""
    bare = Resource(name="api", servers=(), allowed_origins=("https://api.example",))
    provider = OAuthProvider(name="bare", display_name="Bare", resources=(bare,))

    async def scene() -> None:
        async with connect("bare", harbor=make_harbor(providers={"bare": provider})):
            raise AssertionError("there is no such server")

    with pytest.raises(ConfigurationError, match="names no server"):
        asyncio.run(scene())


def test_missing_scopes_end_the_block(signed_in: Harbor, mcp: McpServer) -> None:
    """Harbor's error comes out of the block whole, with what is missing."""

    async def scene() -> None:
        async with connect("practice", harbor=signed_in) as session:
            mcp.scope = "admin"
            await session.list_tools()

    with pytest.raises(ScopeRequiredError) as caught:
        asyncio.run(scene())
    assert caught.value.missing == ("admin",)


def test_a_refused_notification_is_told(signed_in: Harbor, mcp: McpServer) -> None:
    """The package would only say that the connection is closed."""
    challenge = 'Bearer error="insufficient_scope", scope="admin"'
    refusal = answers.status(403, {"WWW-Authenticate": challenge})
    mcp.script("mcp", answers.json(NOT_FOUND, 404), answers.work(), refusal)
    with pytest.raises(ScopeRequiredError):
        listed(signed_in)


def test_the_caller_s_own_error_comes_out_as_it_is(signed_in: Harbor) -> None:
    """The package's task groups would wrap it."""
    error = KeyError("the caller's")

    async def scene() -> None:
        async with connect("practice", harbor=signed_in):
            raise error

    with pytest.raises(KeyError) as caught:
        asyncio.run(scene())
    assert caught.value is error


def test_a_bound_token_is_proved(bound: Harbor, mcp: McpServer) -> None:
    """With the nonce the server wants (RFC 9449 §9)."""
    mcp.dpop_nonce = "rs-1"
    assert listed(bound)[1] == ["echo", "add"]


def test_no_token_is_logged(signed_in: Harbor, caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG, by nobody on the way."""
    caplog.set_level(logging.DEBUG)
    listed(signed_in)
    assert caplog.records
    assert signed_in.token("practice").reveal() not in caplog.text


# --- storage --------------------------------------------------------------------
TOKENS = OAuthToken(
    access_token="cnry-access", expires_in=3600, scope="read", refresh_token="cnry-refresh"
)
CLIENT = OAuthClientInformationFull(
    client_id="abc", client_secret="cnry-secret", redirect_uris=[AnyUrl("http://127.0.0.1/cb")]
)


@pytest.fixture
def storage(harbor: Harbor, clock: FakeClock) -> TokenStorage:
    return TokenStorage("practice", harbor=harbor, clock=clock)


def test_it_is_the_package_s_storage(storage: TokenStorage) -> None:
    """A type checker sees whether it satisfies the protocol."""
    satisfied: Protocol = storage
    assert asyncio.run(satisfied.get_tokens()) is None
    assert asyncio.run(satisfied.get_client_info()) is None


def test_what_is_set_is_found_by_another_process(
    storage: TokenStorage, make_harbor: Callable[..., Harbor], clock: FakeClock
) -> None:
    """In the vault, whole."""
    asyncio.run(storage.set_tokens(TOKENS))
    asyncio.run(storage.set_client_info(CLIENT))
    other = TokenStorage("practice", harbor=make_harbor(), clock=clock)
    assert asyncio.run(other.get_tokens()) == TOKENS
    assert asyncio.run(other.get_client_info()) == CLIENT


def test_the_end_is_kept_as_a_time(storage: TokenStorage, clock: FakeClock) -> None:
    """What is left is told, not what there was."""
    asyncio.run(storage.set_tokens(TOKENS))
    clock.advance(1000)
    tokens = asyncio.run(storage.get_tokens())
    assert tokens is not None
    assert tokens.expires_in == 2600


def test_an_expired_token_has_nothing_left(storage: TokenStorage, clock: FakeClock) -> None:
    """Not less than nothing; the rest is there for a refresh."""
    asyncio.run(storage.set_tokens(TOKENS))
    clock.advance(4000)
    assert asyncio.run(storage.get_tokens()) == TOKENS.model_copy(update={"expires_in": 0})


def test_an_unknown_end_stays_unknown(storage: TokenStorage, clock: FakeClock) -> None:
    """It is not taken for expired."""
    endless = TOKENS.model_copy(update={"expires_in": None})
    asyncio.run(storage.set_tokens(endless))
    clock.advance(10**6)
    assert asyncio.run(storage.get_tokens()) == endless


def test_no_documented_key_of_a_grant_shows_them(storage: TokenStorage, harbor: Harbor) -> None:
    """They are entries of their own, and sealed."""
    asyncio.run(storage.set_tokens(TOKENS))
    asyncio.run(storage.set_client_info(CLIENT))
    assert harbor.vault.keys() == ("mcp:practice:client", "mcp:practice:tokens")
    assert harbor.vault.get("oauth:practice:refresh_token") is None
    kept = b"".join(path.read_bytes() for path in harbor.vault_home.iterdir() if path.is_file())
    assert b"cnry-" not in kept


@pytest.mark.parametrize(
    "kept",
    [
        "cnry-not-json",
        "[]",
        json.dumps({"tokens": {"access_token": "cnry-1"}}),
        json.dumps({"tokens": {"access_token": ["cnry-1"]}, "expires_at": 1}),
        json.dumps({"tokens": {"access_token": "cnry-1"}, "expires_at": "cnry-2"}),
    ],
)
def test_a_damaged_entry_is_an_error(storage: TokenStorage, harbor: Harbor, kept: str) -> None:
    """It is not taken for empty, and the error does not show it."""
    for key, read in (
        ("mcp:practice:tokens", storage.get_tokens),
        ("mcp:practice:client", storage.get_client_info),
    ):
        harbor.vault.set(key, kept)
        with pytest.raises(VaultRecordError, match="harbor chest delete mcp:practice:") as caught:
            asyncio.run(read())
        assert "cnry" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_the_package_s_own_client_goes_on_after_a_restart(
    storage: TokenStorage, signed_in: Harbor, mcp: McpServer, call: dict[str, Any]
) -> None:
    """It finds its tokens in the storage, and asks no person."""
    token = signed_in.token("practice").reveal()
    asyncio.run(storage.set_tokens(OAuthToken(access_token=token, expires_in=3600)))
    asyncio.run(storage.set_client_info(CLIENT))

    async def scene() -> int:
        metadata = OAuthClientMetadata(redirect_uris=[AnyUrl("http://127.0.0.1/cb")])
        auth = OAuthClientProvider(mcp.url, metadata, storage)
        async with httpx2.AsyncClient(auth=auth) as http:
            return (await http.post(mcp.url, **call)).status_code

    assert asyncio.run(scene()) == 200

"""Scopes in use: what a server wants besides, who may grant it, and where that ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import ConfigurationError, LoginRequiredError, ScopeRequiredError
from harbor_oauth.fleet.rules import read_only_scopes
from harbor_oauth.login.pending import is_narrower
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.providers import discovered_provider
from harbor_oauth.testing import AuthorizationServer, McpServer

PARAMS = {"name": "write", "arguments": {}}
CALL = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": PARAMS}).encode()
ACCEPT = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def send(harbor: Harbor, url: str, *, interactive: bool = True) -> HttpResponse:
    """Call a tool that wants the scope `write`, as an adapter would."""
    sending = harbor.sending("practice", interactive=interactive)
    while True:
        fields = {**ACCEPT, **sending.headers("POST", url)}
        response = harbor.transport(HttpRequest("POST", url, fields, CALL))
        if not sending.again(response.status, response.headers):
            return response


@pytest.fixture
def ceiling(harbor: Harbor) -> Callable[[str], None]:
    """Write the user's ceiling for the grant."""

    def write(scopes: str) -> None:
        text = f'version = 1\n[grants."practice"]\nscope_ceiling = [{scopes}]\n'
        path = harbor.settings.config_path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        harbor.reload_settings()

    return write


@pytest.fixture
def reader(harbor: Harbor, issuer: AuthorizationServer, mcp: McpServer) -> Harbor:
    """A grant with the scope `read`, at a server whose tool wants `write`."""
    mcp.tool_scopes = {"write": ("write",)}
    harbor.login("practice", scopes=["read"])
    return harbor


def test_an_interactive_caller_asks_for_the_union(reader: Harbor, mcp: McpServer) -> None:
    """What was granted before is asked for again, so that it is not lost (SEP-2350)."""
    assert send(reader, mcp.url).status == 200
    assert set(reader.token("practice").scopes) == {"read", "write"}


def test_what_was_granted_unasked_is_asked_for_with_the_rest(
    harbor: Harbor, mcp: McpServer, issuer: AuthorizationServer
) -> None:
    """The first sign-in left the scopes to the server."""
    mcp.tool_scopes = {"write": ("write",)}
    issuer.scopes = ("read",)
    harbor.login("practice", scopes=())
    issuer.scopes = ("read", "write")
    assert send(harbor, mcp.url).status == 200
    asked = [request for request in issuer.requests if request.endpoint == "authorize"]
    assert asked[0].parameters.get("scope") is None
    assert asked[-1].parameters["scope"] == "read write"


def test_a_program_alone_is_told_what_is_missing(
    reader: Harbor, mcp: McpServer, issuer: AuthorizationServer
) -> None:
    """No browser, no refresh: it gives the same scopes."""
    with pytest.raises(ScopeRequiredError, match="--scope read --scope write") as caught:
        send(reader, mcp.url, interactive=False)
    assert (caught.value.missing, caught.value.have) == (("write",), ("read",))
    assert issuer.count("authorize") == 1
    assert issuer.count("token", grant_type="refresh_token") == 0


def test_a_grant_that_came_back_no_wider_is_not_asked_for_again(
    reader: Harbor, mcp: McpServer, issuer: AuthorizationServer
) -> None:
    """The server granted less than was asked: one more visit, not three."""
    issuer.amend("token", scope="read")
    with pytest.raises(ScopeRequiredError):
        send(reader, mcp.url)
    assert issuer.count("authorize") == 3  # the first, the look before the browser, the browser


def test_callers_at_once_ask_a_person_once(
    reader: Harbor, mcp: McpServer, issuer: AuthorizationServer
) -> None:
    """Whoever waited finds the wider grant."""
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(send(reader, mcp.url).status))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 6
    assert issuer.count("authorize") <= 3  # the first, the wider, and the look before it


def test_the_ceiling_ends_a_step_up(
    reader: Harbor, mcp: McpServer, issuer: AuthorizationServer, ceiling: Callable[[str], None]
) -> None:
    """What the user does not allow is not asked for, whoever wants it."""
    ceiling('"read"')
    before = issuer.count("authorize")
    with pytest.raises(ScopeRequiredError, match="scope_ceiling"):
        send(reader, mcp.url)
    assert issuer.count("authorize") == before


def test_the_ceiling_narrows_a_sign_in(harbor: Harbor, ceiling: Callable[[str], None]) -> None:
    """A server that offers more than the user allows is asked for less."""
    ceiling('"read"')
    assert harbor.settings.scope_ceilings == {"practice": ("read",)}
    assert harbor.login("practice").scopes == ("read",)
    with pytest.raises(ConfigurationError, match="ceiling"):
        harbor.login("practice", scopes=["write"])
    assert harbor.token("practice").scopes == ("read",)


def test_a_first_request_signs_in_without_asking_the_server_twice(
    harbor: Harbor, mcp: McpServer, issuer: AuthorizationServer
) -> None:
    """Its own 401 is the challenge, so no probe is sent."""
    mcp.tool_scopes = {}
    assert send(harbor, mcp.url).status == 200
    assert [request.method for request in mcp.requests] == ["POST", "GET", "POST"]


def test_a_request_without_a_grant_signs_nobody_in(
    harbor: Harbor, mcp: McpServer, issuer: AuthorizationServer
) -> None:
    """Nothing is interactive unless asked."""
    with pytest.raises(LoginRequiredError):
        send(harbor, mcp.url, interactive=False)
    assert mcp.requests == []
    assert issuer.count("authorize") == 0


# --- a narrower choice than the default stays ------------------------------------


@pytest.fixture
def narrowed(harbor: Harbor, issuer: AuthorizationServer, mcp: McpServer) -> Harbor:
    """A grant for reading at a server whose default is reading and writing."""
    issuer.scopes = ("read", "write")
    harbor.login("practice", scopes=["read"])
    return harbor


def asked(issuer: AuthorizationServer) -> set[str]:
    """Return what the last sign-in asked for."""
    last = [each for each in issuer.requests if each.endpoint == "authorize"][-1]
    return set(str(last.parameters.get("scope") or "").split())


def test_signing_in_again_asks_for_no_more(narrowed: Harbor, issuer: AuthorizationServer) -> None:
    """Without a word of scopes, what a person left out stays out."""
    narrowed.login("practice")
    assert asked(issuer) == {"read"}


def test_a_sign_in_that_a_refusal_asks_for_asks_for_no_more(
    narrowed: Harbor, issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """The grant has ended, and a program signs in again for a person."""
    issuer.revoke_all()
    assert send(narrowed, mcp.url).status == 200
    assert asked(issuer) == {"read"}


def test_a_person_who_names_more_gets_it(narrowed: Harbor, issuer: AuthorizationServer) -> None:
    """That is how an access is widened."""
    narrowed.login("practice", scopes=["read", "write"])
    assert asked(issuer) == {"read", "write"}


def test_a_grant_that_is_there_is_not_told_as_narrowed(
    cli: Callable[..., Any], harbor: Harbor, issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """Docking with fewer scopes uses it as it is, and says so with the command that narrows it."""
    issuer.scopes = ("read", "write")
    cli("dock", "--name", "wiki", "--url", mcp.url)
    cli("undock", "wiki", "--keep-grant")
    ran = cli("dock", "--name", "wiki", "--url", mcp.url, "--scope", "read")
    assert ran.code == 0
    assert "wiki was signed in to before, and keeps its access: read write." in ran.err
    assert "next: harbor charter wiki --scope read" in ran.err
    cli("dock", "--name", "wiki", "--url", mcp.url)
    assert cli("charter", "wiki", "--scope", "read").code == 0
    assert asked(issuer) == {"read"}


def test_no_scope_for_reading_is_no_wish_for_all(harbor: Harbor, mcp: McpServer) -> None:
    """An empty list would leave the choice to the server."""
    provider = discovered_provider("practice", mcp.url)
    resource = attrs.evolve(provider.resource(), read_only_scopes=())
    with pytest.raises(ConfigurationError, match="for reading only"):
        read_only_scopes(harbor, "practice", attrs.evolve(provider, resources=(resource,)))


@pytest.mark.parametrize(
    ("held", "default", "narrower"),
    [
        (("read",), ("read", "write"), True),
        (("read", "offline_access"), ("read", "write"), True),
        (("read", "write", "offline_access"), ("read", "write"), False),
        (("read", "other"), ("read", "write"), False),
        (("read",), (), False),
    ],
)
def test_what_is_narrower(held: tuple[str, ...], default: tuple[str, ...], narrower: bool) -> None:
    """Some of the default ones and no other; `offline_access` is no access."""
    assert is_narrower(held, default) is narrower

"""Adapters travel as the name of a grant: copied, pickled, and into forked processes."""

from __future__ import annotations

import asyncio
import copy
import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import aiohttp
import httpx
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.default import default_harbor
from harbor_oauth.errors import ConfigurationError
from harbor_oauth.integrations.aiohttp import middleware
from harbor_oauth.integrations.google_auth import Credentials
from harbor_oauth.integrations.httpx import Auth
from harbor_oauth.integrations.keyring import VaultKeyring
from harbor_oauth.integrations.mcp import TokenStorage
from harbor_oauth.testing import McpServer

ADAPTERS: dict[str, Callable[[Harbor], Any]] = {
    "httpx": lambda harbor: Auth("practice", harbor=harbor),
    "google-auth": lambda harbor: Credentials("practice", harbor=harbor),
    "aiohttp": lambda harbor: middleware("practice", harbor=harbor),
    "requests": lambda harbor: harbor.session("practice"),
    "keyring": VaultKeyring,
    "mcp": lambda harbor: TokenStorage("practice", harbor=harbor),
}


def pickled(thing: Any) -> Any:
    """Send an object through pickle."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - its own words


TRAVELS = [pickled, copy.copy, copy.deepcopy]


@pytest.mark.parametrize("travel", TRAVELS)
@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_arrives(signed_in: Harbor, name: str, travel: Callable[[Any], Any]) -> None:
    """It is another object of the same kind."""
    adapter = ADAPTERS[name](signed_in)
    arrived = travel(adapter)
    assert type(arrived) is type(adapter)
    assert arrived is not adapter


@pytest.mark.parametrize("name", ADAPTERS)
def test_no_token_travels(signed_in: Harbor, name: str) -> None:
    """What is pickled holds no token, used or not."""
    adapter = ADAPTERS[name](signed_in)
    if name == "google-auth":
        adapter.refresh(None)
    assert signed_in.token("practice").reveal().encode() not in pickle.dumps(adapter)


@pytest.mark.parametrize("travel", TRAVELS)
def test_what_arrives_is_sent_with_the_token(
    signed_in: Harbor, mcp: McpServer, call: dict[str, Any], travel: Callable[[Any], Any]
) -> None:
    """Each kind of client has its request answered."""
    with httpx.Client(auth=travel(ADAPTERS["httpx"](signed_in))) as client:
        assert client.post(mcp.url, **call).status_code == 200
    session = travel(ADAPTERS["requests"](signed_in))
    assert session.post(mcp.url, **call).status_code == 200
    credentials = travel(ADAPTERS["google-auth"](signed_in))
    fields = dict(call["headers"])
    credentials.before_request(None, "POST", mcp.url, fields)
    with httpx.Client() as client:
        assert client.post(mcp.url, json=call["json"], headers=fields).status_code == 200
    arrived = travel(ADAPTERS["aiohttp"](signed_in))

    async def post() -> int:
        async with (
            aiohttp.ClientSession(middlewares=(arrived,)) as client,
            client.post(mcp.url, **call) as answer,
        ):
            return answer.status

    assert asyncio.run(post()) == 200


def test_a_session_keeps_what_was_set(signed_in: Harbor) -> None:
    """Header fields of the caller's own travel along."""
    session = signed_in.session("practice")
    session.headers["X-Own"] = "kept"
    assert pickled(session).headers["X-Own"] == "kept"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_worker_uses_the_same_harbor(signed_in: Harbor, mcp: McpServer) -> None:
    """A pool's worker that was forked asks the vault that its parent has."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        auth = ADAPTERS["google-auth"](signed_in)
        token = pool.apply_async(_refreshed, (auth,)).get(timeout=60)
    assert token == signed_in.token("practice").reveal()


def _refreshed(credentials: Credentials) -> str:
    credentials.refresh(None)
    return str(credentials.token)


def test_a_harbor_is_never_doubled(signed_in: Harbor) -> None:
    """Two of one Harbor would each hold, and refresh, every grant."""
    assert all(travel(signed_in) is signed_in for travel in TRAVELS)


def test_the_default_harbor_is_each_process_s_own() -> None:
    """Adapters without a Harbor of their own travel to any process."""
    assert pickled(default_harbor()) is default_harbor()
    code = (
        "import pickle, sys; from harbor_oauth.default import default_harbor;"
        "found = pickle.loads(bytes.fromhex(sys.argv[1]));"
        "print(found._harbor is default_harbor(), found._grant)"
    )
    argument = pickle.dumps(Auth("practice", harbor=default_harbor())).hex()
    done = subprocess.run(
        [sys.executable, "-c", code, argument], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["True", "practice"]


def test_a_foreign_harbor_is_an_error_that_names_the_way(harbor: Harbor) -> None:
    """A process that was not forked from this one cannot have its Harbor."""
    data = pickle.dumps(harbor)
    stranger = data.replace(harbor._reference.encode(), b"0" * 32)
    with pytest.raises(ConfigurationError, match="another process") as caught:
        pickle.loads(stranger)  # noqa: S301 - its own words
    assert "without harbor=" in caught.value.next_step


def test_a_block_closes_its_harbor(harbor: Harbor, monkeypatch: pytest.MonkeyPatch) -> None:
    """`with` gives the Harbor itself and closes it, also after an error."""
    closed: list[Harbor] = []

    def close(self: Harbor) -> None:
        closed.append(self)

    monkeypatch.setattr(type(harbor), "close", close)
    with harbor as inside:
        assert inside is harbor
    with pytest.raises(LookupError), harbor:
        raise LookupError
    assert closed == [harbor, harbor]

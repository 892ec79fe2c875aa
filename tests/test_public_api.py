"""The public face: its names, what it shows, and its module-level functions."""

from __future__ import annotations

import asyncio
import importlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import harbor_oauth
from harbor_oauth import Harbor
from harbor_oauth.testing import AuthorizationServer, McpServer

CANARY = "cnry-api-value"


def test_all_is_sorted_and_without_repetition() -> None:
    """As a linter sorts it: constants, classes, functions."""
    names = harbor_oauth.__all__
    assert len(set(names)) == len(names)
    assert names == [
        *sorted(name for name in names if name.isupper()),
        *sorted(name for name in names if name[0].isupper() and not name.isupper()),
        *sorted(name for name in names if name.islower()),
    ]


@pytest.mark.parametrize("name", harbor_oauth.__all__)
def test_every_name_has_a_home(name: str) -> None:
    """It is loaded from the module that says so, is in `dir()`, and is documented."""
    value = getattr(harbor_oauth, name)
    home = importlib.import_module(harbor_oauth._HOMES.get(name, harbor_oauth._ERRORS))
    assert value is getattr(home, name)
    assert name in dir(harbor_oauth)
    assert value.__doc__


@pytest.mark.parametrize("name", ["login", "session"])
@pytest.mark.parametrize("first", ["function", "room"])
def test_a_function_outlives_the_room_of_its_name(name: str, first: str) -> None:
    """Whichever is loaded first, `harbor_oauth.login` is the function, before and after."""
    steps = [
        f"assert callable(harbor_oauth.{name})",
        f"importlib.import_module('harbor_oauth.{name}')",
    ]
    if first == "room":
        steps.reverse()
    program = "; ".join(
        [
            "import harbor_oauth, importlib",
            *steps,
            f"assert callable(harbor_oauth.{name})",
            f"from harbor_oauth import {name}",
            f"assert callable({name})",
        ]
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_homes_names_nothing_else() -> None:
    """What is not in `_HOMES` is an error class; nothing in it is private."""
    assert set(harbor_oauth._HOMES) <= set(harbor_oauth.__all__)
    rest = set(harbor_oauth.__all__) - set(harbor_oauth._HOMES)
    errors = importlib.import_module(harbor_oauth._ERRORS)
    assert all(issubclass(getattr(errors, name), harbor_oauth.HarborError) for name in rest)


def test_what_type_checkers_see_is_what_is_there() -> None:
    """The names imported for type checkers are those of `__all__`."""
    import ast

    tree = ast.parse(Path(harbor_oauth.__file__).read_text())
    seen = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harbor_oauth")
        for alias in node.names
    ]
    assert sorted(seen) == sorted(harbor_oauth.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = harbor_oauth.nonsense


# --- nothing shows a secret -------------------------------------------------------


def request_() -> object:
    return harbor_oauth.HttpRequest(
        "POST", f"https://a.example/t?c={CANARY}", {"A": CANARY}, CANARY.encode()
    )


def response() -> object:
    return harbor_oauth.HttpResponse(
        200, {"a": CANARY}, CANARY.encode(), f"https://a.example/t?c={CANARY}"
    )


def credentials() -> harbor_oauth.ClientCredentials:
    return harbor_oauth.ClientCredentials("app", harbor_oauth.Secret(CANARY), "client_secret_basic")


def harbor() -> Harbor:
    return Harbor(
        tokens={"practice": CANARY},
        clients={"practice": credentials()},
        environ={"HARBOR_TOKEN_LINEAR": CANARY, "HARBOR_LINEAR_CLIENT_SECRET": CANARY},
    )


def pkce() -> harbor_oauth.PKCE:
    return harbor_oauth.PKCE.generate(lambda size: (CANARY * size).encode()[:size])


def vault() -> object:
    made = Harbor(environ={"HARBOR_VAULT": "memory"}).vault
    made.set("plain", CANARY)
    return made


MAKERS: dict[str, Callable[[], Any]] = {
    "Secret": lambda: harbor_oauth.Secret(CANARY),
    "AccessToken": lambda: harbor_oauth.AccessToken(harbor_oauth.Secret(CANARY), grant="practice"),
    "given token": lambda: harbor().token("practice"),
    "ClientCredentials": credentials,
    "HttpRequest": request_,
    "HttpResponse": response,
    "Harbor": harbor,
    "PKCE": pkce,
    "Vault": vault,
    "settings": lambda: harbor().settings,
    "session": lambda: harbor().session("practice"),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_value_made_with_a_secret_never_shows_it(kind: str) -> None:
    """Not in `repr`, `str`, a container, nor an f-string, which may be refused instead."""
    value = MAKERS[kind]()
    shown = [repr(value), str(value), repr([value]), repr({"k": (value,)}), f"{value!r} {value!s}"]
    try:
        shown.append(f"{value}")
    except TypeError as error:
        shown.append(str(error))
    secret = value.code_verifier.reveal() if isinstance(value, harbor_oauth.PKCE) else CANARY
    assert secret
    assert secret not in "\n".join(shown)


# --- the module-level functions ---------------------------------------------------

PROGRAM = """
import asyncio, sys
import harbor_oauth
url = sys.argv[1]
status = harbor_oauth.login("practice")
first = harbor_oauth.token("practice")
harbor_oauth.session("practice").close()
answer = harbor_oauth.session("practice").post(
    url,
    json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
    headers={"Accept": "application/json, text/event-stream"},
    timeout=10,
)
print(status.grant, answer.status_code, [each.grant for each in harbor_oauth.status()])
result = harbor_oauth.logout("practice")
print(result.revoked, harbor_oauth.status())

async def awaited():
    harbor_oauth.login("practice", account="two")
    status = await harbor_oauth.login_async("practice", account="two")
    token = await harbor_oauth.token_async("practice@two")
    same = token.reveal() == harbor_oauth.token("practice@two").reveal()
    result = await harbor_oauth.logout_async("practice@two", local_only=True)
    print(status.grant, same, token.reveal() != first.reveal(), result.revoked)

asyncio.run(awaited())
from harbor_oauth import default
print(default.default_harbor() is default.default_harbor())
"""
BROWSER = """
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
opener.open(sys.argv[1], timeout=20).read()
"""


def test_the_module_level_functions_share_one_harbor(
    tmp_path: Path, issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """A program of nothing but them signs in, uses and signs out, set up by its environment."""
    home, browser = tmp_path / "home", tmp_path / "browser.py"
    home.mkdir(mode=0o700)
    browser.write_text(BROWSER)
    (home / "config.toml").write_text(f'version = 1\n[servers.practice]\nurl = "{mcp.url}"\n')
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, mcp.url],
        env={
            "PATH": os.environ["PATH"],
            "HARBOR_HOME": str(home),
            "HARBOR_VAULT": "keyfile",
            "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
            "BROWSER": f"{sys.executable} {browser} %s",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "practice 200 ['practice']",
        "True ()",
        "practice@two True True False",
        "True",
    ]


def test_a_cancelled_login_closes_its_port(make_harbor: Callable[..., Harbor]) -> None:
    """Whoever cancels the task gets the port back, and nothing is stored."""
    ports: list[int] = []

    async def cancelled() -> None:
        loop, shown = asyncio.get_running_loop(), asyncio.Event()

        def browser(url: str) -> bool:
            ports.append(urlsplit(parse_qs(urlsplit(url).query)["redirect_uri"][0]).port or 0)
            loop.call_soon_threadsafe(shown.set)
            return True

        made = make_harbor(browser=browser)
        task = asyncio.create_task(made.login_async("practice"))
        await shown.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert made.vault.names() == ()

    asyncio.run(cancelled())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", ports[0]), timeout=20)

"""`harbor demo`: the whole life of a grant, on this machine, with real requests.

Every line is printed after the fact it states was seen; a fact that was not
seen ends the demo with exit status 1. No secret is printed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs

from harbor_oauth.client import Harbor
from harbor_oauth.errors import HarborError
from harbor_oauth.fleet.docking import dock_url
from harbor_oauth.fleet.undocking import undock

if TYPE_CHECKING:
    from harbor_oauth.testing import AuthorizationServer, McpServer

__all__ = ["run"]

_NAME: Final = "practice"
_BODY_TYPES: Final = {"Accept": "application/json, text/event-stream"}


class _NotSeenError(Exception):
    """A step's fact did not come true; the text says which."""


def run(*, browser: bool = False, say: Callable[[str], None] = print) -> int:
    """Run the demo.

    Args:
        browser: Open the person's own browser instead of following the
            redirects here.
        say: Prints a line.

    Returns:
        The exit status: 0 if every step came true, else 1.
    """
    from harbor_oauth.testing import AuthorizationServer, McpServer

    with (
        tempfile.TemporaryDirectory(prefix="harbor-demo-") as folder,
        AuthorizationServer(interactive=browser) as issuer,
        McpServer(issuer) as server,
    ):
        home = Path(folder, "home")
        environ = {"HARBOR_VAULT": "keyfile", "HARBOR_VAULT_KEY_FILE": str(home / "vault.key")}
        harbor = Harbor(home=home, environ=environ, browser=None if browser else issuer.browser)
        scene = _Scene(harbor, issuer, server, home, say)
        try:
            for number, step in enumerate(_STEPS, 1):
                for part, line in enumerate(step(scene)):
                    say(f"{'   ' if part else f'{number}. '}{line}")
        except (_NotSeenError, HarborError) as error:
            say(f"   FAILED: {error}")
            return 1
        finally:
            harbor.close()
    say("Everything above happened just now; nothing of it is left on this machine.")
    return 0


@attrs.define
class _Scene:
    """What the steps share."""

    harbor: Harbor
    issuer: AuthorizationServer
    server: McpServer
    home: Path
    say: Callable[[str], None]
    first_token: str = attrs.field(default="", repr=False)

    def call(self, method: str, params: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        """Call the MCP server with the grant's token; return the result and the statuses seen."""
        statuses: list[int] = []
        session = self.harbor.session(_NAME)
        session.hooks["response"].append(lambda answer, **_: statuses.append(answer.status_code))
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        with session:
            answer = session.post(self.server.url, json=message, headers=_BODY_TYPES, timeout=10)
        return answer.json().get("result", {}), statuses


def _expect(seen: object, wanted: object, what: str) -> None:
    if seen != wanted:
        raise _NotSeenError(f"{what}: expected {wanted!r}, saw {seen!r}")


def _expect_true(what: str, *, holds: bool) -> None:
    if not holds:
        raise _NotSeenError(f"{what}: not seen")


def _start(scene: _Scene) -> Iterator[str]:
    yield (
        f"Two practice servers run on this machine: sign-in at {scene.issuer.issuer}, "
        f"MCP at {scene.server.url}"
    )


def _dock(scene: _Scene) -> Iterator[str]:
    yield f"harbor dock --name {_NAME} --url {scene.server.url}"

    def show(url: str) -> None:
        scene.say(f"   The browser goes to {urlsplit(url).netloc}{urlsplit(url).path}")

    docked = dock_url(scene.harbor, _NAME, scene.server.url, on_url=show)
    _expect_true("a sign-in", holds=docked.signed_in)
    _expect(scene.issuer.count("register"), 1, "client registrations")
    _expect(scene.issuer.count("token"), 1, "token requests")
    scene.first_token = scene.harbor.token(_NAME).reveal()
    (status,) = scene.harbor.status()
    life = (status.expires_at or 0) - (status.obtained_at or 0)
    yield (
        "Signed in with PKCE and a loopback callback: 1 registration, 1 token request; "
        f"the token is good for {life:.0f} s and opens {docked.tools} tools"
    )


def _use(scene: _Scene) -> Iterator[str]:
    listed, statuses = scene.call("tools/list", {})
    _expect(statuses, [200], "tools/list")
    names = ", ".join(tool["name"] for tool in listed["tools"])
    yield f"tools/list answered {statuses[0]}: {names}"
    result, statuses = scene.call("tools/call", {"name": "add", "arguments": {"a": 2, "b": 3}})
    _expect(statuses, [200], "tools/call")
    text = result["content"][0]["text"]
    _expect(str(text), "5", "add(2, 3)")
    yield f"tools/call add(2, 3) answered {statuses[0]}: {text}"


def _expire(scene: _Scene) -> Iterator[str]:
    scene.issuer.expire_access_tokens()
    _expect(scene.issuer.valid(scene.first_token), None, "the expired token")
    yield "The server let the access token expire early; nobody told this program"
    result, statuses = scene.call("tools/call", {"name": "echo", "arguments": {"text": "again"}})
    refreshes = scene.issuer.count("token", grant_type="refresh_token")
    _expect(statuses, [401, 200], "the statuses of one call")
    _expect(refreshes, 1, "refresh requests")
    _expect_true("a new token", holds=scene.harbor.token(_NAME).reveal() != scene.first_token)
    yield (
        f"One call saw {statuses[0]}, refreshed ({refreshes} request), was sent again and saw "
        f"{statuses[1]}: {result['content'][0]['text']!r}; the new pair is in the vault"
    )


def _sealed(scene: _Scene) -> Iterator[str]:
    secrets = [scene.harbor.vault.get(f"oauth:{_NAME}:{field}") for field in _TOKEN_FIELDS]
    files = [path for path in scene.home.rglob("*") if path.is_file()]
    stored = b"".join(path.read_bytes() for path in files)
    for secret in secrets:
        if secret is None:
            raise _NotSeenError("the vault lacks a token")
        _expect_true("sealed tokens", holds=secret.reveal().encode() not in stored)
    modes = {f"{path.stat().st_mode & 0o777:04o}" for path in files}
    yield (
        f"The vault's {len(files)} files ({len(stored)} bytes, mode {', '.join(sorted(modes))}) "
        "hold both tokens, and neither can be found in them: they are sealed"
    )


_TOKEN_FIELDS: Final = ("access_token", "refresh_token")


def _undock(scene: _Scene) -> Iterator[str]:
    last = scene.harbor.token(_NAME).reveal()
    yield f"harbor undock --name {_NAME}"
    ended = undock(scene.harbor, _NAME).ended
    _expect([result.revoked for result in ended], [True], "revocations")
    _expect(scene.issuer.valid(last), None, "the revoked token")
    _expect(scene.harbor.status(), (), "stored grants")
    kinds = " and ".join(event.kind.replace("_", " ") for event in scene.issuer.revoked)
    yield f"The server revoked the {kinds}; it refuses the last token now, and the vault is empty"


_STEPS: Final = (_start, _dock, _use, _expire, _sealed, _undock)

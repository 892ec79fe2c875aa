"""A day of calls through the gateway, in minutes, to twelve servers of different token lives.

One clock is everybody's. Some tokens live for half a minute, some for longer
than the day; one server never says how long and ends its tokens unannounced. No
call may fail, nobody may be asked to sign in, and each ended token costs one
refresh at most.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from harbor_oauth.client import Harbor
from harbor_oauth.fleet.config import add_server
from harbor_oauth.gateway.server import Options
from harbor_oauth.gateway.upstream import Upstream
from harbor_oauth.providers import discovered_provider
from harbor_oauth.settings import ServerEntry
from harbor_oauth.testing import AuthorizationServer, McpServer
from tests.faults.ground import Verdict, counts
from tests.gateway.conftest import RunningGateway, call_echo, running

_HOUR: Final = 3600.0
_DAY: Final = 24 * _HOUR
_LIVES: Final = (30.0, 60.0, 300.0, 600.0, 900.0, 1800.0)
_LONG_LIVES: Final = (_HOUR, 2 * _HOUR, 8 * _HOUR, 12 * _HOUR, 10 * _DAY, None)


@attrs.define
class Clock:
    """A clock that is told to go on."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@contextlib.contextmanager
def servers(clock: Clock) -> Iterator[dict[str, tuple[AuthorizationServer, McpServer]]]:
    """Run twelve authorization servers, each with an MCP server."""
    with contextlib.ExitStack() as stack:
        found = {}
        for number, life in enumerate((*_LIVES, *_LONG_LIVES)):
            issuer = stack.enter_context(
                AuthorizationServer(clock=clock, access_token_lifetime=life)
            )
            found[f"server-{number}"] = issuer, stack.enter_context(McpServer(issuer))
        yield found


@contextlib.contextmanager
def gateway(
    home: Path, clock: Clock, docked: dict[str, tuple[AuthorizationServer, McpServer]]
) -> Iterator[RunningGateway]:
    """Sign in to all of them once, dock them, and serve."""
    providers = {name: discovered_provider(name, mcp.url) for name, (_, mcp) in docked.items()}
    harbor = Harbor(
        home=home,
        environ={"HARBOR_VAULT": "keyfile", "HARBOR_VAULT_KEY_FILE": str(home / "vault.key")},
        providers=providers,
        clock=clock,
        monotonic=clock,
        sleep=clock.advance,
        browser=lambda url: any(
            issuer.browser(url) for issuer, _ in docked.values() if url.startswith(issuer.origin)
        ),
    )
    with contextlib.closing(harbor):
        for name, (_, mcp) in docked.items():
            harbor.login(name)
            add_server(harbor.settings, ServerEntry(name=name, url=mcp.url, grant=name))
            harbor.reload_settings()
        upstream = Upstream(harbor, monotonic=clock)
        with running(harbor, Options(port=0), upstream=upstream) as found:
            yield found


def main(argv: Sequence[str] | None = None) -> int:
    """Let a day go by."""
    options = counts(argv, __doc__, steps=(288, 36))
    verdict = Verdict("gateway_day")
    clock = Clock()
    with (
        tempfile.TemporaryDirectory() as place,
        servers(clock) as docked,
        gateway(Path(place) / "home", clock, docked) as through,
    ):
        for step in range(options.steps):
            clock.advance(_DAY / options.steps)
            if clock.now % _HOUR < _DAY / options.steps:
                docked["server-11"][0].expire_access_tokens()
            for name in docked:
                text = f"{name} at {step}"
                said = through.post(f"/{name}", call_echo(text)).json()
                verdict.count("calls")
                verdict.want(text in str(said.get("result")), f"{text}: {said}")
        for name, (issuer, mcp) in docked.items():
            sign_ins = issuer.count("token", grant_type="authorization_code")
            refreshes = issuer.count("token", grant_type="refresh_token")
            verdict.count("sign-ins", sign_ins)
            verdict.count("refreshes", refreshes)
            verdict.want(sign_ins == 1, f"{name}: {sign_ins} sign-ins")
            verdict.want(refreshes <= options.steps, f"{name}: {refreshes} refreshes")
            verdict.want(len(mcp.calls) == options.steps, f"{name}: {len(mcp.calls)} executions")
            verdict.want(not issuer.reuse_events, f"{name}: a refresh token was used twice")
    return verdict.tell()


if __name__ == "__main__":
    sys.exit(main())

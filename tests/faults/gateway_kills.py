"""Kill the gateway while it refreshes, and while it streams; start it again.

A caller's request makes the gateway refresh; 0 to 50 ms after the server has
sent the new pair the gateway is killed. Or it is killed in the middle of a
stream of events. Then another gateway is started, and a call through it has to
succeed: nobody may have to sign in, and no tool may run twice for one call.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random  # noqa: TID251 - the type; the seed is given
from typing import Final

import attrs
import requests
from werkzeug import Request, Response

from harbor_oauth.client import Harbor
from harbor_oauth.fleet.docking import dock_url
from harbor_oauth.gateway.keys import Keys
from harbor_oauth.testing import McpServer
from tests.faults.ground import PATIENCE, Verdict, counts, seeded
from tests.faults.kills import TellingServer

_LONGEST: Final = 0.05
_GRACE: Final = 30.0
_NAME: Final = "practice"


@attrs.define
class Ground:
    """The doubles, a docked server, and the gateway in a process of its own.

    Attributes:
        issuer: The authorization server.
        mcp: The docked server.
        environ: What the gateway is started with.
        key: The gateway's own key.
    """

    issuer: TellingServer
    mcp: McpServer
    environ: dict[str, str]
    key: str

    @contextlib.contextmanager
    def gateway(self) -> Iterator[tuple[subprocess.Popen[str], str]]:
        """Start the gateway; end it with the block if it still runs."""
        with subprocess.Popen(
            [sys.executable, "-m", "harbor_oauth", "lighthouse", "--port", "0"],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            try:
                for line in process.stderr:
                    if line.rstrip().endswith(f"/{_NAME}"):
                        yield process, line.strip()
                        return
                raise AssertionError("the gateway did not start")
            finally:
                process.kill()

    def call(self, url: str, text: str) -> str:
        """Call a tool; return what it gave, or what went wrong."""
        params = {"name": "echo", "arguments": {"text": text}}
        message = {"jsonrpc": "2.0", "id": text, "method": "tools/call", "params": params}
        headers = {"X-Harbor-Key": self.key, "Accept": "application/json, text/event-stream"}
        with requests.Session() as session:
            session.trust_env = False
            try:
                answer = session.post(url, json=message, headers=headers, timeout=PATIENCE)
                said = answer.json()
            except (requests.RequestException, ValueError) as error:
                return type(error).__name__
        return str(said.get("result", said))

    def ran(self, text: str) -> int:
        """Return how often the tool ran for a call."""
        return sum(call.arguments.get("text") == text for call in self.mcp.calls)


@contextlib.contextmanager
def ground(home: Path) -> Iterator[Ground]:
    """Dock a server and sign in to it."""
    environ = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "HARBOR_HOME": str(home),
        "HARBOR_VAULT": "keyfile",
        "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
    }
    with TellingServer(grace=_GRACE) as issuer, McpServer(issuer) as mcp:
        with contextlib.closing(Harbor(environ=environ, browser=issuer.browser)) as harbor:
            dock_url(harbor, _NAME, mcp.url)
        issuer.sent.get(timeout=PATIENCE)  # the sign-in's
        yield Ground(issuer, mcp, environ, Keys(home).own().reveal())


def during_refresh(here: Ground, text: str, random: Random) -> None:
    """Kill the gateway soon after the server has sent it a new pair."""
    with here.gateway() as (process, url):
        here.issuer.expire_access_tokens()
        caller = threading.Thread(target=here.call, args=(url, text))
        caller.start()
        here.issuer.sent.get(timeout=PATIENCE)
        time.sleep(random.uniform(0, _LONGEST))  # the moment is the fault
        process.kill()
        caller.join()


def during_stream(here: Ground, text: str, random: Random) -> None:
    """Kill the gateway while it passes events on."""
    over = threading.Event()

    def events(_: Request) -> Response:
        def each() -> Iterator[bytes]:
            yield b": begun\n\n"
            while not over.wait(0.002):
                yield b"data: {}\n\n"

        return Response(each(), content_type="text/event-stream")

    here.mcp.script("mcp", events)
    with here.gateway() as (process, url):
        headers = {"X-Harbor-Key": here.key, "Accept": "text/event-stream"}
        with requests.Session() as session:
            session.trust_env = False
            with session.get(url, headers=headers, stream=True, timeout=PATIENCE) as answer:
                next(answer.iter_lines())
                time.sleep(random.uniform(0, _LONGEST))
                process.kill()
                with contextlib.suppress(requests.RequestException):
                    answer.content  # noqa: B018 - read to where it breaks off
    over.set()


def rounds(
    here: Ground,
    kinds: Sequence[Callable[[Ground, str, Random], None]],
    random: Random,
    verdict: Verdict,
) -> None:
    """Kill, start again, call."""
    for number, kill in enumerate(kinds):
        text = f"call {number}"
        kill(here, text, random)
        verdict.count(kill.__name__.replace("_", " "))
        verdict.want(here.ran(text) <= 1, f"{text} ran {here.ran(text)} times")
        after = f"after {number}"
        with here.gateway() as (_, url):
            said = here.call(url, after)
        verdict.want(after in said, f"round {number}: {said}")
        verdict.want(here.ran(after) == 1, f"{after} ran {here.ran(after)} times")
        while not here.issuer.sent.empty():
            here.issuer.sent.get()
    verdict.figures["sign-ins"] = here.issuer.count("token", grant_type="authorization_code")
    verdict.want(verdict.figures["sign-ins"] == 1, "somebody had to sign in again")


def main(argv: Sequence[str] | None = None) -> int:
    """Kill the gateway in both ways, in turn."""
    options = counts(argv, __doc__, refreshes=(100, 6), streams=(50, 3))
    verdict = Verdict("gateway_kills")
    kinds: list[Callable[[Ground, str, Random], None]] = [
        *[during_refresh] * options.refreshes,
        *[during_stream] * options.streams,
    ]
    with tempfile.TemporaryDirectory() as place, ground(Path(place) / "home") as here:
        rounds(here, kinds, seeded(options.seed), verdict)
    return verdict.tell()


if __name__ == "__main__":
    sys.exit(main())

"""From nothing to the first tools of an MCP server, beside the clients people use today.

    python3 dev.py bench login [-- --rounds 10 --starts 5]

Each client signs in to the same server and lists its tools, again and again, with nothing stored
and in turns. The servers are this project's doubles in a process of their own: a challenge with
metadata and scope, dynamic registration, PKCE. The person consents at once. One server speaks the
revision of 2026-07-28, one only the revision before. It prints whether the goals are met and fails
nobody.

The peers keep their tokens in memory, so ours does for the goals; `on disk` makes a sealed vault
with a key file each time, which is what a person's first sign-in does.

`running` is the time in a program that has signed in before. `from its start` is that of a whole
new process, most of which is imports: ours imports what the SDK does and more, so it is no goal.
How each client is set up stands in `peers/mcp_clients.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
from werkzeug import Request, Response

from benchmarks.peers.mcp_clients import CLIENTS
from harbor_oauth.testing import AuthorizationServer, McpServer, RecordedRequest

WORKER: Final = Path(__file__).parent / "peers" / "mcp_clients.py"
TOOLS: Final = 2
REVISION: Final = "2026-07-28"


# --- the servers --------------------------------------------------------------
class Handshaking(McpServer):
    """A server from before 2026-07-28, which answers a revision it does not know with 400."""

    def _message(self, request: Request) -> Response:
        if request.headers.get("MCP-Protocol-Version") == REVISION:
            return Response("Bad Request: Unsupported protocol version", 400)
        return super()._message(request)


def named(request: RecordedRequest) -> str:
    """Name a request by its endpoint, or by what it asks of the MCP server."""
    message = request.json if request.endpoint == "mcp" else None
    return str(message["method"]) if isinstance(message, dict) else request.endpoint


def serve(kind: str) -> None:
    """Serve until the input ends; answer each line with the requests so far."""
    make = Handshaking if kind == "handshaking" else McpServer
    with (
        AuthorizationServer(scopes=("read", "write")) as issuer,
        make(issuer, scope="read") as server,
    ):
        print(json.dumps(server.url), flush=True)
        for _ in sys.stdin:
            requests = [*server.requests, *issuer.requests]
            print(json.dumps([named(request) for request in requests]), flush=True)


# --- the programs -------------------------------------------------------------
class Program:
    """A process that answers lines with JSON."""

    def __init__(self, *argv: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, line: str) -> Any:  # noqa: ANN401 - JSON
        assert self.process.stdin is not None
        print(line, file=self.process.stdin, flush=True)
        return self.read()

    def read(self) -> Any:  # noqa: ANN401 - JSON
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@contextlib.contextmanager
def program(*argv: str) -> Iterator[Program]:
    running = Program(*argv)
    try:
        yield running
    finally:
        running.close()
        if running.process.stdout is not None:
            running.process.stdout.close()


# --- measuring ----------------------------------------------------------------
@attrs.define
class Measured:
    """What one client's sign-ins came to."""

    requests: Counter[str] = attrs.field(factory=Counter)
    running: list[float] = attrs.field(factory=list)
    started: list[float] = attrs.field(factory=list)

    @property
    def count(self) -> int:
        return self.requests.total()


def sign_in(client: Program, url: str) -> dict[str, float]:
    """Let a client sign in with an empty directory."""
    with tempfile.TemporaryDirectory(prefix="harbor-bench-") as home:
        answer: dict[str, float] = client.ask(f"{url} {home}")
    assert answer["tools"] == TOOLS
    return answer


def compare(kind: str, names: list[str], *, rounds: int, starts: int) -> dict[str, Measured]:
    """Return what the clients came to, which took turns."""
    measured = {name: Measured() for name in names}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(program(__file__, "--serve", kind))
        url = server.read()
        clients = {name: stack.enter_context(program(str(WORKER), name)) for name in names}
        for name, client in clients.items():
            sign_in(client, url)  # imports what it needs
            before = Counter(server.ask("requests"))
            sign_in(client, url)
            measured[name].requests = Counter(server.ask("requests")) - before
        for _ in range(rounds):
            for name, client in clients.items():
                measured[name].running.append(sign_in(client, url)["seconds"])
        for _ in range(starts):
            for name in names:
                start = time.monotonic()  # the same clock for all processes
                with program(str(WORKER), name) as client:
                    measured[name].started.append(sign_in(client, url)["done"] - start)
    return measured


# --- the report ---------------------------------------------------------------
def report(title: str, measured: dict[str, Measured]) -> None:
    print(f"\n{title}\n{'':30}{'requests':>10}{'running':>11}{'from its start':>17}")
    for name, result in measured.items():
        label = f"{name} {importlib.metadata.version(CLIENTS[name][0])}"
        print(
            f"{label:30}{result.count:>10}{statistics.median(result.running) * 1000:>8.0f} ms"
            f"{statistics.median(result.started) * 1000:>14.0f} ms"
        )
        print(
            "    "
            + ", ".join(f"{n} x {what}" if n > 1 else what for what, n in result.requests.items())
        )


def goals(kind: str, measured: dict[str, Measured]) -> dict[str, bool]:
    ours = measured["harbor_oauth"]
    others = [result for name, result in measured.items() if not name.startswith("harbor_oauth")]
    time_taken = statistics.median(ours.running)
    faster = all(time_taken < statistics.median(other.running) for other in others)
    if kind == "handshaking":
        # What an older server has to be asked leaves nothing out.
        fewer = {"it sends no more requests": all(ours.count <= other.count for other in others)}
    else:
        fewer = {"it sends fewer requests": all(ours.count < other.count for other in others)}
    return fewer | {"it takes less time in a running program": faster}


def installed(name: str) -> bool:
    try:
        importlib.metadata.version(CLIENTS[name][0])
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="sign-ins of each running client")
    parser.add_argument("--starts", type=int, default=5, help="new processes of each client")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    names = [name for name in CLIENTS if installed(name)]
    for name in set(CLIENTS) - set(names):
        print(f"{name} is not installed")
    fields = {"modern": f"A server of {REVISION}", "handshaking": "A server of 2025-11-25"}
    for kind, title in fields.items():
        measured = compare(kind, names, rounds=options.rounds, starts=options.starts)
        report(title, measured)
        for goal, met in goals(kind, measured).items():
            print(f"{goal:48}{'met' if met else 'NOT met'}")


if __name__ == "__main__":
    main()

"""A gateway that listens, on a thread of the test's own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import requests

from harbor_oauth.client import Harbor
from harbor_oauth.fleet.config import add_server
from harbor_oauth.gateway.keys import Keys
from harbor_oauth.gateway.server import Options, serve
from harbor_oauth.gateway.upstream import Upstream
from harbor_oauth.settings import ServerEntry
from harbor_oauth.testing import McpServer

ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


def call_echo(text: str, identifier: int | str = 1) -> dict[str, Any]:
    """Return the message that calls the practice server's `echo`."""
    params = {"name": "echo", "arguments": {"text": text}}
    return {"jsonrpc": "2.0", "id": identifier, "method": "tools/call", "params": params}


@attrs.frozen
class RunningGateway:
    """A gateway that listens.

    Attributes:
        address: Where, as ``http://127.0.0.1:PORT``.
        key: Its own key.
        harbor: What it works with.
        upstream: What it sends requests with.
    """

    address: str
    key: str = attrs.field(repr=False)
    harbor: Harbor
    upstream: Upstream

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def post(
        self,
        path: str,
        message: object,
        headers: Mapping[str, str | None] | None = None,
        **options: Any,
    ) -> requests.Response:
        """Send a message as an MCP client does; a header of None is left out."""
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        return self.send("POST", path, headers, data=body, **options)

    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str | None] | None = None,
        **options: Any,
    ) -> requests.Response:
        fields = {**ACCEPT, "X-Harbor-Key": self.key, **(headers or {})}
        with requests.Session() as session:
            session.trust_env = False
            return session.request(
                method,
                f"{self.address}{path}",
                headers={name: value for name, value in fields.items() if value is not None},
                timeout=30,
                allow_redirects=False,
                **options,
            )


@contextmanager
def running(
    harbor: Harbor,
    options: Options,
    *,
    upstream: Upstream | None = None,
    keys: Keys | None = None,
) -> Iterator[RunningGateway]:
    """Serve on a thread until the block ends."""
    keys = keys or Keys(harbor.settings.home)
    upstream = upstream or Upstream(harbor, limits=options.limits)
    started: dict[str, Any] = {}
    listening = threading.Event()

    async def main() -> None:
        started["loop"], started["stop"] = asyncio.get_running_loop(), asyncio.Event()

        def ready(address: str) -> None:
            started["address"] = address
            listening.set()

        await serve(
            harbor,
            options,
            ready=ready,
            stop=started["stop"],
            upstream=upstream,
            keys=keys,
        )

    failures: list[BaseException] = []

    def work() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - raised again on the test's thread
            failures.append(error)
            listening.set()

    thread = threading.Thread(target=work, name="gateway-under-test")
    thread.start()
    assert listening.wait(10), "the gateway did not start"
    try:
        if failures:
            raise failures[0]
        yield RunningGateway(started["address"], keys.own().reveal(), harbor, upstream)
    finally:
        if not failures:
            started["loop"].call_soon_threadsafe(started["stop"].set)
        thread.join(20)
        assert not thread.is_alive(), "the gateway did not stop"
    if failures:
        raise failures[0]


@pytest.fixture
def start_gateway() -> Iterator[Callable[..., RunningGateway]]:
    """Start gateways: `start_gateway(harbor, audit=path, limits=Limits(…))`."""
    with ExitStack() as stack:

        def start(
            harbor: Harbor,
            *,
            upstream: Upstream | None = None,
            keys: Keys | None = None,
            **options: Any,
        ) -> RunningGateway:
            wanted = Options(**{"port": 0, **options})
            return stack.enter_context(running(harbor, wanted, upstream=upstream, keys=keys))

        yield start


@pytest.fixture
def docked(harbor: Harbor, mcp: McpServer) -> Harbor:
    """A Harbor with the practice server docked and signed in to."""
    harbor.login("practice")
    add_server(harbor.settings, ServerEntry(name="practice", url=mcp.url, grant="practice"))
    harbor.reload_settings()
    return harbor


@pytest.fixture
def gateway(docked: Harbor, start_gateway: Callable[..., RunningGateway]) -> RunningGateway:
    """A gateway in front of the practice server."""
    return start_gateway(docked)


@pytest.fixture
def audit_path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"

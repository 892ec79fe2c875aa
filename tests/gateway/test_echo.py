"""Servers that repeat what they are sent: nothing of it is shown or written down."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import sqlite3
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import aiohttp
import attrs
import httpx
import pytest
from google.auth.transport.requests import AuthorizedSession

from harbor_oauth.client import Harbor
from harbor_oauth.errors import HarborError
from harbor_oauth.fleet.config import add_server
from harbor_oauth.fleet.explain import explain
from harbor_oauth.gateway.bridge import Bridge
from harbor_oauth.gateway.stdio import split_lines
from harbor_oauth.gateway.upstream import Upstream
from harbor_oauth.integrations.aiohttp import middleware
from harbor_oauth.integrations.google_auth import Credentials
from harbor_oauth.integrations.httpx import Auth
from harbor_oauth.protocol.http import HttpRequest
from harbor_oauth.protocol.masking import is_secret_name
from harbor_oauth.settings import ServerEntry
from harbor_oauth.testing import AuthorizationServer, McpServer, answers
from tests.conftest import Cli, FakeClock
from tests.gateway.conftest import ACCEPT, RunningGateway, call_echo

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}


def spellings(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="")
    yield base64.b64encode(secret.encode()).decode().rstrip("=")
    yield base64.b64encode(f"it was {secret}".encode()).decode()[12:-4]
    yield secret[:20]


@attrs.define
class Shown:
    """All that people, files and debuggers are shown.

    Attributes:
        texts: The texts, with what they are from.
        failures: How many errors there were.
    """

    texts: list[tuple[str, str]] = attrs.field(factory=list)
    failures: int = 0

    def add(self, where: str, *texts: object) -> None:
        self.texts += [(where, text if isinstance(text, str) else repr(text)) for text in texts]

    def attempt(self, where: str, action: Callable[[], object]) -> None:
        try:
            self.add(where, action())
        except HarborError as error:
            self.error(where, error)

    def error(self, where: str, error: HarborError) -> None:
        self.failures += 1
        self.add(where, "".join(traceback.format_exception(error)))
        self.add(where, error.__dict__, error.args, error)
        chain: BaseException | None = error
        while chain is not None:
            for frame, values in local_values(chain.__traceback__):
                self.add(f"{where}: locals of {frame}", *values)
            chain = chain.__cause__ or chain.__context__


def local_values(trace: TracebackType | None) -> Iterator[tuple[str, list[str]]]:
    """Yield the library's own frames with what a debugger prints of their variables."""
    while trace is not None:
        code = trace.tb_frame.f_code
        if "/harbor_oauth/" in code.co_filename and "/testing/" not in code.co_filename:
            where = f"{Path(code.co_filename).name}:{code.co_name}"
            # What a caller's own client prints of itself is not ours.
            ours = ("builtins", "harbor_oauth", "collections")
            yield (
                where,
                [
                    f"{name}={value!r}"
                    for name, value in trace.tb_frame.f_locals.items()
                    if type(value).__module__.partition(".")[0] in ours
                ],
            )
        trace = trace.tb_next


def sent_secrets(*servers: AuthorizationServer | McpServer) -> set[str]:
    """Return every secret that the servers were sent, by where it stood."""
    found: set[str] = set()
    for server in servers:
        for request in server.requests:
            if request.endpoint == "authorize":
                continue  # the browser's, not ours
            found |= {
                value
                for name, value in request.form.items()
                if is_secret_name(name) and isinstance(value, str)
            }
            authorization = request.headers.get("authorization", "")
            if authorization.startswith("Basic "):
                pair = base64.b64decode(authorization[6:]).decode()
                found |= {authorization[6:], pair.partition(":")[2]}
            elif authorization:
                found.add(authorization.partition(" ")[2])
    return {secret for secret in found if secret}


def plain_tables(database: Path) -> Iterator[tuple[str, str]]:
    with closing(sqlite3.connect(database)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            rows = connection.execute(f'SELECT * FROM "{table}"').fetchall()  # noqa: S608 - a name from the database itself
            yield f"table {table}", repr(rows)


async def aiohttp_call(harbor: Harbor, url: str) -> object:
    session = aiohttp.ClientSession(middlewares=(middleware("practice", harbor=harbor),))
    async with session, session.post(url, json=LIST, headers=ACCEPT) as response:
        return response.status


async def bridge_lines(harbor: Harbor, said: list[str], lines: list[bytes]) -> list[bytes]:
    written: list[bytes] = []

    async def write(line: bytes) -> None:
        written.append(line)

    waiting = [json.dumps(LIST).encode() + b"\n", b""]

    async def read() -> bytes:
        return waiting.pop(0)

    upstream = Upstream(harbor)
    await upstream.open()
    try:
        bridge = Bridge(upstream, "practice", write=write, say=said.append)
        await bridge.run(split_lines(read, limit=1_000_000))
    finally:
        await upstream.close()
    lines += written
    return written


def use_everywhere(shown: Shown, harbor: Harbor, url: str) -> None:
    """Send a request by every way out of the library."""

    def session() -> object:
        with harbor.session("practice") as own:
            return own.post(url, json=LIST, headers=ACCEPT, timeout=30).status_code

    def google() -> object:
        with AuthorizedSession(Credentials("practice", harbor=harbor)) as own:
            return own.post(url, json=LIST, headers=ACCEPT).status_code

    def with_httpx() -> object:
        with httpx.Client(auth=Auth("practice", harbor=harbor), trust_env=False) as client:
            return client.post(url, json=LIST, headers=ACCEPT).status_code

    async def with_httpx_async() -> object:
        auth = Auth("practice", harbor=harbor)
        async with httpx.AsyncClient(auth=auth, trust_env=False) as client:
            return (await client.post(url, json=LIST, headers=ACCEPT)).status_code

    said: list[str] = []
    lines: list[bytes] = []
    shown.attempt("session", session)
    shown.attempt("google", google)
    shown.attempt("httpx", with_httpx)
    shown.attempt("httpx, async", lambda: asyncio.run(with_httpx_async()))
    shown.attempt("aiohttp", lambda: asyncio.run(aiohttp_call(harbor, url)))
    shown.attempt("bridge", lambda: asyncio.run(bridge_lines(harbor, said, lines)))
    shown.add("bridge's words", said, lines)


def test_what_servers_repeat_is_shown_nowhere(  # noqa: PLR0915 - the whole life of a grant
    make_harbor: Callable[..., Harbor],
    issuer: AuthorizationServer,
    mcp: McpServer,
    clock: FakeClock,
    cli: Cli,
    start_gateway: Callable[..., RunningGateway],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Sign-in, refresh, use, device, revocation: refused and granted, by every way out."""
    caplog.set_level(logging.DEBUG)
    issuer.echo = mcp.echo = True
    issuer.device_grant = issuer.par = True
    issuer.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_basic"]
    harbor, shown, audit = make_harbor(), Shown(), tmp_path / "audit.jsonl"
    shown_codes: list[object] = []
    refusal = answers.json({"error": "invalid_grant", "error_description": "said no"}, 400)

    # Sign-in: refused by each endpoint in turn, then granted.
    for endpoint in ("register", "par", "token"):
        issuer.script(endpoint, answers.json({"error": "invalid_request"}, 400))
        shown.attempt(f"sign-in: {endpoint}", lambda: harbor.login("practice"))
    issuer.deny = True
    shown.attempt("sign-in: denied", lambda: harbor.login("practice"))
    issuer.deny = False
    for endpoint in ("device_authorization", "token"):
        issuer.script(endpoint, answers.json({"error": "invalid_request"}, 400))
        shown.attempt(
            f"device: {endpoint}", lambda: harbor.device_login("practice", shown_codes.append)
        )
    harbor.login("practice")
    granted = harbor.token("practice").scopes
    assert set(granted) >= {"read", "write"}
    shown.add("scopes", granted)
    add_server(harbor.settings, ServerEntry(name="practice", url=mcp.url, grant="practice"))
    harbor.reload_settings()

    # Use: granted, refused for a scope, refused for the token.
    gateway = start_gateway(harbor, audit=audit)
    for state in ("granted", "narrow", "refused"):
        mcp.scope = "read admin" if state == "narrow" else None
        mcp.always_401 = state == "refused"
        use_everywhere(shown, harbor, mcp.url)
        shown.add("gateway", gateway.post("/practice", call_echo("hello")).text)
    mcp.always_401 = False

    # Refresh: refused for now, then for good.
    issuer.script("token", answers.json({"error": "temporarily_unavailable"}, 503))
    clock.advance(4000)
    shown.attempt("refresh", lambda: harbor.token("practice"))
    issuer.script("token", refusal)
    clock.advance(4000)
    shown.attempt("refresh", lambda: harbor.token("practice"))
    shown.add("gateway", gateway.post("/practice", call_echo("hello")).text)
    use_everywhere(shown, harbor, mcp.url)

    # What is told of it afterwards.
    for command in (
        ("why", "practice"),
        ("why", "practice", "--json"),
        ("doctor",),
        ("status",),
        ("status", "--json"),
        ("token", "practice"),
        ("token", "practice", "--json"),
    ):
        ran = cli(*command, with_=harbor)
        shown.add(f"harbor {' '.join(command)}", ran.out, ran.err)
    shown.add("why in the window", explain(harbor, "practice", clock()))
    shown.add("status", harbor.status(), harbor.history("practice"))

    # Revocation.
    harbor.login("practice")
    key = harbor.vault.grants()[0]
    issuer.script("revoke", answers.json({"error": "invalid_request"}, 400))
    shown.attempt("revoke", lambda: harbor.logout("practice"))
    shown.add("history", harbor.vault.history(key))

    home = tmp_path / "home"
    for path in (audit, *home.rglob("*")):
        if path.is_file():
            shown.add(f"file {path.name}", path.read_bytes().decode("latin-1"))
    shown.texts += plain_tables(next(home.rglob("*.db")))
    for record in caplog.records:
        if record.name.startswith("httpcore"):
            continue  # the caller's own client, which logs every field it gets
        shown.add("log", record.getMessage(), record.args)

    secrets = sent_secrets(issuer, mcp)
    assert shown.failures >= 12
    assert len(secrets) >= 10
    seen = sorted(
        {
            f"{where}: {text[max(0, text.find(said) - 60) : text.find(said)]}"
            for secret in secrets
            for said in spellings(secret)
            for where, text in shown.texts
            if said in text
        }
    )
    assert not seen, "\n".join(seen)


def test_the_frames_of_a_broken_exchange_hold_no_header(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """With proofs, with a body above the limit, with a value that no header may have."""
    issuer.dpop, mcp.require_dpop, mcp.clock = "required", True, issuer.clock
    harbor, shown = make_harbor(), Shown()
    harbor.login("practice")
    for answer in (answers.drop(), answers.oversized(300_000), answers.html("no")):
        mcp.script("mcp", answer)
        issuer.script("token", *[answer] * 20)
        request = HttpRequest("POST", mcp.url, body=json.dumps(LIST).encode(), limit=1000)
        shown.attempt("request", lambda request=request: harbor.request("practice", request))  # type: ignore[misc]
        shown.attempt("refresh", lambda: harbor.rejected("practice", harbor.token("practice")))
    bad = {"Accept": "a", "Authorization": "Bearer s3cret-value\n"}
    shown.attempt("value", lambda: harbor.transport(HttpRequest("GET", mcp.url, bad)))
    assert shown.failures >= 5
    secrets = {*sent_secrets(issuer, mcp), "s3cret-value"}
    proofs = {each.headers["dpop"] for each in issuer.requests if "dpop" in each.headers}
    assert proofs
    seen = {where for secret in secrets | proofs for where, text in shown.texts if secret in text}
    assert not seen

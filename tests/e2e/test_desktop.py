"""A person at the window: a real screen, window manager, keychain, browser, gateway and client."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import pytest

from harbor_oauth.gateway.running import find
from harbor_oauth.testing import AuthorizationServer, McpServer, answers
from tests.e2e.needs import require_packages
from tests.e2e.screen import Hands, Keyboard, Mouse, Screen, screen
from tests.e2e.shell import ROOT, Shell
from tests.e2e.test_gateway import connect, text_of

if TYPE_CHECKING:
    from tests.e2e.conftest import Browser, SecretService

pytestmark = pytest.mark.e2e

SECRET: Final = "cnry-secret-of-the-app"
PORT: Final = 3100
ENOUGH: Final = 30  # a browser asks for a favicon too
VALUE: Final = "cnry-value-of-a-secret"

ACME: Final = """\
import json

from harbor_oauth.protocol.http import HttpRequest
from harbor_oauth.providers import (
    AccountLookup,
    NativeServer,
    OAuthProvider,
    Registration,
    Resource,
)


def who_am_i(token):
    headers = {{"Authorization": f"Bearer {{token.reveal()}}"}}
    return HttpRequest("GET", "{issuer}/whoami", headers)


def account(response):
    return json.loads(response.body)["user"]


PROVIDER = OAuthProvider(
    name="acme",
    display_name="Acme",
    resources=(
        Resource(
            name="api",
            servers=("{url}",),
            allowed_origins=("{origin}",),
            registration=(Registration.DYNAMIC, Registration.OWN_PAPERS),
            registration_url="https://acme.example/apps",
            registration_steps=("Create an app, and copy its client id and secret.",),
            secret_required=True,
            account=AccountLookup(who_am_i, account),
        ),
    ),
    native_servers=(NativeServer(name="acme", url="{url}", resource="api"),),
)
"""


@attrs.frozen
class Sitting:
    """A window in front of a person.

    Attributes:
        screen: Where it is.
        shell: Runs `harbor` beside it, on the same vault.
        program: The running app.
        log: What the app wrote.
    """

    screen: Screen
    shell: Shell
    program: subprocess.Popen[bytes]
    log: Path


@pytest.fixture
def vendor() -> Iterator[AuthorizationServer]:
    """A server that shows its consent page and says who signed in."""
    with AuthorizationServer(interactive=True, account="ada", canary="cnry-") as server:
        for _ in range(ENOUGH):
            server.script("unknown", answers.json({"user": "ada@acme.example"}))
        server.add_client(
            client_id="A0123",
            client_secret=SECRET,
            token_endpoint_auth_method="client_secret_basic",
        )
        yield server


@pytest.fixture
def tools(vendor: AuthorizationServer) -> Iterator[McpServer]:
    """That vendor's MCP server."""
    with McpServer(vendor) as server:
        yield server


def installed(site: Path, vendor: AuthorizationServer, tools: McpServer) -> None:
    """Install the vendor's provider."""
    metadata = site / "acme-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Name: acme\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[harbor.providers]\nacme = acme_provider:PROVIDER\n"
    )
    code = ACME.format(url=tools.url, origin=tools.origin, issuer=vendor.issuer)
    (site / "acme_provider.py").write_text(code)


@pytest.fixture
def sitting(
    tmp_path: Path,
    secret_service: SecretService,
    chromium_browser: Browser,
    vendor: AuthorizationServer,
    tools: McpServer,
) -> Iterator[Sitting]:
    """Start the app in front of a person, with a keychain and nothing in it."""
    require_packages("PySide6", "jeepney", "mcp", "httpx2")
    installed(tmp_path / "site", vendor, tools)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    environ = {
        **secret_service.environment,
        **chromium_browser.environment,
        "PYTHONPATH": str(tmp_path / "site"),
        "HARBOR_HOME": str(home),
        "HARBOR_E2E_BROWSER_SCREEN": "1",
    }
    log = tmp_path / "desktop.log"
    with screen(environ, tmp_path) as display, log.open("wb") as file:
        shell = Shell(display.environment)
        shell.must("providers", "trust", "acme", "--yes")
        with subprocess.Popen(
            [sys.executable, "-m", "harbor_oauth.desktop"],
            cwd=ROOT,
            env=dict(display.environment),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        ) as program:
            try:
                display.text("^Native Fleet$")
                display.come_back()
                yield Sitting(display, shell, program, log)
            finally:
                shell.run("lighthouse", "stop")
                program.terminate()


@pytest.mark.parametrize("kind", [Mouse, Keyboard])
def test_a_person_at_the_window(
    sitting: Sitting,
    vendor: AuthorizationServer,
    tools: McpServer,
    kind: type[Mouse | Keyboard],
) -> None:
    """From the first sign-in to the last click, by mouse alone and by keyboard alone."""
    hands: Hands = kind(sitting.screen)
    charter(sitting, hands, vendor)
    own_papers(sitting, hands, vendor)
    revoke(sitting, hands, vendor)
    dock(sitting, hands)
    add_a_secret(sitting, hands)
    call_a_tool_through_the_gateway(sitting, hands, tools)
    hands.leave()
    assert sitting.program.wait(timeout=30) == 0
    said = sitting.log.read_text()
    assert "cnry-" not in said
    assert "Traceback" not in said


def signed_in(sitting: Sitting, hands: Hands, vendor: AuthorizationServer) -> str:
    """Wait for the browser's answer; return the client that got the token."""
    sitting.screen.text("Signed in to acme as ada@acme.example|Docked acme as ada@acme.example")
    hands.press("Done")
    sitting.screen.no_text("^Signed in to acme|^Docked acme")
    token = vendor.valid(sitting.shell.must("token", "acme").strip())
    assert token is not None
    return token.client_id


def charter(sitting: Sitting, hands: Hands, vendor: AuthorizationServer) -> None:
    """Sign in on the page Papers, and see the account."""
    hands.go("Helm, Papers", 2)
    hands.press("Charter Acme")
    assert signed_in(sitting, hands, vendor) != "A0123"
    sitting.screen.text("^Account: ada@acme.example$")


def own_papers(sitting: Sitting, hands: Hands, vendor: AuthorizationServer) -> None:
    """Enter an app of one's own, and sign in with it."""
    hands.choose("Menu of Acme", "Own Papers")
    sitting.screen.text("Create an app, and copy its client id and secret.")
    hands.write("Client id", "A0123")
    hands.write("Client secret", SECRET)
    hands.press("Save the papers")
    sitting.screen.text("^Your papers for Acme are stored.*re-chartered")
    hands.choose("Menu of Acme", "Re-charter")
    assert signed_in(sitting, hands, vendor) == "A0123"


def revoke(sitting: Sitting, hands: Hands, vendor: AuthorizationServer) -> None:
    """End the grant; the server is told."""
    token = sitting.shell.must("token", "acme").strip()
    hands.choose("Menu of Acme", "Revoke")
    hands.press("Revoke")
    sitting.screen.text("^The grant acme is revoked and forgotten.")
    assert vendor.valid(token) is None


def dock(sitting: Sitting, hands: Hands) -> None:
    """Dock the vendor's server by its card; a command line beside the window sees it."""
    hands.go("Fleet", 1)
    hands.press("Dock Acme")
    sitting.screen.text("^Docked acme as ada@acme.example")
    hands.press("Done")
    sitting.screen.text("^ready$")
    assert "acme" in sitting.shell.must("fleet")


def add_a_secret(sitting: Sitting, hands: Hands) -> None:
    """Keep a secret; a command line beside the window takes it away, and the window shows that."""
    hands.go("Treasure Chest", 3)
    hands.press("Add a secret")
    hands.write("Name of the secret", "maps-key")
    hands.write("Value of the secret", VALUE)
    hands.press("Save the secret")
    sitting.screen.text("^maps-key$")
    assert sitting.shell.must("chest", "get", "maps-key").strip() == VALUE
    sitting.shell.must("chest", "delete", "maps-key")
    sitting.screen.no_text("^maps-key$")


def call_a_tool_through_the_gateway(sitting: Sitting, hands: Hands, tools: McpServer) -> None:
    """Start it where its port is taken, call a tool, see the request, and stop it."""
    hands.go("Lighthouse", 4)
    with socket.socket() as other:
        with contextlib.suppress(OSError):  # then another program has the port already
            other.bind(("127.0.0.1", PORT))
            other.listen()
        hands.press("Start the gateway")
        sitting.screen.text(f"cannot listen at 127.0.0.1:{PORT}: .* by process")
        hands.press("Start the gateway at a free port")
    sitting.screen.text("^running$")
    running = find(Path(sitting.shell.environment["HARBOR_HOME"]))
    assert running is not None
    key = sitting.shell.must("lighthouse", "key").strip()

    async def call() -> str:
        async with connect(f"{running.address}/acme", {"X-Harbor-Key": key}) as client:
            return text_of(await client.call_tool("echo", {"text": "ahoy"}))

    assert asyncio.run(call()) == "ahoy"
    assert [each.name for each in tools.calls] == ["echo"]
    sitting.screen.text("^tools/call$")
    hands.press("Stop the gateway")
    sitting.screen.text("^stopped$")

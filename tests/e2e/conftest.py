"""The ground of the end-to-end tests: a real server, browser and keychain on this machine.

Each fixture skips with its reason and the line that installs what is missing; see `needs`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from harbor_oauth.client import Harbor
from tests.e2e.needs import (
    INSTALL_BROWSER,
    INSTALL_KEYRING,
    INSTALL_NPM,
    NPM,
    missing,
    require_node,
    require_packages,
    require_program,
)
from tests.e2e.person import Person
from tests.e2e.shell import Shell

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]


@contextlib.contextmanager
def served(
    command: list[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Any]:
    """Run a server that says in one JSON line where it listens and ends when its input ends."""
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **(environment or {})},
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                pytest.fail(f"{command[:2]} did not start:\n{log.read_text(encoding='utf-8')}")
            yield json.loads(line)
        finally:
            process.stdin.close()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


# --- authorization server ---------------------------------------------------
@attrs.frozen
class OidcProvider:
    """A running `oidc-provider`.

    Attributes:
        issuer: Its issuer identifier, as its metadata has it.
        client_id: The client that may introspect any token (RFC 7662).
        client_secret: That client's secret.
    """

    issuer: str
    client_id: str
    client_secret: str = attrs.field(repr=False)

    @property
    def origin(self) -> str:
        """The issuer without a trailing slash."""
        return self.issuer.rstrip("/")


@pytest.fixture
def start_oidc_provider(
    tmp_path: Path,
) -> Iterator[Callable[..., OidcProvider]]:
    """Start authorization servers: `start_oidc_provider(access_token_seconds=3, slash=True)`.

    Other settings are those of `oidc_provider.mjs`, by its names: `pushed="required"`.
    """
    node = require_node()
    if not (NPM / "oidc-provider").exists():
        missing("oidc-provider", INSTALL_NPM)

    with ExitStack() as running:

        def start(
            *, access_token_seconds: int = 3600, slash: bool = False, **features: object
        ) -> OidcProvider:
            settings = {
                "accessTokenSeconds": access_token_seconds,
                "issuerSlash": slash,
                **features,
            }
            script = str(HERE / "oidc_provider.mjs")
            command = [node, script, str(NPM), json.dumps(settings)]
            said = running.enter_context(served(command, tmp_path / "oidc-provider.log"))
            client = said["introspector"]
            return OidcProvider(said["issuer"], client["id"], client["secret"])

        yield start


@pytest.fixture
def oidc_provider(start_oidc_provider: Callable[..., OidcProvider]) -> OidcProvider:
    """An authorization server whose access tokens live for an hour."""
    return start_oidc_provider()


# --- MCP server -------------------------------------------------------------
@attrs.frozen
class McpServer:
    """A running MCP server.

    Attributes:
        url: Where it speaks streamable HTTP; also its resource identifier (RFC 8707).
    """

    url: str


@pytest.fixture
def start_mcp_server(tmp_path: Path) -> Iterator[Callable[..., McpServer]]:
    """Start MCP servers: `start_mcp_server(oidc_provider, issuer="http://…/", dpop="on")`.

    `issuer` is the string its protected resource metadata shows (RFC 9728), by default the
    authorization server's own. `dpop` makes it demand bound tokens, "nonce" also its nonce.
    With `gates`, a directory, it has the tools `climb` and `count` as well.
    """
    require_packages("mcp", "uvicorn", "httpx2")
    with ExitStack() as running:

        def start(
            provider: OidcProvider,
            *,
            issuer: str | None = None,
            dpop: str = "",
            gates: Path | None = None,
        ) -> McpServer:
            settings = {
                "dpop": dpop,
                "gates": str(gates or ""),
                "issuer": issuer or provider.issuer,
                "introspection_endpoint": f"{provider.origin}/token/introspection",
                "client_id": provider.client_id,
                "client_secret": provider.client_secret,
            }
            command = [sys.executable, "-m", "tests.e2e.mcp_server"]
            environment = {"HARBOR_E2E_MCP_SERVER": json.dumps(settings)}
            log = tmp_path / "mcp-server.log"
            return McpServer(running.enter_context(served(command, log, environment))["url"])

        yield start


@pytest.fixture
def mcp_resource_server(
    start_mcp_server: Callable[..., McpServer], oidc_provider: OidcProvider
) -> McpServer:
    """An MCP server with the tools `echo` and `add` that takes `oidc_provider`'s tokens."""
    return start_mcp_server(oidc_provider)


# --- an authorization server without discovery ------------------------------
@attrs.frozen
class DjangoProvider:
    """A running `django-oauth-toolkit`.

    Attributes:
        origin: Where it listens.
        client_id: Its one client, public.
    """

    origin: str
    client_id: str


@pytest.fixture
def start_django_provider(tmp_path: Path) -> Iterator[Callable[..., DjangoProvider]]:
    """Start authorization servers: `start_django_provider(access_token_seconds=3)`."""
    require_packages("django", "oauth2_provider")
    with ExitStack() as running:

        def start(*, access_token_seconds: int = 3600) -> DjangoProvider:
            settings = {"access_token_seconds": access_token_seconds}
            command = [sys.executable, "-m", "tests.e2e.django_provider"]
            environment = {"HARBOR_E2E_DJANGO": json.dumps(settings)}
            log = tmp_path / "django.log"
            return DjangoProvider(**running.enter_context(served(command, log, environment)))

        yield start


@pytest.fixture
def django_provider(start_django_provider: Callable[..., DjangoProvider]) -> DjangoProvider:
    """An authorization server without metadata, whose access tokens live for an hour."""
    return start_django_provider()


# --- browser ----------------------------------------------------------------
@attrs.frozen
class Browser:
    """A person at Chromium, to be used as `$BROWSER`.

    Attributes:
        environment: What to add to the environment of the program under test.
        log: Where each finished visit is written.
    """

    environment: Mapping[str, str]
    log: Path

    def visits(self) -> list[dict[str, str]]:
        """Return title, URL without query, and screenshot of each page where a visit ended."""
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines]


@pytest.fixture
def person() -> Iterator[Person]:
    """Somebody who agrees to everything, without a real browser."""
    somebody = Person()
    yield somebody
    somebody.leave()


@pytest.fixture
def harbor_with(tmp_path: Path, person: Person) -> Iterator[Callable[..., Harbor]]:
    """Make Harbors that share one key file vault and the person: `harbor_with(providers=…)`."""
    home = tmp_path / "home"
    made: list[Harbor] = []

    def make(**parts: Any) -> Harbor:
        options = {
            "home": home,
            "environ": {
                "HARBOR_VAULT": "keyfile",
                "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
            },
            "browser": person.browser,
            **parts,
        }
        made.append(Harbor(**options))
        return made[-1]

    yield make
    for harbor in made:
        harbor.close()


@pytest.fixture
def chromium_browser(tmp_path: Path) -> Browser:
    """A real browser that signs in and consents."""
    require_packages("selenium")
    require_program("chromium", INSTALL_BROWSER)
    require_program("chromedriver", INSTALL_BROWSER)
    log = tmp_path / "browser.jsonl"
    command = shlex.join([sys.executable, str(HERE / "browser.py")])
    return Browser({"BROWSER": f"{command} %s", "HARBOR_E2E_BROWSER_LOG": str(log)}, log)


# --- keychain ---------------------------------------------------------------
@attrs.frozen
class SecretService:
    """A private session bus with a gnome-keyring of its own.

    Attributes:
        environment: The whole environment for a program that is to use it.
    """

    environment: Mapping[str, str]

    def lock(self) -> None:
        """Lock the collection, as a screen that locks does."""
        service = "/org/freedesktop/secrets"
        gdbus = require_program("gdbus", INSTALL_KEYRING)
        command = [gdbus, "call", "--session", "--dest", "org.freedesktop.secrets"]
        method = ["--object-path", service, "--method", "org.freedesktop.Secret.Service.Lock"]
        subprocess.run(
            [*command, *method, f"['{service}/collection/login']"],
            env=dict(self.environment),
            check=True,
            stdout=subprocess.DEVNULL,
        )


def started(stack: ExitStack, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a daemon that ends, by its own process id, with the stack."""
    process = stack.enter_context(subprocess.Popen(command, **options))
    stack.callback(process.terminate)
    return process


@contextlib.contextmanager
def session_bus(home: Path, log: Path) -> Iterator[dict[str, str]]:
    """Run a bus and an unlocked gnome-keyring with an own HOME; yield the environment."""
    dbus_daemon = require_program("dbus-daemon", INSTALL_KEYRING)
    keyring_daemon = require_program("gnome-keyring-daemon", INSTALL_KEYRING)
    gdbus = require_program("gdbus", INSTALL_KEYRING)
    require_program("secret-tool", INSTALL_KEYRING)
    inherited = ("PATH", "LANG", "LC_ALL", "TMPDIR")
    environment = {name: os.environ[name] for name in inherited if name in os.environ}
    environment |= {"HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    with log.open("wb") as errors, ExitStack() as stack:
        command = [dbus_daemon, "--session", "--nofork", "--print-address"]
        options = {"stdout": subprocess.PIPE, "stderr": errors, "env": environment}
        bus = started(stack, [*command, f"--address=unix:path={home}/bus"], **options)
        assert bus.stdout is not None
        environment["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().decode().strip()
        unlock = [keyring_daemon, "--foreground", "--unlock", "--components=secrets"]
        options = {"stdin": subprocess.PIPE, "stdout": errors, "stderr": errors}
        keyring = started(stack, unlock, env=environment, **options)
        assert keyring.stdin is not None
        keyring.stdin.write(b"the login password")  # an empty one would make no collection
        keyring.stdin.close()
        # Waits for the owner of the name; a call to the service would start a second daemon.
        wait = [gdbus, "wait", "--session", "--timeout", "30", "org.freedesktop.secrets"]
        subprocess.run(wait, env=environment, check=True)
        yield environment


@pytest.fixture
def secret_service(tmp_path: Path) -> Iterator[SecretService]:
    """An unlocked Secret Service, empty."""
    if sys.platform != "linux":
        missing("the Secret Service", "it exists on Linux only")
    # Not below tmp_path: a socket's path is limited to 107 bytes.
    with tempfile.TemporaryDirectory(prefix="harbor-") as home:
        bus: AbstractContextManager[dict[str, str]] = session_bus(
            Path(home), tmp_path / "keyring.log"
        )
        with bus as environment:
            yield SecretService(environment)


@pytest.fixture
def locked_secret_service(secret_service: SecretService) -> SecretService:
    """A Secret Service whose collection exists and is locked."""
    secret_service.lock()
    return secret_service


# --- a terminal -------------------------------------------------------------
@pytest.fixture
def key_file_shell(tmp_path: Path, chromium_browser: Browser) -> Shell:
    """A shell whose vault's key is in a file."""
    home = tmp_path / "home"
    return Shell(
        {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "HARBOR_HOME": str(home),
            "HARBOR_VAULT": "keyfile",
            "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
            **chromium_browser.environment,
        }
    )


# --- a docked server with slow tools ---------------------------------------
@pytest.fixture
def gates(tmp_path: Path) -> Path:
    """Where the server's tools look for what the client has seen, and write what they did."""
    path = tmp_path / "gates"
    path.mkdir()
    return path


@pytest.fixture
def docked(
    key_file_shell: Shell, start_mcp_server: Callable[..., McpServer], gates: Path
) -> Callable[[OidcProvider], McpServer]:
    """Start a server with slow tools and dock it as ``real``."""

    def dock(provider: OidcProvider) -> McpServer:
        server = start_mcp_server(provider, gates=gates)
        key_file_shell.must("dock", "--name", "real", "--url", server.url)
        return server

    return dock

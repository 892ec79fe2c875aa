"""What most tests stand on: the doubles, a Harbor that nobody else sees, the command line."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

from harbor_oauth.cli import main
from harbor_oauth.client import Harbor
from harbor_oauth.fleet.providers import examine, stranger, trust
from harbor_oauth.providers import discovered_provider
from harbor_oauth.registry import Registry
from harbor_oauth.testing import AuthorizationServer, McpServer


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="repeat the long generated tests 50 times")
    parser.addoption(
        "--write-transcripts", action="store_true", help="write docs/how-to/sign-in.md"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a long generated test its rounds: in one piece it would pass for hanging."""
    if "round_" in metafunc.fixturenames:
        metafunc.parametrize("round_", range(50 if metafunc.config.getoption("--full") else 1))


class FakeClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Ran(NamedTuple):
    """What one command left behind."""

    code: int
    out: str
    err: str


def agree(harbor: Harbor, name: str, *, client: bool = False) -> None:
    """Agree to an installed plugin, as a person does with `harbor providers trust`."""
    claim = stranger(harbor, name, client=client)
    trust(harbor, claim, examine(claim))


class Cli(Protocol):
    """Runs one command with a text as standard input."""

    def __call__(self, *argv: str, stdin: str = "", with_: Harbor | None = None) -> Ran: ...


class Stdin(io.StringIO):
    """Standard input that may be a terminal."""

    def __init__(self, text: str, *, terminal: bool) -> None:
        super().__init__(text)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def issuer(clock: FakeClock) -> Iterator[AuthorizationServer]:
    """An authorization server on the fake clock."""
    with AuthorizationServer(clock=clock) as server:
        yield server


@pytest.fixture
def mcp(issuer: AuthorizationServer) -> Iterator[McpServer]:
    """An MCP server that takes only the authorization server's tokens."""
    with McpServer(issuer) as server:
        yield server


@pytest.fixture
def make_harbor(
    tmp_path: Path, issuer: AuthorizationServer, mcp: McpServer, clock: FakeClock
) -> Iterator[Callable[..., Harbor]]:
    """Make Harbors that share one key file vault, as separate processes would.

    The MCP server is known to them as the provider ``practice``.
    """
    made: list[Harbor] = []

    def make(**overrides: object) -> Harbor:
        home = tmp_path / "home"
        options: dict[str, object] = {
            "home": home,
            "environ": {
                "HARBOR_VAULT": "keyfile",
                "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
            },
            "browser": issuer.browser,
            "clock": clock,
            "monotonic": clock,
            "sleep": clock.advance,
            "providers": {"practice": discovered_provider("practice", mcp.url)},
            **overrides,
        }
        harbor = Harbor(**options)  # type: ignore[arg-type]  # a test names the parts it replaces
        made.append(harbor)
        return harbor

    yield make
    for harbor in made:
        harbor.close()


@pytest.fixture
def harbor(make_harbor: Callable[..., Harbor]) -> Harbor:
    """A Harbor with the provider ``practice`` and nobody signed in."""
    return make_harbor()


@pytest.fixture
def install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str, str, str], Registry]]:
    """Install distributions of one module each; returns the registry of them all."""
    before, site = set(sys.modules), tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def add(distribution: str, version: str, entry: str, code: str) -> Registry:
        group, name = entry.split(":")
        module = f"{distribution.replace('-', '_')}_module"
        (site / f"{module}.py").write_text(code)
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}:VALUE\n")
        return Registry(path=[str(site)])

    yield add
    for module in set(sys.modules) - before:
        if getattr(sys.modules[module], "__file__", None) == str(site / f"{module}.py"):
            del sys.modules[module]


@pytest.fixture
def cli(harbor: Harbor, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*argv: str, stdin: str = "", with_: Harbor | None = None) -> Ran:
        monkeypatch.setattr("sys.stdin", Stdin(stdin, terminal=False))
        capsys.readouterr()
        code = main(argv, with_ or harbor)
        return Ran(code, *capsys.readouterr())

    return run

"""What a person sees at a terminal, typed into tmux: the transcripts of docs/how-to/sign-in.md.

`pytest tests/e2e/test_transcripts.py --write-transcripts` writes them anew.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import requests

from harbor_oauth.testing import AuthorizationServer, McpServer
from tests.e2e.needs import require_program

if TYPE_CHECKING:
    from tests.e2e.conftest import Browser, OidcProvider
    from tests.e2e.person import Person

pytestmark = pytest.mark.e2e

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "sign-in.md"
PATIENCE = 60.0
COLUMNS = 100

# What differs from one run to the next, and what stands in its place.
CHANGING = (
    (r"(http://[^\s?]+)\?[^\s]*code=[^\s]+", r"\1?code=…&state=…"),
    (r"(http://[^\s?]+)\?[^\s]+", r"\1?client_id=…&state=…"),
    (r"127\.0\.0\.1:\d+:127", "43111:127"),
    (r"-L \d+:127\.0\.0\.1:\d+", "-L 43111:127.0.0.1:43111"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:43111"),
    (r"\bport \d+\b", "port 43111"),
    (r"^ \d:\d\d  ", " 4:59  "),
    (r"^  [A-Z]{4}-[A-Z]{4}$", "  WDJB-MJHT"),
    (r"^[ ▀▄█]{20,}$", ""),
    (r"/[^\s\]]+/home\b", "~/.harbor"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "2027-01-15 09:00 UTC"),
    (r"(?m)[ \t]+$", ""),
)


@attrs.frozen
class Terminal:
    """A person at a terminal.

    Attributes:
        tmux: The command that speaks to it.
    """

    tmux: tuple[str, ...]

    def type(self, line: str) -> None:
        """Type a line and press Enter."""
        subprocess.run([*self.tmux, "send-keys", "-l", line], check=True)
        subprocess.run([*self.tmux, "send-keys", "Enter"], check=True)

    @property
    def screen(self) -> str:
        """What has been seen, from the first line on."""
        capture = [*self.tmux, "capture-pane", "-p", "-J", "-S", "-"]
        return subprocess.run(capture, check=True, capture_output=True, text=True).stdout

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until this is seen."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.screen, re.MULTILINE)):
            assert time.monotonic() < deadline, f"{pattern!r} was not seen in:\n{self.screen}"
            select.select([], [], [], 0.1)
        return found

    def run(self, line: str, said: str) -> re.Match[str]:
        """Type a command and wait for what it says, and for the prompt."""
        self.type(line)
        found = self.until(said)
        self.prompt()
        return found

    def prompt(self) -> None:
        """Wait until the shell has the keyboard again."""
        self.until(r"^\$\s*\Z")


@pytest.fixture
def sit_down(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Start a shell in tmux with an environment of its own."""
    tmux = require_program("tmux", "apt-get install tmux")
    programs = tmp_path / "bin"
    programs.mkdir()
    harbor = programs / "harbor"
    harbor.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m harbor_oauth "$@"\n')
    harbor.chmod(0o755)
    command = (tmux, "-f", "/dev/null", "-S", str(tmp_path / "s"))
    home = tmp_path / "home"

    def start(**more: str) -> Terminal:
        environ = {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "HARBOR_HOME": str(home),
            "HARBOR_VAULT": "keyfile",
            "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
            "LANG": "C.UTF-8",
            "TERM": "screen",
            "USER": "ada",
            "PS1": "$ ",
            **more,
        }
        bare = [f"{name}={value}" for name, value in environ.items() if value]
        shell = shlex.join(["env", "-i", *bare, "bash", "--noprofile", "--norc"])
        size = ["-x", str(COLUMNS), "-y", "60"]
        subprocess.run([*command, "new-session", "-d", *size, shell], check=True)
        terminal = Terminal(command)
        terminal.until(r"^\$")
        return terminal

    yield start
    subprocess.run([*command, "kill-server"], check=False, capture_output=True)


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Compare what was seen with the page, or write it there."""

    def compare(name: str, terminal: Terminal, first: str = "$ harbor") -> None:
        seen = terminal.screen.rstrip().removesuffix("$").rstrip()
        seen = seen[seen.index(first) :]
        for pattern, stands_for in CHANGING:
            seen = re.sub(pattern, stands_for, seen, flags=re.MULTILINE)
        seen = re.sub(r"\n{2,}", "\n", seen)
        text = PAGE.read_text(encoding="utf-8")
        block = re.compile(rf"(<!-- {name} -->\n```console\n)(.*?)(```\n)", re.DOTALL)
        found = block.search(text)
        assert found is not None
        if request.config.getoption("--write-transcripts"):
            whole = f"{found[1]}{seen}\n{found[3]}"
            PAGE.write_text(text.replace(found[0], whole), encoding="utf-8")
        else:
            assert seen == found[2].rstrip("\n")

    return compare


def browse(url: str, *, follow: bool = True) -> str:
    """Sign in as a browser elsewhere, and return where it ends, or where it is sent."""
    answer = requests.get(url, allow_redirects=follow, timeout=10)  # noqa: TID251 - a browser
    return answer.url if follow else answer.headers["Location"]


AUTHORIZE = r"(http://127\.0\.0\.1:\d+/authorize\?\S+)"


def test_a_laptop_with_a_browser(
    sit_down: Callable[..., Terminal],
    told: Callable[..., None],
    chromium_browser: Browser,
    mcp: McpServer,
) -> None:
    """A real Chromium opens, the answer arrives by itself, and a token is there."""
    terminal = sit_down(**chromium_browser.environment)
    terminal.run(f"harbor dock --name wiki --url {mcp.url}", "^Next: harbor token wiki")
    terminal.run("harbor papers", "^wiki .*active")
    told("laptop", terminal)


def test_over_ssh(
    sit_down: Callable[..., Terminal], told: Callable[..., None], mcp: McpServer
) -> None:
    """The command that forwards the port, a wrong paste, and the right one."""
    terminal = sit_down(SSH_CONNECTION="203.0.113.9 50000 192.0.2.7 22")
    terminal.type(f"harbor dock --name wiki --url {mcp.url}")
    url = terminal.until(AUTHORIZE)[1]
    terminal.until("or the code:")
    terminal.type("https://wiki.example/")
    terminal.until("Paste the whole URL")
    terminal.type(browse(url, follow=False))
    terminal.until("^Next: harbor token wiki")
    told("ssh", terminal)


def test_a_container_without_a_keychain(
    sit_down: Callable[..., Terminal], told: Callable[..., None], mcp: McpServer
) -> None:
    """The question where the vault's key shall be; the answer is pasted."""
    terminal = sit_down(HARBOR_VAULT="", HARBOR_VAULT_KEY_FILE="", container="docker")
    terminal.type(f"harbor dock --name wiki --url {mcp.url}")
    terminal.until("^Choice")
    terminal.type("1")
    terminal.until("^File")
    terminal.type("")
    url = terminal.until(AUTHORIZE)[1]
    terminal.until("or the code:")
    terminal.type(browse(url, follow=False))
    terminal.until("^Next: harbor token wiki")
    told("container", terminal)


def test_on_another_device(
    sit_down: Callable[..., Terminal],
    told: Callable[..., None],
    start_oidc_provider: Callable[..., OidcProvider],
    start_mcp_server: Callable[..., Any],
    person: Person,
) -> None:
    """A real authorization server's device grant, confirmed in another browser."""
    provider = start_oidc_provider(device=True)
    server = start_mcp_server(provider)
    terminal = sit_down()
    terminal.type(f"harbor dock --name wiki --url {server.url} --device")
    address = terminal.until(r"^  (http://\S+/device)$")[1]
    code = terminal.until(r"^  ([A-Z]{4}-[A-Z]{4})$")[1]
    terminal.until("Waiting for you to confirm it")
    person.types["user_code"] = code
    assert "Sign-in Success" in person.visit(address)
    terminal.until("^Next: harbor token wiki")
    told("device", terminal)


def test_with_an_app_of_one_s_own(
    sit_down: Callable[..., Terminal],
    told: Callable[..., None],
    issuer: AuthorizationServer,
    mcp: McpServer,
    tmp_path: Path,
) -> None:
    """From the vendor's page to the client id, the secret and the sign-in, in one run."""
    issuer.add_client(client_id="A0123", redirect_uris=["http://127.0.0.1/callback"])
    site = tmp_path / "site"
    (site / "acme-1.0.dist-info").mkdir(parents=True)
    (site / "acme-1.0.dist-info" / "METADATA").write_text("Name: acme\nVersion: 1.0\n")
    (site / "acme-1.0.dist-info" / "entry_points.txt").write_text(
        "[harbor.providers]\nacme = acme_provider:PROVIDER\n"
    )
    (site / "acme_provider.py").write_text(ACME.format(url=mcp.url, origin=mcp.origin))
    terminal = sit_down(PYTHONPATH=str(site), BROWSER="true")
    terminal.run("harbor providers trust acme --yes", "acme")
    terminal.type("harbor charter acme")
    terminal.until("Open that page now")
    terminal.type("n")
    terminal.until("^Client id")
    terminal.type("A0123")
    terminal.until("^Client secret")
    terminal.type("")
    browse(terminal.until(AUTHORIZE)[1])
    terminal.until("^Signed in to acme")
    told("papers", terminal, "$ harbor charter")


ACME = """\
from harbor_oauth.providers import OAuthProvider, Registration, Resource

PROVIDER = OAuthProvider(
    name="acme",
    display_name="Acme",
    resources=(
        Resource(
            name="api",
            servers=("{url}",),
            allowed_origins=("{origin}",),
            registration=(Registration.OWN_PAPERS,),
            registration_url="https://acme.example/apps",
            registration_steps=("Create an app; a public one needs no secret.",),
        ),
    ),
)
"""


def test_again_and_the_end(
    sit_down: Callable[..., Terminal], told: Callable[..., None], mcp: McpServer
) -> None:
    """Re-charter, and undock, which revokes."""
    terminal = sit_down(BROWSER="true")
    terminal.type(f"harbor dock --name wiki --url {mcp.url}")
    browse(terminal.until(AUTHORIZE)[1])
    terminal.until("^Next: harbor token wiki")
    terminal.prompt()
    terminal.type("harbor charter wiki --again")
    browse(terminal.until(rf"(?s)charter wiki.*{AUTHORIZE}")[1])
    terminal.until("^Signed in to wiki")
    terminal.prompt()
    terminal.run("harbor undock --name wiki", "revoked and forgotten")
    told("again", terminal, "$ harbor charter")

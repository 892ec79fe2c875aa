"""The adapters' examples run as they stand, and the wrapper command is built, installed and run."""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harbor_oauth.testing import AuthorizationServer, McpServer

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
ACME = EXAMPLES / "acme-cli"


@pytest.fixture
def practice() -> Iterator[McpServer]:
    """An MCP server and its authorization server, on the real clock: others look at them."""
    with AuthorizationServer() as issuer, McpServer(issuer) as server:
        yield server


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A new user's environment, with a key file and a browser that follows redirects."""
    browser = tmp_path / "browser.py"
    follow = "from harbor_oauth.testing._browser import follow"
    browser.write_text(f"import sys\n{follow}\nfollow(sys.argv[1])\n", encoding="utf-8")
    return {
        **os.environ,
        "HOME": str(tmp_path),
        "HARBOR_HOME": str(tmp_path / "harbor"),
        "HARBOR_VAULT": "keyfile",
        "HARBOR_VAULT_KEY_FILE": str(tmp_path / "vault.key"),
        "BROWSER": f"{shlex.quote(sys.executable)} {shlex.quote(str(browser))} %s",
    }


def run(environ: dict[str, str], *argv: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, *argv],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "example", sorted(EXAMPLES.glob("*_client.py")), ids=lambda path: path.stem
)
def test_an_example_is_short(example: Path) -> None:
    """A reader takes it in at a glance."""
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 15


@pytest.mark.parametrize(
    ("example", "printed"),
    [
        ("httpx_client.py", "echo\nadd\n"),
        ("aiohttp_client.py", "405\n"),  # let in; GET is not what MCP speaks
        ("mcp_client.py", "echo\nadd\n"),
        ("google_auth_client.py", "{url} answered 405\n"),
    ],
)
def test_an_example_runs(
    environ: dict[str, str], practice: McpServer, tmp_path: Path, example: str, printed: str
) -> None:
    """After a dock, it gets its answer, and its request carried the grant's token."""
    dock = ("-m", "harbor_oauth", "dock", "--name", "wiki", "--url", practice.url)
    assert run(environ, *dock)[0] == 0
    script = tmp_path / example
    text = (EXAMPLES / example).read_text(encoding="utf-8")
    script.write_text(text.replace("https://wiki.example/mcp", practice.url), encoding="utf-8")
    arguments = ("wiki", practice.url) if "grant, url" in text else ("wiki",)
    assert run(environ, str(script), *arguments) == (0, printed.format(url=practice.url), "")
    assert practice.requests[-1].headers["authorization"].startswith("Bearer ")


# --- acme -----------------------------------------------------------------------
@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as an installer does, and unpack it where Python looks."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed; run: python3 dev.py test")
    target = tmp_path_factory.mktemp("wheel")
    program = f"import hatchling.build; print(hatchling.build.build_wheel({str(target)!r}))"
    subprocess.run([sys.executable, "-c", program], cwd=ACME, check=True, capture_output=True)
    (wheel,) = target.glob("*.whl")
    packages = tmp_path_factory.mktemp("packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    return packages


def acme(environ: dict[str, str], installed: Path, *argv: str) -> tuple[int, str, str]:
    """Run the installed command by its entry point, as the script an installer makes does."""
    program = (
        "import sys; from importlib.metadata import entry_points;"
        "(acme,) = entry_points(group='console_scripts', name='acme'); sys.exit(acme.load()())"
    )
    return run({**environ, "PYTHONPATH": str(installed)}, "-c", program, *argv)


def test_the_wrapper_is_short() -> None:
    """Login, whoami and logout in at most 40 lines."""
    assert len((ACME / "acme_cli.py").read_text(encoding="utf-8").splitlines()) <= 40


def test_the_wheel_holds_the_command_and_nothing_else(installed: Path) -> None:
    """One module and its metadata."""
    found = {path.relative_to(installed).parts[0] for path in installed.rglob("*.*")}
    assert found == {"acme_cli.py", "acme_cli-1.0.0.dist-info"}


def test_a_whole_visit(environ: dict[str, str], practice: McpServer, installed: Path) -> None:
    """Who am I, before, between and after; each process starts from the vault."""
    environ["ACME_URL"] = practice.url
    stranger = (4, "", "Nobody has signed in to acme. Run: acme login\n")
    assert acme(environ, installed, "whoami") == stranger
    code, out, err = acme(environ, installed, "login")
    assert (code, out) == (0, "Signed in; you may: read write\n")
    assert err.startswith(f"Sign in at {practice.authorization_server.issuer}/authorize?")
    assert acme(environ, installed, "whoami") == (0, "You may: read write\n", "")
    assert acme(environ, installed, "logout") == (0, "Signed out.\n", "")
    assert practice.authorization_server.revoked
    assert acme(environ, installed, "whoami") == stranger


def test_its_grants_are_its_own(
    environ: dict[str, str], practice: McpServer, installed: Path
) -> None:
    """`harbor` sees nothing of them."""
    environ["ACME_URL"] = practice.url
    assert acme(environ, installed, "login")[0] == 0
    code, out, _ = run(environ, "-m", "harbor_oauth", "papers", "--json")
    assert code == 0
    assert "acme" not in out


def test_a_wrong_word_is_a_usage_error(environ: dict[str, str], installed: Path) -> None:
    """It says what there is."""
    usage = (2, "", "usage: acme login|whoami|logout\n")
    assert acme(environ, installed) == usage
    assert acme(environ, installed, "log", "in") == usage


def test_a_server_that_is_down_is_told(environ: dict[str, str], installed: Path) -> None:
    """Without a traceback."""
    environ["ACME_URL"] = "http://127.0.0.1:9/mcp"
    code, _, err = acme(environ, installed, "login")
    assert code == 1
    assert "Traceback" not in err
    assert "127.0.0.1:9" in err

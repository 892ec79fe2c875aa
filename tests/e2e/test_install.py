"""What is installed is what README.md promises: its install line, then each of its commands."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
import pytest

from harbor_oauth.installation import EXTRAS
from harbor_oauth.testing import AuthorizationServer, McpServer
from tests.e2e.needs import missing, require_packages

pytestmark = pytest.mark.e2e

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE: Final = 300
BROWSER: Final = """\
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
opener.open(urllib.request.Request(sys.argv[1], headers={"Accept": "text/html"}), timeout=60).read()
"""
# What stays running, and what it says once it is ready.
SERVERS: Final = {"lighthouse": "127.0.0.1"}


def console_lines(document: Path) -> list[list[str]]:
    """Return the words of each command line in a document's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [shlex.split(line, comments=True) for line in lines]


@attrs.frozen
class Tool:
    """Harbor as `dev.py install` puts it on the PATH of an empty home."""

    home: Path
    programs: Path
    variables: dict[str, str]

    def run(self, *words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.programs / words[0], *words[1:]],
            env=self.variables,
            cwd=self.home,
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


def uv() -> Path:
    """Return the uv that `dev.py` uses here."""
    found = shutil.which("uv") or ROOT / ".dev" / "uv" / "bin" / "uv"
    return Path(found) if Path(found).exists() else missing("uv", "python3 dev.py demo")


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Tool:
    """Run the README's install line into an empty home."""
    program, home = uv(), tmp_path_factory.mktemp("home")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HARBOR_")}
    cache = subprocess.run([program, "cache", "dir"], capture_output=True, text=True, check=True)
    variables = environ | {
        "HOME": str(home),
        "UV_CACHE_DIR": cache.stdout.strip(),
        "UV_TOOL_DIR": str(home / "tools"),
        "UV_TOOL_BIN_DIR": str(home / "bin"),
        "PATH": os.pathsep.join([str(home / "bin"), str(program.parent), os.defpath]),
        "HARBOR_VAULT": "keyfile",
        "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
        "BROWSER": f"{sys.executable} {home / 'browser.py'} %s &",
        "NO_COLOR": "1",
    }
    (home / "browser.py").write_text(BROWSER, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, ROOT / "dev.py", "install"],
        env=variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode and "uv tool failed" in done.stderr:
        missing("what `dev.py install` downloads", done.stderr[-300:])
    assert done.returncode == 0, done.stderr
    assert "install --desktop" in done.stdout
    return Tool(home, home / "bin", variables)


@pytest.fixture(scope="module")
def practice() -> Iterator[McpServer]:
    """A server to sign in to, as `docs/examples/practice_server.py` starts one."""
    with AuthorizationServer() as issuer, McpServer(issuer) as server:
        yield server


def test_the_commands_that_were_promised_are_there_and_no_other(tool: Tool) -> None:
    """The window's command comes with `--desktop`."""
    assert {path.name for path in tool.programs.iterdir()} == {"harbor", "harbor-oauth"}


def test_every_command_of_the_readme_works(tool: Tool, practice: McpServer) -> None:
    """Line by line and in its order; a vendor's own sign-in is left out."""
    (tool.home / ".cursor").mkdir()
    shown = "http://127.0.0.1:40123/mcp"
    ran = []
    for words in console_lines(ROOT / "README.md"):
        if words[0] != "harbor":
            continue
        words = [practice.url if word == shown else word for word in words]  # noqa: PLW2901 - the line's
        verb = words[1]
        if words[1:] == ["dock", "linear"]:
            words = [*words, "--skip-auth"]  # noqa: PLW2901 - no test signs in to a vendor
        if verb == "charter":
            assert "Usage: harbor charter" in tool.run("harbor", "charter", "--help").stdout
        elif verb == "bridge":
            assert _bridged(tool, words) == "echo"
        elif verb == "lighthouse":
            assert "127.0.0.1" in _served(tool, [*words, "--port", "0"])
        elif verb == "connect":
            done = tool.run(*words)
            # What it wrote can start; there is no sign-in to the vendor.
            assert (done.returncode, "has signed in to linear" in done.stderr) == (4, True), done
            entry = json.loads((tool.home / ".cursor" / "mcp.json").read_text())["mcpServers"]
            assert Path(entry["linear"]["command"]).name == "harbor-oauth"
        else:
            done = tool.run(*words)
            assert done.returncode == 0, (words, done.stdout, done.stderr)
        ran.append(verb)
    assert {"dock", "token", "fleet", "bridge", "lighthouse", "connect", "doctor"} <= set(ran)


def test_the_demo_and_the_check_of_the_installation(tool: Tool) -> None:
    """The demo has its servers, and doctor finds nothing missing."""
    done = tool.run("harbor", "demo")
    assert done.returncode == 0, done.stderr
    found = json.loads(tool.run("harbor", "doctor", "--json").stdout)
    states = {each["check"]: each["state"] for each in found}
    assert (states["installation"], states["command"]) == ("ok", "ok")
    (line,) = [each for each in found if each["check"] == "installation"]
    assert "install --desktop" in line["sentence"]


def test_connect_writes_nothing_that_cannot_start(tool: Tool) -> None:
    """With a library gone, it is refused before the file is touched, with the line that helps."""
    tool.run("harbor", "dock", "--name", "other", "--url", "http://127.0.0.1:9/mcp", "--skip-auth")
    (packages,) = (tool.home / "tools" / "harbor-oauth").glob("lib/python*/site-packages")
    (packages / "aiohttp").rename(packages / "aiohttp.away")
    try:
        done = tool.run("harbor", "connect", "codex", "other")
        assert done.returncode == 1
        assert f"next: python3 {ROOT / 'dev.py'} install" in done.stderr
        assert not (tool.home / ".codex").exists()
        checked = tool.run("harbor", "doctor")
        assert "warn  installation" in checked.stdout
    finally:
        (packages / "aiohttp.away").rename(packages / "aiohttp")


def _bridged(tool: Tool, words: list[str]) -> str:
    """Start the bridge as a host does and return its first tool's name."""
    request = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "host", "version": "1"},
    }}  # fmt: skip
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}
    with (
        subprocess.Popen(
            [tool.programs / words[0], *words[1:]],
            env=tool.variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as child,
        _deadline(child),
    ):
        assert child.stdin is not None
        assert child.stdout is not None
        for message in (request, ready, listing):
            child.stdin.write(json.dumps(message) + "\n")
            child.stdin.flush()
            if "id" in message:
                answer = json.loads(child.stdout.readline())
        child.stdin.close()
    tools = sorted(tool["name"] for tool in answer["result"]["tools"])
    return "echo" if "echo" in tools else str(tools)


def _served(tool: Tool, words: list[str]) -> str:
    """Start a server and return the first line that it says; then end it."""
    with (
        subprocess.Popen(
            [tool.programs / words[0], *words[1:]],
            env=tool.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as child,
        _deadline(child),
    ):
        assert child.stdout is not None
        line = child.stdout.readline()
        child.terminate()
        child.stdout.read()
    return line


@contextlib.contextmanager
def _deadline(child: subprocess.Popen[str]) -> Iterator[None]:
    timer = threading.Timer(PATIENCE, child.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


# --- the wheel with one extra --------------------------------------------------------
IMPORTS: Final = {
    "aiohttp": ["harbor_oauth.integrations.aiohttp"],
    "cli": ["harbor_oauth.cli.app", "segno"],
    "desktop": ["harbor_oauth.desktop.app", "harbor_oauth.gateway.server"],
    "gateway": ["harbor_oauth.gateway.server", "harbor_oauth.gateway.stdio"],
    "google-auth": ["harbor_oauth.integrations.google_auth"],
    "httpx": ["harbor_oauth.integrations.httpx"],
    "mcp": ["harbor_oauth.integrations.mcp"],
    "testing": ["harbor_oauth.testing.fixtures", "harbor_oauth.testing.vault_conformance"],
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The core's wheel, built as an installer does."""
    require_packages("hatchling")
    target = tmp_path_factory.mktemp("wheel")
    program = f"import hatchling.build; hatchling.build.build_wheel({str(target)!r})"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True)
    (built,) = target.iterdir()
    return built


def test_every_extra_has_its_imports() -> None:
    """An extra that is added is tried below."""
    assert set(IMPORTS) == set(EXTRAS)


@pytest.mark.parametrize("extra", sorted(IMPORTS))
def test_an_extra_alone_is_enough(extra: str, wheel: Path, tmp_path: Path) -> None:
    """In an environment with nothing else, all that the extra is for can be imported."""
    program, python = uv(), str(tmp_path / "venv" / "bin" / "python")
    quiet = [str(program), "--quiet"]
    subprocess.run(
        [*quiet, "venv", "--python", sys.executable, str(tmp_path / "venv")],
        check=True,
        timeout=PATIENCE,
    )
    installed = subprocess.run(
        [
            *(*quiet, "pip", "install", "--python", python),
            *("--constraints", str(ROOT / "constraints.txt"), f"{wheel}[{extra}]"),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if installed.returncode:
        missing(f"what the extra {extra} downloads", installed.stderr[-300:])
    names = [*IMPORTS[extra]]
    if extra == "testing":
        names += _testing_modules()
    program_text = f"import importlib\nfor name in {names!r}: importlib.import_module(name)"
    if extra == "testing":
        program_text += "\nimport harbor_oauth.testing as t\n[getattr(t, n) for n in t.__all__]"
    done = subprocess.run(
        [python, "-c", program_text],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("extra", "missed"), [("gateway", ("bridge", "gone")), ("testing", ("demo",))]
)
def test_the_command_of_a_hint_helps(
    extra: str, missed: tuple[str, ...], wheel: Path, tmp_path: Path
) -> None:
    """Typed as it stands, in an environment that has the wheel alone, it adds what was missing."""
    program = uv()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HARBOR_")}
    environ |= {
        "HOME": str(tmp_path),
        "NO_COLOR": "1",
        "PATH": os.pathsep.join([str(program.parent), os.defpath]),
        "UV_CACHE_DIR": subprocess.run(
            [program, "cache", "dir"], capture_output=True, text=True, check=True
        ).stdout.strip(),
    }

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE,
            check=False,
        )  # fmt: skip

    python = str(tmp_path / "venv" / "bin" / "python")
    run(str(program), "venv", "--python", sys.executable, str(tmp_path / "venv"))
    made = run(str(program), "pip", "install", "--python", python, f"{wheel}[cli]")
    if made.returncode:
        missing("what the extra cli downloads", made.stderr[-300:])
    before = run(python, "-m", "harbor_oauth", *missed)
    (step,) = [line for line in before.stderr.splitlines() if line.startswith("next: ")]
    helped = run("/bin/sh", "-c", step.removeprefix("next: "))
    if helped.returncode:
        missing(f"what the extra {extra} downloads", helped.stderr[-300:])
    after = run(python, "-m", "harbor_oauth", *missed)
    assert step not in after.stderr
    assert "not installed" not in after.stderr


def _testing_modules() -> list[str]:
    folder = ROOT / "harbor_oauth" / "testing"
    return [f"harbor_oauth.testing.{path.stem}" for path in folder.glob("*.py")]

"""What the documentation says is true: its examples run, its commands and links exist."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import click
import pytest

from harbor_oauth import errors
from harbor_oauth.cli.app import root
from harbor_oauth.cli.demo import run as run_demo
from harbor_oauth.testing import AuthorizationServer, McpServer
from harbor_oauth.vault.names import FIELDS
from tests.e2e.needs import missing

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = sorted([README, ROOT / "SECURITY.md", *DOCS.rglob("*.md"), *ROOT.glob("plugins/*/*.md")])
DECISIONS = sorted((DOCS / "adr").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [text for kind, text in found if kind == language]


def harbor_lines(page: Path) -> list[str]:
    """Every line of a console block that a reader would type and that calls `harbor`."""
    lines = [line for text in blocks(page, "console") for line in text.splitlines()]
    typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return [line for line in typed if re.search(r"(^|[|(] ?)harbor ", line.split("  #")[0])]


def words_of(line: str) -> list[str]:
    """Return what `harbor` gets of a line, without comment and pipes."""
    tail = re.split(r"(?:^|[|(] ?)harbor ", line, maxsplit=1)[1]
    tail = re.split(r" [|>] |\)", tail)[0]
    return shlex.split(tail, comments=True)


# --- the pages ----------------------------------------------------------------
def test_the_readme_is_short_and_use_comes_before_work() -> None:
    """Under 200 lines; its two commands are there, in the part about working on it or before."""
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 200
    assert 0 < text.index("## Use it") < text.index("## Work on it")
    assert "python3 dev.py demo" in text
    assert "python3 dev.py test" in text


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file of this tree."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_python_blocks_compile(page: Path) -> None:
    """What is marked as Python is Python."""
    for text in blocks(page, "python"):
        compile(text, name(page), "exec")


@pytest.mark.parametrize(
    ("page", "line"),
    [pytest.param(page, line, id=line) for page in PAGES for line in harbor_lines(page)],
)
def test_commands_exist(page: Path, line: str) -> None:
    """What is shown as typed is understood by the real command, option by option."""
    words, command = words_of(line), root
    if words[0].startswith("-"):
        return
    ctx = click.Context(root, info_name="harbor", help_option_names=["-h", "--help"])
    while isinstance(command, click.Group):
        if command.invoke_without_command and (not words or words[0].startswith("-")):
            break
        found = command.get_command(ctx, words[0]) if words else None
        assert found is not None, f"{name(page)}: {line}"
        ctx, command, words = click.Context(found, parent=ctx), found, words[1:]  # type: ignore[assignment]  # a group, then its command
    command.make_context(command.name, words)  # raises what a wrong line is answered with


def test_the_checker_refuses_a_wrong_line() -> None:
    """An option that does not exist is seen."""
    with pytest.raises(click.NoSuchOption):
        test_commands_exist(README, "harbor dock linear --acount work")


# --- the reference ------------------------------------------------------------
def test_the_command_reference_is_current(tmp_path: Path) -> None:
    """The page and the manual are what scripts/cli_reference.py writes."""
    # In its own process: click keeps help options from whoever asked for them first.
    done = python({**os.environ}, str(ROOT / "scripts" / "cli_reference.py"), str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("cli.md", "harbor.1"):
        current = (DOCS / "reference" / name).read_text(encoding="utf-8")
        assert (tmp_path / name).read_text(encoding="utf-8") == current


def test_where_to_end_grants_is_current(tmp_path: Path) -> None:
    """docs/how-to/lost-laptop.md is what scripts/lost_laptop.py makes of the plugins."""
    page = tmp_path / "page.md"
    done = python({**os.environ}, str(ROOT / "scripts" / "lost_laptop.py"), str(page))
    assert (done.returncode, done.stderr) == (0, "")
    current = (DOCS / "how-to" / "lost-laptop.md").read_text(encoding="utf-8")
    assert page.read_text(encoding="utf-8") == current


def test_every_error_is_described() -> None:
    """docs/reference/errors.md has a row for each class, and for no other."""
    text = (DOCS / "reference" / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert sorted(rows) == sorted(errors.__all__)


def test_every_field_of_a_grant_is_described() -> None:
    """docs/reference/vault-keys.md has a row for each."""
    text = (DOCS / "reference" / "vault-keys.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `oauth:GRANT:(\w+)` \|", text, re.MULTILINE)) == sorted(FIELDS)


def test_every_variable_is_described() -> None:
    """docs/reference/config.md names each variable the package reads."""
    text = (DOCS / "reference" / "config.md").read_text(encoding="utf-8")
    sources = (ROOT / "harbor_oauth").rglob("*.py")
    read = {
        variable
        for source in sources
        for variable in re.findall(r'get\("(HARBOR_\w+)"', source.read_text(encoding="utf-8"))
    }
    assert read
    assert {variable for variable in read if variable not in text} == set()


# --- decisions ----------------------------------------------------------------
@pytest.mark.parametrize("page", DECISIONS, ids=name)
def test_a_decision_is_short_and_complete(page: Path) -> None:
    """Dated, under 40 lines, with context, decision, price and how to undo it."""
    text = page.read_text(encoding="utf-8")
    assert re.match(r"\d{4}-\d\d-\d\d-[a-z0-9-]+\.md$", page.name)
    assert len(text.splitlines()) < 40
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["Context", "Decision", "Price", "How to undo it"]


# --- what runs ----------------------------------------------------------------
@pytest.fixture
def practice() -> Iterator[McpServer]:
    """An MCP server and its authorization server, on the real clock: others look at them."""
    with AuthorizationServer() as issuer, McpServer(issuer) as server:
        yield server


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A new user's environment, with a key file and a browser that follows redirects."""
    browser = tmp_path / "browser.py"
    follow = "from harbor_oauth.testing._browser import follow"
    browser.write_text(f"import sys\n{follow}\nfollow(sys.argv[1])\n", encoding="utf-8")
    new = {
        "HOME": str(tmp_path),
        "HARBOR_HOME": str(tmp_path / "harbor"),
        "HARBOR_VAULT": "keyfile",
        "HARBOR_VAULT_KEY_FILE": str(tmp_path / "vault.key"),
        "BROWSER": f"{shlex.quote(sys.executable)} {shlex.quote(str(browser))} %s",
    }
    for key, value in new.items():
        monkeypatch.setenv(key, value)
    return {**os.environ}


def python(environ: dict[str, str], *argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *argv]
    return subprocess.run(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def until_told(environ: dict[str, str], *argv: str) -> int:
    """Start a program that serves, end it once it says where, and return its status."""
    with subprocess.Popen(
        [sys.executable, *argv], env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        said = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        watchdog.cancel()
        assert b"http://127.0.0.1:" in said, said + rest
        return process.wait()


def example(environ: dict[str, str], script: str, *argv: str) -> str:
    """Run an example to its end and return what it printed."""
    done = python(environ, str(DOCS / "examples" / script), *argv)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_sign_in(environ: dict[str, str], practice: McpServer) -> None:
    """It signs in, shows a masked token, and the server is told at the end."""
    out = example(environ, "sign_in.py", practice.url)
    assert "Signed in to wiki; it may: read write" in out
    assert "AccessToken(********, grant='wiki" in out
    assert "told the server: True" in out
    assert practice.authorization_server.revoked


def test_requests_session(environ: dict[str, str], practice: McpServer) -> None:
    """After a dock, it lists the server's tools."""
    dock = ("-m", "harbor_oauth", "dock", "--name", "wiki", "--url", practice.url)
    assert python(environ, *dock).returncode == 0
    assert example(environ, "requests_session.py", "wiki", practice.url) == "echo\nadd\n"


def test_requests_session_without_a_sign_in(environ: dict[str, str], practice: McpServer) -> None:
    """It says who must act, and asks nothing of the server."""
    script = str(DOCS / "examples" / "requests_session.py")
    done = python(environ, script, "wiki", practice.url)
    assert (done.returncode, done.stdout) == (4, "")
    assert "Nobody has signed in to wiki." in done.stderr
    assert practice.count("mcp") == 0


def test_own_provider(environ: dict[str, str], practice: McpServer) -> None:
    """Its own client signs in, and the API sees the token."""
    practice.require_audience = False  # a classic API knows no resource indicators
    issuer = practice.authorization_server
    client = issuer.add_client(redirect_uris=["http://127.0.0.1/callback"])
    environ["ACME_URL"] = issuer.issuer
    out = example(environ, "own_provider.py", client.client_id, practice.url)
    assert f"{practice.url} answered 405" in out  # let in, and GET is not what MCP speaks
    assert issuer.count("token", grant_type="authorization_code") == 1
    assert issuer.revoked


def test_practice_server(environ: dict[str, str]) -> None:
    """It prints a URL that demands a token, and ends quietly with Ctrl-C."""
    script = str(DOCS / "examples" / "practice_server.py")
    # A shell starts what runs in the background with SIGINT ignored; a terminal does not.
    runner = (
        "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        f"runpy.run_path({script!r}, run_name='__main__')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", runner],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        url = process.stdout.readline().strip()
        dock = ("-m", "harbor_oauth", "dock", "--name", "wiki", "--url", url, "--skip-auth")
        assert python(environ, *dock).returncode == 0
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
        watchdog.cancel()
        assert process.stderr.read() == ""


def test_the_readme_in_a_shell(environ: dict[str, str], practice: McpServer) -> None:
    """Each line of its first console block with `harbor` succeeds, in order.

    A bridge ends with its input, and a gateway when it is told to.
    """
    (lines,) = [
        text for text in blocks(README, "console") if "$ harbor dock --name practice" in text
    ]
    typed = [line.removeprefix("$ ") for line in lines.splitlines() if line.startswith("$ harbor")]
    assert len(typed) > 3
    for line in typed:
        words = [re.sub(r"^http://127.*", practice.url, word) for word in words_of(line)]
        if words == ["lighthouse"]:
            assert until_told(environ, "-m", "harbor_oauth", *words, "--port", "0") == 0
            continue
        done = python(environ, "-m", "harbor_oauth", *words)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), (line, done.stderr)


def test_the_readme_in_python(environ: dict[str, str], practice: McpServer, tmp_path: Path) -> None:
    """Its Python block runs as it stands, but for the server's address."""
    dock = ("-m", "harbor_oauth", "dock", "--name", "practice", "--url", practice.url)
    assert python(environ, *dock, "--skip-auth").returncode == 0
    text = blocks(README, "python")[0]
    script = tmp_path / "readme.py"
    changed = re.sub(r"http://127\.0\.0\.1:\d+/mcp", practice.url, text)
    assert changed != text
    script.write_text(changed, encoding="utf-8")
    done = python(environ, str(script))
    assert (done.returncode, done.stderr) == (0, "")
    assert "********" in done.stdout
    assert "echo" in done.stdout
    assert practice.authorization_server.revoked


def test_the_readme_shows_what_the_demo_prints() -> None:
    """Its block is the demo's real output, numbers aside."""
    (shown,) = [text for text in blocks(README, "console") if "dev.py demo" in text]
    with redirect_stdout(io.StringIO()) as printed:
        assert run_demo() == 0
    wanted = re.sub(r"\d+", "0", printed.getvalue())
    assert re.sub(r"\d+", "0", shown).endswith(wanted)


def test_the_how_to_about_tests(tmp_path: Path) -> None:
    """Its tests pass, as they stand."""
    module = tmp_path / "test_shown.py"
    shown = blocks(DOCS / "how-to" / "tests.md", "python")
    assert len(shown) == 3
    module.write_text("\n\n".join(shown), encoding="utf-8")
    done = python({**os.environ}, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(module))
    assert "3 passed" in done.stdout, done.stdout


# --- from a container or another machine ----------------------------------------
SSHD = "apt-get install -y --no-install-recommends openssh-server curl"


def executable(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def devbox(tmp_path: Path) -> Iterator[Path]:
    """Run `sshd` on loopback; yield the client's configuration, which knows it as `devbox`."""
    sshd = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
    if sshd is None or shutil.which("curl") is None:
        missing("sshd or curl", SSHD)
    for key in ("host", "person"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / key)]
        subprocess.run(make, check=True)
    port = free_port()
    server, client = tmp_path / "sshd_config", tmp_path / "ssh_config"
    server.write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {tmp_path}/host\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {tmp_path}/person.pub\nStrictModes no\nAcceptEnv HARBOR_KEY\n"
    )
    client.write_text(
        f"Host devbox\n HostName 127.0.0.1\n Port {port}\n IdentityFile {tmp_path}/person\n"
        " IdentitiesOnly yes\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n"
        " SendEnv HARBOR_KEY\n ExitOnForwardFailure yes\n LogLevel ERROR\n"
    )
    with subprocess.Popen(
        [sshd, "-D", "-e", "-f", str(server)], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        try:
            assert "listening" in said, said + process.stderr.read()
            yield client
        finally:
            process.terminate()
            process.communicate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_container_and_a_remote_machine_use_the_gateway(
    environ: dict[str, str], practice: McpServer, devbox: Path, tmp_path: Path
) -> None:
    """Every line of the page works, with free ports; the host's name stands for loopback."""
    dock = ("-m", "harbor_oauth", "dock", "--name", "practice", "--url", practice.url)
    assert python(environ, *dock).returncode == 0
    near, far = free_port(), free_port()
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    executable(bin_ / "harbor", f'exec {shlex.quote(sys.executable)} -m harbor_oauth "$@"')
    name_of_host = f"host.docker.internal:{near}:127.0.0.1"
    executable(bin_ / "curl", f'exec {shutil.which("curl")} --resolve {name_of_host} "$@"')
    executable(bin_ / "ssh", f'exec {shutil.which("ssh")} -F {devbox} "$@"')
    environ["PATH"] = f"{bin_}:{environ['PATH']}"
    page = DOCS / "how-to" / "containers.md"
    typed = [
        line.removeprefix("$ ") for text in blocks(page, "console") for line in text.split("\n")
    ]
    add, start, curl, revoke, start_again, ssh, curl_there = filter(None, typed)

    def shell(line: str, stdin: str = "") -> str:
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            env=environ,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        return done.stdout

    ports = f"lighthouse start --port {near} --allow-host 127.0.0.1:{far}"
    try:
        environ["HARBOR_KEY"] = shell(add).split()[-1]
        shell(start.replace("lighthouse start", ports).replace("172.17.0.1", "127.0.0.1"))
        assert '"echo"' in shell(curl.replace("3100", str(near)))
        shell(revoke)
        assert '"echo"' not in shell(curl.replace("3100", str(near)))
        shell("harbor lighthouse stop")
        shell(start_again.replace("lighthouse start", ports))
        environ["HARBOR_KEY"] = shell("harbor lighthouse key").strip()
        forward = ssh.replace("3100:", f"{far}:", 1).replace(":3100", f":{near}")
        assert '"echo"' in shell(forward, curl_there.replace("3100", str(far)))
    finally:
        shell("harbor lighthouse stop")

"""A sign-in at the command line, whichever way works first."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from harbor_oauth.cli.sign_in import SignIn
from harbor_oauth.cli.waiting import clock_face, waiting
from harbor_oauth.client import Harbor
from harbor_oauth.errors import MalformedResponseError
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.testing import AuthorizationServer, McpServer
from tests.conftest import FakeClock

Cli = Callable[..., Any]

posix = pytest.mark.skipif(
    shutil.which("setsid") is None, reason="needs setsid: apt-get install util-linux"
)
_OWN_TERMINAL = ("setsid", "--ctty", "--wait")
"""Makes the terminal the program's own, so that Ctrl-C arrives."""

PATIENCE = 20.0
"""Seconds after which a test gives up; nothing here waits for it."""


def redirected(url: str) -> str:
    """Return where a browser ends that signs in at once."""
    answer = requests.get(url, allow_redirects=False, timeout=10)  # noqa: TID251 - a browser
    return answer.headers["Location"]


class Terminal:
    """A person's end of a pseudo-terminal, with a program at the other."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        self.descriptor = descriptor
        self.process = process
        self.seen = ""

    def until(self, pattern: str) -> re.Match[str]:
        """Read until this is seen."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < deadline, f"{pattern!r} was not seen in {self.seen!r}"
            if select.select([self.descriptor], [], [], 0.1)[0]:
                self._read()
        return found

    def _read(self) -> None:
        try:
            self.seen += os.read(self.descriptor, 65536).decode()
        except OSError as error:  # the program has gone
            raise AssertionError(f"The program ended: {self.seen!r}") from error

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def end(self) -> int:
        """Read the rest and return the exit code."""
        with suppress(AssertionError):
            self.until("$^")
        return self.process.wait(timeout=PATIENCE)


@pytest.fixture
def sit_down(tmp_path: Path) -> Callable[..., Any]:
    """Return what starts `harbor` at a terminal, without a browser and with a key file."""
    home = tmp_path / "home"
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "HARBOR_HOME": str(home),
        "HARBOR_VAULT": "keyfile",
        "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
        "USER": "ada",
        "TERM": "xterm",
        "COLUMNS": "100",
    }

    @contextmanager
    def start(*argv: str, **more: str) -> Iterator[Terminal]:
        person, terminal = pty.openpty()
        process = subprocess.Popen(
            [*_OWN_TERMINAL, sys.executable, "-m", "harbor_oauth", *argv],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env={**environ, **more},
        )
        os.close(terminal)
        try:
            yield Terminal(person, process)
        finally:
            process.kill()
            process.wait()
            os.close(person)

    return start


def shown_url(terminal: Terminal) -> str:
    return terminal.until(r"(http://127\.0\.0\.1:\d+/authorize\?\S+)")[1]


@posix
def test_the_url_of_the_last_page_is_pasted(sit_down: Callable[..., Any], mcp: McpServer) -> None:
    """Over SSH: the command that forwards the port is said, a wrong paste goes on, a right ends."""
    ssh = {"SSH_CONNECTION": "203.0.113.9 50000 192.0.2.7 22"}
    with sit_down("dock", "--name", "real", "--url", mcp.url, **ssh) as terminal:
        url = shown_url(terminal)
        port = urlsplit(parse_qs(urlsplit(url).query)["redirect_uri"][0]).port
        terminal.until(rf"ssh -N -L {port}:127\.0\.0\.1:{port} ada@192\.0\.2\.7")
        terminal.until(r" \d:\d\d  Waiting for the browser")
        terminal.type("https://wrong.example/callback?code=1&state=2\n")
        terminal.until("That is not it")
        terminal.type(redirected(url) + "\n")
        terminal.until("Docked real")
        assert terminal.end() == 0


@posix
def test_a_bare_code_is_pasted(
    sit_down: Callable[..., Any], mcp: McpServer, issuer: AuthorizationServer
) -> None:
    """Some pages show no more than that; where the issuer has to be named, it is refused."""
    with sit_down("dock", "--name", "real", "--url", mcp.url, "--no-browser") as terminal:
        url = shown_url(terminal)
        assert "Sign in at this URL" in terminal.seen
        answer = redirected(url)
        code = parse_qs(urlsplit(answer).query)["code"][0]
        terminal.until("Waiting for the browser")
        terminal.type(code + "\n")
        if "iss=" in answer:
            terminal.until("That is not it")
            terminal.type(answer + "\n")
        terminal.until("Docked real")
        assert terminal.end() == 0


@posix
def test_the_browser_s_answer_leaves_the_terminal_s_line(
    sit_down: Callable[..., Any], mcp: McpServer
) -> None:
    """It comes by itself, and nobody has to press a key."""
    with sit_down("dock", "--name", "real", "--url", mcp.url, "--no-browser") as terminal:
        url = shown_url(terminal)
        terminal.until("Waiting for the browser")
        requests.get(url, timeout=10)  # noqa: TID251 - a browser
        terminal.until("Docked real")
        assert terminal.end() == 0


@posix
def test_ctrl_c_ends_at_once_and_changes_nothing(
    sit_down: Callable[..., Any], mcp: McpServer, tmp_path: Path
) -> None:
    """Exit code 2, and the fleet is as it was."""
    with sit_down("dock", "--name", "real", "--url", mcp.url, "--no-browser") as terminal:
        terminal.until("Waiting for the browser")
        terminal.type("\x03")
        assert terminal.end() == 2
        assert "cancelled" in terminal.seen
        assert "Traceback" not in terminal.seen
    assert not (tmp_path / "home" / "config.toml").exists()


def test_without_a_terminal_there_are_plain_lines(cli: Cli, mcp: McpServer) -> None:
    """No line that is drawn again, no question."""
    ran = cli("dock", "--name", "real", "--url", mcp.url)
    assert ran.code == 0
    assert "\x1b" not in ran.err
    assert "Waiting" not in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scope", "a", "--read-only"), "--scope goes without --read-only."),
        (("--device", "--port", "5000"), "--device goes without --port and --no-browser."),
        (("--device", "--no-browser"), "--device goes without --port and --no-browser."),
        (("--port", "0"), "--port"),
        (("--port", "70000"), "--port"),
        (("--timeout", "0"), "--timeout"),
    ],
)
@pytest.mark.parametrize("command", ["charter", "dock"])
def test_options_that_contradict_each_other(
    cli: Cli, harbor: Harbor, command: str, words: tuple[str, ...], said: str
) -> None:
    """Exit code 2, before anything is asked or changed."""
    ran = cli(command, "practice", *words)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert harbor.status() == ()


def test_a_port_of_one_s_choice_is_waited_at(
    cli: Cli, mcp: McpServer, issuer: AuthorizationServer
) -> None:
    """The redirect URI names it."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ran = cli("dock", "--name", "real", "--url", mcp.url, "--port", str(port))
    assert ran.code == 0, ran.err
    assert f"127.0.0.1%3A{port}%2Fcallback" in ran.err


def test_again_needs_a_grant(cli: Cli) -> None:
    """Re-charter is for what there is; the first sign-in is named."""
    ran = cli("charter", "practice", "--again")
    assert ran.code == 4
    assert "no grant practice" in ran.err
    assert "harbor charter practice" in ran.err


def test_again_asks_for_what_was_asked_for(cli: Cli, harbor: Harbor) -> None:
    """The scopes of the first sign-in are kept, and the old grant until the new one is there."""
    assert cli("dock", "practice", "--scope", "read").code == 0
    (before,) = harbor.status()
    assert cli("charter", "practice", "--again").code == 0
    (after,) = harbor.status()
    assert before.requested_scopes == after.requested_scopes == ("read",)


def test_a_device_is_used_instead(
    cli: Cli,
    clock: FakeClock,
    harbor: Harbor,
    make_harbor: Callable[..., Harbor],
    issuer: AuthorizationServer,
) -> None:
    """The code is shown; no browser is opened here."""
    issuer.device_grant = True
    codes: list[str] = []

    def transport(request: HttpRequest) -> HttpResponse:
        answer = harbor.transport(request)
        if b'"user_code"' in answer.body:
            codes.append(json.loads(answer.body)["user_code"])
        return answer

    def confirm(seconds: float) -> None:
        clock.advance(seconds)
        if codes:
            issuer.approve_device(codes.pop())

    other = make_harbor(
        transport=transport, sleep=confirm, browser=lambda url: pytest.fail(f"opened {url}")
    )
    ran = cli("charter", "practice", "--device", with_=other)
    assert ran.code == 0, ran.err
    assert re.search(r"type this code:\n  \S{6,}\n", ran.err)
    assert [status.grant for status in other.status()] == ["practice"]


def test_the_options_are_those_of_the_class() -> None:
    """What the commands hand over is what there is."""
    assert SignIn.options() == ("device", "no_browser", "port", "timeout", "scopes", "read_only")


@pytest.mark.parametrize(
    ("seconds", "face"),
    [(300, " 5:00"), (59.9, " 0:59"), (0, " 0:00"), (-3, " 0:00"), (3600, "60:00")],
)
def test_the_time_left_has_five_columns(seconds: float, face: str) -> None:
    """So that it can be drawn over."""
    assert clock_face(seconds) == face


def test_a_wrong_paste_is_answered_and_the_wait_goes_on(
    answers: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A right one ends it; an empty line is none."""
    monkeypatch.setattr("harbor_oauth.cli.waiting.interactive", lambda: True)
    keys = iter(["\r", "wro", None, "nh\x7fg\r", "nonsense\x15", "\x1b[200~right\x1b[201~\r"])
    taken, over = [], threading.Event()

    @contextlib.contextmanager
    def keystrokes() -> Iterator[Callable[[float], str | None]]:
        yield lambda _: next(keys)

    def submit(text: str) -> None:
        taken.append(text)
        if text == "wrong":
            raise MalformedResponseError("It has no code.", requirement="RFC 6749 §4.1.2")
        over.set()

    monkeypatch.setattr("harbor_oauth.cli.waiting.keystrokes", keystrokes)
    with waiting(300, "Waiting: ", submit, monotonic=lambda: 0.0):
        assert over.wait(PATIENCE)
    assert taken == ["wrong", "right"]
    said = capsys.readouterr().err
    assert " 5:00  Waiting: wrong\n" in said
    assert said.endswith(" 5:00  Waiting: right\n")
    assert "That is not it: It has no code" in said


def test_stdin_is_left_alone_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a file for somebody else."""
    stdin = io.StringIO("not for us\n")
    monkeypatch.setattr(sys, "stdin", stdin)
    with waiting(300, "Waiting", pytest.fail):
        pass
    assert stdin.read() == "not for us\n"

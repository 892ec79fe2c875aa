"""The authorization URL reaches the browser as one clean argument, or not at all."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from harbor_oauth.errors import BrowserError
from harbor_oauth.login.browser import open_browser
from harbor_oauth.platform.openers import PATIENCE

URL = "https://as.example/authorize?client_id=a&state=b"


class Spawn:
    """Records what would have been started; only the named programs start."""

    def __init__(self, *there: str) -> None:
        self.there = there
        self.tried: list[tuple[list[str], float]] = []

    def __call__(self, argv: Sequence[str], patience: float) -> bool:
        self.tried.append((list(argv), patience))
        return argv[0] in self.there

    @property
    def commands(self) -> list[list[str]]:
        return [argv for argv, _ in self.tried]


@pytest.mark.parametrize(
    ("browser", "command"),
    [
        ("web", ["web", URL]),
        ("web %s", ["web", URL]),
        ("web --new %s --quiet", ["web", "--new", URL, "--quiet"]),
        ("web --app=%s", ["web", f"--app={URL}"]),
        ("web --private", ["web", "--private", URL]),
        ("web 'a b' %s", ["web", "a b", URL]),
        ('web "$HOME" `id` %s', ["web", "$HOME", "`id`", URL]),
        ("web %action %s %u", ["web", "%action", URL, "%u"]),
        ("web %s | sh", ["web", URL, "|", "sh"]),
    ],
)
def test_browser_is_a_command_line_with_the_url(browser: str, command: list[str]) -> None:
    """Split as a shell would, run without one; `%s` alone is replaced."""
    spawn = Spawn("web")
    assert open_browser(URL, environ={"BROWSER": browser}, spawn=spawn)
    assert spawn.tried == [(command, PATIENCE)]


@pytest.mark.parametrize("browser", ["web %s &", "web &"])
def test_a_trailing_ampersand_means_do_not_wait(browser: str) -> None:
    """As Python's webbrowser has it."""
    spawn = Spawn("web")
    assert open_browser(URL, environ={"BROWSER": browser}, spawn=spawn)
    assert spawn.tried == [(["web", URL], 0.0)]


def test_browsers_are_tried_in_order_and_before_the_system_s() -> None:
    """The list is separated as PATH is; empty and broken parts are passed over."""
    spawn = Spawn("second")
    browsers = os.pathsep.join(["first", "", "'broken %s", "&", "second %s", "third"])
    assert open_browser(URL, environ={"BROWSER": browsers, "DISPLAY": ":0"}, spawn=spawn)
    assert spawn.commands == [["first", URL], ["second", URL]]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's openers")
def test_the_system_s_way_is_taken_when_no_browser_starts() -> None:
    """With a display only."""
    spawn = Spawn("xdg-open")
    assert open_browser(URL, environ={"BROWSER": "absent", "DISPLAY": ":0"}, spawn=spawn)
    assert spawn.commands == [["absent", URL], ["xdg-open", URL]]
    assert not open_browser(URL, environ={}, spawn=spawn)


def test_a_program_s_path_may_hold_spaces(tmp_path: Path) -> None:
    """A part that is the path of a program is not split."""
    program = tmp_path / "my browser.exe"
    program.touch(mode=0o755)
    spawn = Spawn(str(program))
    assert open_browser(URL, environ={"BROWSER": str(program)}, spawn=spawn)
    assert spawn.commands == [[str(program), URL]]


def test_the_url_is_never_the_program() -> None:
    """`BROWSER=%s` starts nothing of the URL's choosing."""
    spawn = Spawn(URL)
    assert not open_browser(URL, environ={"BROWSER": "%s"}, spawn=spawn)
    assert spawn.commands == [["%s", URL]]


REFUSED = [
    "",
    "as.example/authorize",
    "//as.example/authorize",
    "http://as.example/authorize",
    "http://127.0.0.1.evil.example/",
    "http://localhost.evil.example/",
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "vbscript:x",
    "ftp://as.example/",
    "ms-msdt:/id",
    "harbor://x",
    "view-source:https://as.example/",
    "\\\\evil.example\\share",
    "-https://as.example/",
    "--new-window",
    " https://as.example/",
    "https://as.example/\nx",
    "https://as.example/\rx",
    "https://as.example/\0",
    "https://as.example/a b",
    'https://as.example/?"&calc&"',
    "https://as.example/?`id`",
    "https://as.example/?<x>",
    "https://as.example/?a|calc",
    "https://as.example/?a^b",
    "https://as.example/%action%",
    "https://as.example\\@evil.example/",
    "https://user:secret@as.example/",
    "https://as.example/#x",
    "https://",
    "https:///authorize",
    "https://as.éxample/",
]


@pytest.mark.parametrize("url", REFUSED)
def test_what_is_no_plain_url_is_not_opened(url: str) -> None:
    """Neither BROWSER nor the system's opener sees it."""
    spawn = Spawn("web", "xdg-open")
    with pytest.raises(BrowserError):
        open_browser(url, environ={"BROWSER": "web", "DISPLAY": ":0"}, spawn=spawn)
    assert spawn.tried == []


@pytest.mark.parametrize(
    ("query", "argument"),
    [
        ("a=$(calc)", "a=%24%28calc%29"),
        ("a=';calc;'", "a=%27%3Bcalc%3B%27"),
        ("a=!x*", "a=%21x%2A"),
        ("a=%action", "a=%action"),
        ("a=%s", None),
        ("a=%73&b=c+d", "a=%73&b=c+d"),
        ("a=&calc&", "a=&calc&"),
        ("redirect_uri=http://127.0.0.1:1/c", "redirect_uri=http://127.0.0.1:1/c"),
    ],
)
def test_what_a_shell_would_read_is_encoded(query: str, argument: str | None) -> None:
    """One argument, without a character that a script behind BROWSER could expand."""
    spawn = Spawn("web")
    url = f"https://as.example/authorize?{query}"
    if argument is None:
        with pytest.raises(BrowserError):
            open_browser(url, environ={"BROWSER": "web"}, spawn=spawn)
    else:
        assert open_browser(url, environ={"BROWSER": "web %s"}, spawn=spawn)
        assert spawn.commands == [["web", f"https://as.example/authorize?{argument}"]]


def test_the_error_shows_no_query() -> None:
    """The authorization URL holds the state."""
    with pytest.raises(BrowserError) as caught:
        open_browser("http://as.example/?state=canary", environ={})
    assert "canary" not in repr(caught.value) + str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_real_program_gets_the_url(tmp_path: Path) -> None:
    """From BROWSER to the program's own argument vector."""
    out, program = tmp_path / "argv", tmp_path / "program.py"
    program.write_text("import sys; open(sys.argv[1], 'w').write(repr(sys.argv[2:]))")
    browser = shlex.join([sys.executable, str(program), str(out), "%s"])
    assert open_browser(URL, environ={"BROWSER": browser})
    assert out.read_text() == repr([URL])

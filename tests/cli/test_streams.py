"""Every command with every kind of standard stream: no traceback, and the right exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

PATIENCE: Final = 120
COMMANDS: Final = [
    ("--help",),
    ("--version",),
    ("nonsense",),
    ("dock", "--name", "wiki", "--url", "http://127.0.0.1:9/mcp", "--skip-auth"),
    ("dock", "--name", "wiki", "--url", "https://else.example/mcp"),
    ("undock", "nope"),
    ("fleet",),
    ("fleet", "--json"),
    ("run", "nope"),
    ("charter", "nope"),
    ("papers",),
    ("token", "nope"),
    ("token", "nope", "--json"),
    ("exec", "nope", "--", "true"),
    ("why", "nope"),
    ("forecast",),
    ("lighthouse", "status"),
    ("lighthouse", "key"),
    ("bridge", "nope"),
    ("bridge", "wiki"),
    ("connect",),
    ("connect", "cursor", "--dry-run"),
    ("disconnect", "cursor"),
    ("chest", "list"),
    ("chest", "get", "naïve-日本"),
    ("chest", "set", "empty"),
    ("providers",),
    ("completion", "bash"),
    ("doctor",),
    ("leave", "--dry-run"),
    ("leave",),
]
# What a shell does before it starts the command; the last member: what is full.
STREAMS: Final = {
    "stdin closed": ("<&-", ""),
    "stdout closed": (">&-", ""),
    "stderr closed": ("2>&-", ""),
    "all closed": ("<&- >&- 2>&-", ""),
    "stdout full": (">/dev/full", "stdout"),
    "stderr full": ("2>/dev/full", "stderr"),
    "both full": (">/dev/full 2>/dev/full", "stdout"),
}

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """A home with a vault, a secret with a name outside ASCII, and a docked server."""
    home = tmp_path_factory.mktemp("home")
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "HARBOR_VAULT": "keyfile",
        "HARBOR_VAULT_KEY_FILE": str(home / "key"),
        "NO_COLOR": "1",
        "PYTHONIOENCODING": "utf-8",
    }
    harbor(environ, "chest", "init")
    assert harbor(environ, "chest", "set", "naïve-日本", text="v\n").returncode == 0
    assert harbor(environ, *COMMANDS[3]).returncode == 0
    return environ


def harbor(
    environ: Mapping[str, str], *words: str, streams: str = "", text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command as a shell starts it, with these redirections."""
    program = [sys.executable, "-P", "-m", "harbor_oauth", *words]
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {streams}', "sh", *program],
        env=dict(environ),
        input=text,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_streams(words: tuple[str, ...], variables: Mapping[str, str]) -> None:
    """A stream that is missing is the null device; a full one loses what it does not take."""
    usual = harbor(variables, *words)
    assert "Traceback" not in usual.stderr
    for name, (streams, full) in STREAMS.items():
        done = harbor(variables, *words, streams=streams)
        assert "Traceback" not in done.stderr, (name, done)
        assert "Exception ignored" not in done.stderr, (name, done)
        assert "fault of Harbor" not in done.stderr, (name, done)
        # What was asked for and could not be written is an error, and nothing else is.
        lost = full == "stdout" and usual.stdout != ""
        assert done.returncode in ({1, 2} if lost else {usual.returncode}), (name, done)


def test_the_desktop_s_start_without_streams(variables: Mapping[str, str]) -> None:
    """As from a menu; without its library it ends with an exit status, not a traceback."""
    code = "import sys; sys.modules['PySide6'] = None; import harbor_oauth.desktop as d; "
    program = [sys.executable, "-P", "-c", f"{code}raise SystemExit(d.main([]))"]
    command = ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *program]
    done = subprocess.run(command, env=dict(variables), timeout=PATIENCE, check=False)
    assert done.returncode == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "ascii:strict"])
@pytest.mark.parametrize("words", [("chest", "list"), ("chest", "get", "naïve-日本", "--reveal")])
def test_an_encoding_that_does_not_fit(
    encoding: str, words: tuple[str, ...], variables: Mapping[str, str]
) -> None:
    """What cannot be encoded is escaped."""
    done = harbor({**variables, "PYTHONIOENCODING": encoding}, *words)
    usual = harbor(variables, *words)
    assert done.returncode == usual.returncode
    assert "Traceback" not in done.stderr
    assert "fault of Harbor" not in done.stderr


def test_a_bridge_that_cannot_answer_ends(variables: Mapping[str, str]) -> None:
    """The host would wait for ever; the exit status says that something was lost."""
    ping = '{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n'
    done = harbor(variables, "bridge", "wiki", streams=">/dev/full", text=ping)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    closed = harbor(variables, "bridge", "wiki", streams=">&-", text=ping)
    assert (closed.returncode, closed.stderr) == (0, "")


def test_standard_input_that_is_no_text(variables: Mapping[str, str]) -> None:
    """It is refused with a sentence, and not repeated."""
    program = [sys.executable, "-P", "-m", "harbor_oauth", "chest", "set", "binary"]
    done = subprocess.run(
        program, env=dict(variables), input=b"\xff\xfe\x00", capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"not text" in done.stderr


def test_a_fault_is_told_by_kind_and_place(variables: Mapping[str, str]) -> None:
    """Its text, which may hold a secret, is not; the developer mode has the traceback."""
    code = (
        "import sys, harbor_oauth.cli.app as app, harbor_oauth.cli as cli\n"
        "def fail(*_): raise RuntimeError('cnry-secret')\n"
        "app._invoke = fail\n"
        "sys.argv = ['harbor', 'fleet']\n"
        "sys.exit(cli.main())"
    )

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *options, "-c", code],
            env=dict(variables),
            capture_output=True,
            text=True,
            check=False,
        )

    told = run()
    assert told.returncode == 1
    assert "RuntimeError at <string>:2" in told.stderr
    assert "cnry" not in told.stderr
    assert "Traceback" in run("-X", "dev").stderr


def test_help_has_sentences_without_docstrings(variables: Mapping[str, str]) -> None:
    """`python -OO` drops them; the overview's sentence takes their place."""
    done = harbor({**variables, "PYTHONOPTIMIZE": "2"}, "fleet", "--help")
    assert "List the docked servers." in done.stdout

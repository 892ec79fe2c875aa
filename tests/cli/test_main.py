"""The command as a whole: overview, exit codes, what it loads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from harbor_oauth import installation
from harbor_oauth.cli.app import root
from harbor_oauth.client import Harbor
from harbor_oauth.errors import (
    ClientRequiredError,
    ConfigurationError,
    FlowCancelledError,
    FlowTimeoutError,
    HarborError,
    KeychainTimeoutError,
    LoginRequiredError,
    ScopeRequiredError,
    TransportError,
    VaultLockedError,
)


def python(*argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *argv],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1", **environ},
    )


def commands() -> list[tuple[str, click.Command]]:
    """Every command by the words that reach it."""
    ctx = click.Context(root)
    found: list[tuple[str, click.Command]] = []
    for name in root.list_commands(ctx):
        command = root.get_command(ctx, name)
        assert command is not None
        found.append((name, command))
        if isinstance(command, click.Group):
            found += [(f"{name} {sub}", each) for sub, each in command.commands.items()]
    return found


def test_the_overview_names_every_command_and_alias(
    cli: Callable[..., Any],
) -> None:
    """With its one sentence, on standard output."""
    code, out, err = cli()
    assert (code, err) == (0, "")
    for words in (
        "dock, add",
        "undock, remove",
        "run",
        "fleet, list",
        "charter, login",
        "revoke, logout",
        "papers, status",
        "token",
        "chest, vault",
        "providers",
        "demo",
    ):
        assert re.search(rf"^  {words}  +[A-Z].*\.$", out, re.MULTILINE), words
    assert cli("--help").out == cli("-h").out == out


@pytest.mark.parametrize(("words", "command"), commands(), ids=str)
def test_every_help_has_an_example(
    cli: Callable[..., Any], words: str, command: click.Command
) -> None:
    """And the example begins with the command's name."""
    code, out, _ = cli(*words.split(), "--help")
    assert code == 0
    assert f"  harbor {words}" in out.partition("Examples:")[2] or "chest" in words
    assert "Examples:" in out


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("add", "dock"),
        ("remove", "undock"),
        ("list", "fleet"),
        ("login", "charter"),
        ("logout", "revoke"),
        ("status", "papers"),
        ("vault", "chest"),
    ],
)
def test_an_alias_is_the_same_command(alias: str, name: str) -> None:
    """Not a copy of it."""
    ctx = click.Context(root)
    assert root.get_command(ctx, alias) is root.get_command(ctx, name)


def test_the_overview_loads_nothing_heavy() -> None:
    """No command, no HTTP, no keychain, no cipher, no plugin lookup."""
    code = (
        "import sys; from harbor_oauth.cli import main; main(['--help']);"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    loaded = set(python("-c", code).stderr.split())
    assert "click" in loaded
    heavy = {"requests", "keyring", "rich", "cryptography", "importlib_metadata", "attr", "tomlkit"}
    assert not heavy & loaded
    assert not {name for name in loaded if name.startswith("harbor_oauth.client")}
    assert "harbor_oauth.cli.docking" not in loaded


def test_without_click_the_install_lines_are_printed(tmp_path: Path) -> None:
    """On standard error, and the exit code is 1."""
    (tmp_path / "click.py").write_text("raise ModuleNotFoundError(name='click')\n")
    ran = python("-m", "harbor_oauth", "fleet", PYTHONPATH=str(tmp_path))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert installation.current().add_extra("cli") in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_version_is_the_distributions(cli: Callable[..., Any]) -> None:
    """One line."""
    assert re.fullmatch(r"harbor \d+\.\d+\.\d+\S*\n", cli("--version").out)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HarborError("x"), 1),
        (ConfigurationError("x"), 1),
        (FlowTimeoutError("x"), 1),
        (FlowCancelledError("x"), 2),
        (LoginRequiredError("x", grant="g", cause="absent"), 4),
        (ScopeRequiredError("x", grant="g", missing=("write",), have=("read",)), 4),
        (ClientRequiredError("x"), 4),
        (TransportError("x"), 75),
        (VaultLockedError("x"), 75),
        (KeychainTimeoutError("x"), 75),
        (OSError(28, "No space left on device"), 1),
        (KeyboardInterrupt(), 2),
    ],
)
def test_the_exit_code_says_who_must_act(
    cli: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
) -> None:
    """And standard output stays empty, without a traceback anywhere."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Harbor, "token", fail)
    got, out, err = cli("token", "x")
    assert (got, out) == (code, "")
    assert err.strip()
    assert "Traceback" not in err


def test_an_error_is_a_sentence_and_its_next_steps(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line each, and nothing in it steers the terminal."""

    def fail(*_: object) -> None:
        raise TransportError(
            "down \x1b[31m\u202ered\n", next_step="first\nsecond\x07", retry_after=30
        )

    monkeypatch.setattr(Harbor, "token", fail)
    assert cli("token", "x")[2] == (
        "error: down [31mred \nnext: first\nnext: second\nnext: try again in 30 s\n"
    )


def test_a_mistake_of_ours_is_not_hidden(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no error of use is raised, for whoever mends it."""
    monkeypatch.setattr(Harbor, "token", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli("token", "x")


def test_a_reader_that_is_gone_is_no_traceback(tmp_path: Path) -> None:
    """`harbor … | head` ends quietly."""
    read, write = os.pipe()
    os.close(read)
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "harbor_oauth", "--help"],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(write)
    assert (ran.returncode, ran.stderr) == (1, "")


def test_colour_is_for_terminals_that_want_it() -> None:
    """Standard error that is not a terminal has no escape sequences."""
    ran = python("-m", "harbor_oauth", "bogus", NO_COLOR="")
    assert ran.stderr == "error: No such command 'bogus'.\nnext: harbor --help\n"
    assert ran.returncode == 2

"""Every command with bad inputs: the message, the exit code, and never a traceback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from harbor_oauth.cli.app import root
from harbor_oauth.client import Harbor

Cli = Callable[..., Any]

# command, further words, exit code, part of the message
TABLE: tuple[tuple[str, tuple[str, ...], int, str], ...] = (
    ("dock", (), 2, "Name one provider"),
    ("dock", ("nobody",), 1, "nobody"),
    ("dock", ("--url", "https://a.example/mcp"), 2, "--url goes with --name"),
    ("dock", ("--name", "a", "--url", "http://a.example/mcp"), 1, "http and not on this machine"),
    ("dock", ("--name", "a/b", "--url", "https://a.example/mcp"), 1, "a/b"),
    ("dock", ("--name", "a", "--url", "https://a.example/mcp", "-H", "no colon"), 2, "NAME: VALUE"),
    ("dock", ("--from", "nobody"), 1, "nobody"),
    ("dock", ("practice", "--yes"), 2, "--from"),
    ("dock", ("practice", "--from", "cursor"), 2, "--from goes with"),
    ("undock", (), 2, "Name one server"),
    ("undock", ("nobody",), 1, "nobody"),
    ("fleet", ("nobody",), 2, "unexpected extra argument"),
    ("run", ("nobody",), 1, "nobody"),
    ("charter", (), 2, "GRANT"),
    ("charter", ("nobody",), 1, "nobody"),
    ("charter", ("a b",), 1, "a b"),
    ("charter", ("practice", "--timeout", "soon"), 2, "soon"),
    ("revoke", ("nobody",), 4, "nobody"),
    ("papers", ("--nonsense",), 2, "--nonsense"),
    ("papers own", ("nobody", "--client-id", "a"), 1, "nobody"),
    ("papers forget", ("nobody",), 1, "nobody"),
    ("token", (), 2, "GRANT"),
    ("token", ("nobody",), 4, "nobody"),
    ("token", ("practice", "--format", "xml"), 2, "xml"),
    ("exec", ("practice",), 2, "Name a grant"),
    ("credentials process", ("nobody",), 4, "nobody"),
    ("credentials kubectl", ("nobody",), 4, "nobody"),
    ("why", ("a b",), 1, "a b"),
    ("forecast", ("--days", "-1"), 2, "-1"),
    ("lighthouse", ("--port", "70000"), 2, "70000"),
    ("lighthouse start", ("--port", "x"), 2, "x"),
    ("lighthouse stop", ("now",), 2, "unexpected extra argument"),
    ("lighthouse status", ("now",), 2, "unexpected extra argument"),
    ("lighthouse install", ("--nonsense",), 2, "--nonsense"),
    ("lighthouse uninstall", ("--nonsense",), 2, "--nonsense"),
    ("lighthouse key add", ("A B",), 1, "A B"),
    ("lighthouse key list", ("--nonsense",), 2, "--nonsense"),
    ("lighthouse key revoke", ("nobody",), 1, "nobody"),
    ("bridge", ("nobody",), 1, "nobody"),
    ("connect", ("nobody",), 2, "nobody"),
    ("connect", ("cursor", "nobody"), 1, "nobody"),
    ("disconnect", ("nobody",), 2, "nobody"),
    ("lighthouse key", ("--nonsense",), 2, "--nonsense"),
    ("chest", ("--nonsense",), 2, "--nonsense"),
    ("chest get", ("nobody",), 1, "nobody"),
    ("chest set", ("oauth:practice:access_token", "x"), 1, "sign-in"),
    ("chest list", ("--nonsense",), 2, "--nonsense"),
    ("chest delete", ("nobody",), 1, "nobody"),
    ("chest here", ("--moved", "--copied"), 2, "either"),
    ("chest init", ("nowhere",), 2, "nowhere"),
    ("chest move", ("--to", "nowhere"), 2, "nowhere"),
    ("chest backup", (), 2, "PATH"),
    ("chest import", ("--nonsense",), 2, "--nonsense"),
    ("chest rekey", ("now",), 2, "unexpected extra argument"),
    ("chest reset", ("now",), 2, "unexpected extra argument"),
    ("chest upgrade", ("now",), 2, "unexpected extra argument"),
    ("providers", ("--nonsense",), 2, "--nonsense"),
    ("providers trust", ("nobody",), 1, "nobody"),
    ("client-metadata", ("http://a.example/client.json",), 1, "https"),
    ("completion", ("tcsh",), 2, "tcsh"),
    ("doctor", ("linear",), 2, "--online"),
    ("leave", (), 2, "--yes"),
    ("demo", ("--nonsense",), 2, "--nonsense"),
)


def commands(words: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Yield every command below one, groups that do something alone among them."""
    if not isinstance(command, click.Group) or (words and command.invoke_without_command):
        yield words, command
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            part = command.get_command(ctx, name)
            assert part is not None
            yield from commands(f"{words} {name}".strip(), part)


ALL = dict(commands("", root))


@pytest.mark.parametrize(("command", "words", "code", "said"), TABLE)
def test_bad_input(
    cli: Cli, harbor: Harbor, command: str, words: tuple[str, ...], code: int, said: str
) -> None:
    """It is said what is wrong, and nothing is printed or changed."""
    ran = cli(*command.split(), *words)
    assert (ran.code, ran.out) == (code, ""), ran.err
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert harbor.settings.servers == {}
    assert harbor.status() == ()


def test_every_command_is_in_the_table() -> None:
    """One that is added gets its rows."""
    assert {command for command, *_ in TABLE} >= set(ALL)


@pytest.mark.parametrize("command", sorted(ALL))
def test_every_command_has_an_example(cli: Cli, command: str) -> None:
    """In its help, which goes to standard output."""
    ran = cli(*command.split(), "--help")
    assert (ran.code, ran.err) == (0, "")
    assert "Examples:" in ran.out, command


# --- the world around it ------------------------------------------------------------


def harbor_in(home: Path, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environ = {
        "HARBOR_HOME": str(home),
        "HARBOR_VAULT": "keyfile",
        "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
        "HOME": str(home.parent),
    }
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    command = [sys.executable, "-m", "harbor_oauth", *argv]
    return subprocess.run(command, env=environ, check=False, **options)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("argv", [("providers",), ("--help",), ("completion", "fish")])
def test_a_full_disk_is_said(tmp_path: Path, argv: tuple[str, ...]) -> None:
    """In one line."""
    with Path("/dev/full").open("w") as full:
        done = harbor_in(tmp_path / "home", *argv, stdout=full)
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of Windows has other pipes")
def test_a_reader_that_goes_is_no_error_to_show(tmp_path: Path) -> None:
    """`harbor providers | head -0`."""
    import os

    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        done = harbor_in(tmp_path / "home", "providers", stdout=gone)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    "argv", [("fleet",), ("papers",), ("dock", "practice"), ("chest", "set", "a", "b")]
)
def test_a_home_that_is_no_directory_is_said(tmp_path: Path, argv: tuple[str, ...]) -> None:
    """It is a file, or cannot be written."""
    home = tmp_path / "home"
    home.write_text("")
    done = harbor_in(home, *argv)
    assert done.returncode in {0, 1}
    assert "Traceback" not in done.stderr
    assert home.read_text() == ""


@pytest.mark.parametrize(
    "text", ["[servers", "servers = 3", "[servers.a]\nurl = 5\n", "\0", "a = 1\na = 2\n"]
)
@pytest.mark.parametrize("argv", [("fleet",), ("dock", "practice"), ("papers",), ("token", "a")])
def test_a_configuration_edited_into_nonsense(
    cli: Cli, make_harbor: Callable[..., Harbor], tmp_path: Path, text: str, argv: tuple[str, ...]
) -> None:
    """Its file is named, and left as it is."""
    path = tmp_path / "home" / "config.toml"
    path.parent.mkdir(mode=0o700)
    path.write_text(text)
    ran = cli(*argv, with_=make_harbor())
    assert (ran.code, ran.out) == (1, "")
    assert "config.toml" in ran.err
    assert path.read_text() == text

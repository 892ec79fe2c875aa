"""`harbor connect` and `harbor disconnect`."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.fleet.config import add_server
from harbor_oauth.fleet.hosts import own_command
from harbor_oauth.gateway.keys import Keys
from harbor_oauth.gateway.running import find, stop
from harbor_oauth.settings import ServerEntry
from harbor_oauth.testing import McpServer

Cli = Callable[..., Any]


@pytest.fixture
def alone(make_harbor: Callable[..., Harbor], tmp_path: Path) -> Iterator[Harbor]:
    """A Harbor that other processes can be, in a home of its own with two servers docked."""
    environ = {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "HARBOR_VAULT": "keyfile",
        "HARBOR_VAULT_KEY_FILE": str(tmp_path / "home" / "vault.key"),
    }
    harbor = make_harbor(environ=environ)
    add_server(harbor.settings, ServerEntry(name="linear", url="https://mcp.example/mcp"))
    harbor.reload_settings()
    add_server(harbor.settings, ServerEntry(name="files", command="cat"))
    harbor.reload_settings()
    yield harbor
    stop(harbor.settings.home)


@pytest.fixture
def cursor(tmp_path: Path) -> Path:
    """Cursor's file, with an entry and a comment of somebody else's."""
    path = tmp_path / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text(
        '{\n  // mine\n  "mcpServers": {\n    "gh": {"command": "npx", "env": {"T": "ghp_0123456"}}'
        "\n  }\n}\n"
    )
    return path


def test_a_connected_host_gets_the_tools(
    cli: Cli, alone: Harbor, mcp: McpServer, cursor: Path
) -> None:
    """The entry starts, from an empty environment, a bridge that a real server answers."""
    before = cursor.read_text()
    cli("dock", "--name", "real", "--url", mcp.url, with_=alone)
    code, out, err = cli("connect", "cursor", "real", with_=alone)
    assert (code, err) == (
        0,
        "next: Restart Cursor. Then switch the server on in its list of MCP servers.\n",
    )
    first, second = out.splitlines()
    assert first == f"Connected real to Cursor ({cursor})."
    assert second.startswith("real works. Tools: ")
    assert len(second.split(", ")) == 2

    entry = json.loads(cursor.read_text().replace("// mine", ""))["mcpServers"]["real"]
    command, *args = own_command()
    assert (entry["command"], entry["args"]) == (command, [*args, "bridge", "real"])
    assert set(entry["env"]) == {"HARBOR_HOME", "HARBOR_VAULT", "HARBOR_VAULT_KEY_FILE"}

    code, out, err = cli("disconnect", "cursor", "real", with_=alone)
    assert (code, out) == (0, f"Removed real from Cursor ({cursor}).\n")
    assert cursor.read_text() == before


def test_an_entry_that_does_not_work_yet(cli: Cli, alone: Harbor, cursor: Path) -> None:
    """It is written, what is missing is told, and the exit code says that somebody must act."""
    add_server(alone.settings, ServerEntry(name="out", url="https://mcp.example/mcp", grant="out"))
    alone.reload_settings()
    code, out, err = cli("connect", "cursor", "out", with_=alone)
    assert (code, out) == (4, f"Connected out to Cursor ({cursor}).\n")
    assert "warning: The entry for out is written, but does not work yet:\n" in err
    assert "error: Nobody has signed in to out.\nnext: harbor " in err
    assert '"out"' in cursor.read_text()


def test_dry_run_shows_a_diff_and_no_secret(cli: Cli, alone: Harbor, cursor: Path) -> None:
    """Nothing is written; the values of others are blanked out."""
    before = cursor.read_text()
    code, out, err = cli("connect", "cursor", "--dry-run", with_=alone)
    assert (code, err) == (0, "Nothing was changed.\n")
    assert '+    "files": {' in out
    assert '+        "linear"' in out
    assert "ghp_" not in out
    assert cursor.read_text() == before
    cli("connect", "cursor", "linear", "--no-check", with_=alone)
    code, out, _ = cli("disconnect", "cursor", "--dry-run", with_=alone)
    assert (code, '-    "linear": {' in out) == (0, True)
    assert "linear" in cursor.read_text()


def test_print_writes_nothing(cli: Cli, alone: Harbor, tmp_path: Path) -> None:
    """The entries go to standard output in the host's own language."""
    code, out, err = cli("connect", "codex", "linear", "files", "--print", with_=alone)
    assert (code, err) == (0, "")
    servers = tomllib.loads(out)["mcp_servers"]
    assert servers["linear"]["args"][-2:] == ["bridge", "linear"]
    assert servers["files"]["args"][-2:] == ["run", "files"]
    assert json.loads(cli("connect", "vscode", "linear", "--print", with_=alone).out)["servers"]
    assert not (tmp_path / ".codex").exists()


def test_all_enabled_servers_when_none_is_named(cli: Cli, alone: Harbor, tmp_path: Path) -> None:
    """In another file, too; connecting again changes nothing."""
    path = tmp_path / "project.json"
    line = ("connect", "vscode", "--file", str(path), "--no-check")
    assert cli(*line, with_=alone).out == f"Connected files, linear to VS Code ({path}).\n"
    before = path.read_text()
    assert cli(*line, with_=alone).out == f"VS Code has files, linear already ({path}).\n"
    assert path.read_text() == before


def test_the_hosts_are_listed(cli: Cli, alone: Harbor, cursor: Path, tmp_path: Path) -> None:
    """Without a host: each, its file and Harbor's entries there."""
    cli("connect", "cursor", "linear", "--no-check", with_=alone)
    code, out, err = cli("connect", with_=alone)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].split() == ["cursor", "Cursor", "linear", str(cursor)]
    listed = json.loads(cli("connect", "--json", with_=alone).out)
    assert listed[0] == {
        "host": "claude-code",
        "title": "Claude Code",
        "file": str(tmp_path / ".claude.json"),
        "entries": [],
    }


def test_an_entry_for_the_gateway(cli: Cli, alone: Harbor, mcp: McpServer, tmp_path: Path) -> None:
    """Each server gets a key for itself alone, which is said, tried out, and ended again."""
    cli("dock", "--name", "real", "--url", mcp.url, with_=alone)
    assert cli("lighthouse", "start", "--port", "0", with_=alone).code == 0
    running, path = find(alone.settings.home), tmp_path / ".codex" / "config.toml"
    assert running is not None
    shown = cli("connect", "codex", "real", "--http", "--print", with_=alone)
    assert tomllib.loads(shown.out)["mcp_servers"]["real"]["http_headers"] == {
        "X-Harbor-Key": "KEY"
    }
    assert "harbor lighthouse key add" in shown.err
    assert Keys(alone.settings.home).names() == ()

    code, out, err = cli("connect", "codex", "real", "--http", with_=alone)
    assert (code, out) == (0, f"Connected real to Codex ({path}).\nreal works. Tools: 2\n")
    assert f"warning: A key of the gateway for each server is written into {path}.\n" in err
    entry = tomllib.loads(path.read_text())["mcp_servers"]["real"]
    assert entry["url"] == f"{running.address}/real"
    (key,) = Keys(alone.settings.home).names()
    assert (key.name, key.servers) == ("codex-real", frozenset({"real"}))
    assert Keys(alone.settings.home).own().reveal() not in path.read_text()

    cli("connect", "codex", "real", "--http", with_=alone)
    assert len(Keys(alone.settings.home).names()) == 1
    assert tomllib.loads(path.read_text())["mcp_servers"]["real"] != entry
    cli("disconnect", "codex", with_=alone)
    assert Keys(alone.settings.home).names() == ()
    assert not path.read_text().strip()


BAD = [
    (("connect", "emacs"), 2, "is not one of 'claude-code'"),
    (("connect", "cursor", "nope"), 1, "No docked server is called 'nope'"),
    (("connect", "cursor", "linear", "--http"), 1, "No gateway runs"),
    (("connect", "cursor", "files", "--http"), 1, "files is a program"),
    (("connect", "claude-desktop", "linear", "--http"), 1, "starts programs only"),
    (("connect", "cursor", "gh"), 1, "No docked server is called 'gh'"),
    (("disconnect",), 2, "Missing argument"),
    (("disconnect", "cursor", "linear"), 1, "no entry of Harbor's for 'linear'"),
    (("connect", "cursor", "--file", "/"), 2, "is a directory"),
    (("connect", "cursor", "--file", "/proc/none/x", "--no-check"), 1, "cannot be written"),
]


@pytest.mark.parametrize(("argv", "code", "text"), BAD)
def test_bad_input(
    cli: Cli, alone: Harbor, cursor: Path, argv: tuple[str, ...], code: int, text: str
) -> None:
    """One sentence, a next step, the documented exit code; the file stays."""
    before = cursor.read_text()
    ran = cli(*argv, with_=alone)
    assert (ran.code, ran.out) == (code, "")
    assert text in ran.err
    assert "next: " in ran.err
    assert "Traceback" not in ran.err
    assert cursor.read_text() == before


def test_no_server_is_docked(cli: Cli, harbor: Harbor) -> None:
    """There is nothing to connect, and the way to change that is told."""
    assert cli("connect", "cursor") == (
        1,
        "",
        "error: No server is docked that Cursor could use.\nnext: harbor dock PROVIDER\n",
    )


def test_nothing_to_disconnect(cli: Cli, alone: Harbor, cursor: Path) -> None:
    """Which is no error."""
    ran = cli("disconnect", "cursor", with_=alone)
    assert ran == (0, "", f"{cursor} has no entry of Harbor's.\n")


def test_a_broken_file_is_refused(cli: Cli, alone: Harbor, cursor: Path) -> None:
    """With its line; it stays as it is."""
    cursor.write_text('{\n  "mcpServers": {,}\n}\n')
    code, out, err = cli("connect", "cursor", "linear", with_=alone)
    assert (code, out) == (1, "")
    assert f"error: {cursor} cannot be understood: line 2, column " in err
    assert cursor.read_text() == '{\n  "mcpServers": {,}\n}\n'


def test_without_a_name_another_home_s_entries_stay(
    cli: Cli, alone: Harbor, cursor: Path, tmp_path: Path
) -> None:
    """They are told, with the command that takes them out all the same."""
    env = {"HARBOR_HOME": str(tmp_path / "elsewhere")}
    theirs = {"command": "/bin/harbor-oauth", "args": ["bridge", "far"], "env": env}
    cursor.write_text(json.dumps({"mcpServers": {"far": theirs}}))
    before = cursor.read_text()
    code, out, err = cli("disconnect", "cursor", with_=alone)
    assert (code, out) == (0, "")
    assert "warning: far stays: it is of another HARBOR_HOME" in err
    assert "next: harbor disconnect cursor far" in err
    assert cursor.read_text() == before
    assert cli("disconnect", "cursor", "far", with_=alone).code == 0
    assert json.loads(cursor.read_text())["mcpServers"] == {}

"""Where the hosts' files are, what they hold, and what starts Harbor from there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.fleet.hosts import (
    HOSTS,
    OwnEntry,
    apply,
    disconnect_all,
    entries,
    file_of,
    host,
    own_command,
    plan,
    program_entry,
    remote_servers,
)
from harbor_oauth.settings import ServerEntry, Settings

SAMPLES = Path(__file__).with_name("samples")
HOME = {"HOME": "/home/ada"}
MAC = {"HOME": "/Users/ada"}
WINDOWS = {
    "USERPROFILE": r"C:\Users\ada",
    "APPDATA": r"C:\Users\ada\AppData\Roaming",
    "LOCALAPPDATA": r"C:\Users\ada\AppData\Local",
}
LINEAR = ServerEntry("linear", url="https://mcp.example/mcp", grant="linear")
FILES = ServerEntry("files", command="npx")

PLACES = [
    ("claude-code", HOME, "linux", "/home/ada/.claude.json"),
    ("claude-code", MAC, "darwin", "/Users/ada/.claude.json"),
    ("claude-code", WINDOWS, "win32", r"C:\Users\ada\.claude.json"),
    ("claude-code", {**HOME, "CLAUDE_CONFIG_DIR": "/etc/c"}, "linux", "/etc/c/.claude.json"),
    ("claude-desktop", HOME, "linux", "/home/ada/.config/Claude/claude_desktop_config.json"),
    (
        "claude-desktop",
        MAC,
        "darwin",
        "/Users/ada/Library/Application Support/Claude/claude_desktop_config.json",
    ),
    (
        "claude-desktop",
        WINDOWS,
        "win32",
        r"C:\Users\ada\AppData\Roaming\Claude\claude_desktop_config.json",
    ),
    ("codex", HOME, "linux", "/home/ada/.codex/config.toml"),
    ("codex", {**HOME, "CODEX_HOME": "/srv/codex"}, "linux", "/srv/codex/config.toml"),
    ("codex", WINDOWS, "win32", r"C:\Users\ada\.codex\config.toml"),
    ("vscode", HOME, "linux", "/home/ada/.config/Code/User/mcp.json"),
    ("vscode", {**HOME, "XDG_CONFIG_HOME": "/x"}, "linux", "/x/Code/User/mcp.json"),
    ("vscode", MAC, "darwin", "/Users/ada/Library/Application Support/Code/User/mcp.json"),
    ("vscode", WINDOWS, "win32", r"C:\Users\ada\AppData\Roaming\Code\User\mcp.json"),
    (
        "vscode",
        {"USERPROFILE": r"C:\Users\ada"},
        "win32",
        r"C:\Users\ada\AppData\Roaming\Code\User\mcp.json",
    ),
    ("cursor", MAC, "darwin", "/Users/ada/.cursor/mcp.json"),
    ("cursor", WINDOWS, "win32", r"C:\Users\ada\.cursor\mcp.json"),
]


@pytest.mark.parametrize(("name", "environ", "platform", "expected"), PLACES)
def test_places(name: str, environ: dict[str, str], platform: str, expected: str) -> None:
    """Each host's file, on each platform, from any platform."""
    assert str(host(name).paths(environ, platform)[-1]) == expected


def test_the_windows_package_of_claude_desktop_has_a_roaming_directory_of_its_own(
    tmp_path: Path,
) -> None:
    """It is taken where it exists (claude-code #26073), the documented one otherwise."""
    first, usual = host("claude-desktop").paths(WINDOWS, "win32")
    assert str(first) == (
        r"C:\Users\ada\AppData\Local\Packages\Claude_pzs8sxrjxfjjc\LocalCache\Roaming\Claude"
        r"\claude_desktop_config.json"
    )
    assert file_of(host("claude-desktop"), WINDOWS, "win32") == Path(usual)


def test_no_home_is_an_error_that_names_the_variable() -> None:
    """Nothing is guessed."""
    for known in HOSTS:
        with pytest.raises(ConfigurationError, match="HOME is not set"):
            file_of(known, {}, "linux")
        with pytest.raises(ConfigurationError, match="USERPROFILE is not set"):
            file_of(known, {}, "win32")


def test_an_unknown_host() -> None:
    """The error lists those there are."""
    with pytest.raises(ConfigurationError, match="No host is called 'emacs'") as raised:
        host("emacs")
    assert "claude-code, claude-desktop, codex, vscode, cursor" in raised.value.next_step


def test_what_starts_harbor(tmp_path: Path) -> None:
    """The command beside the interpreter, else the module, never from the current directory."""
    python = tmp_path / "python"
    assert own_command(str(python)) == (str(python), "-P", "-m", "harbor_oauth")
    beside = tmp_path / ("harbor-oauth.exe" if sys.platform == "win32" else "harbor-oauth")
    beside.touch(mode=0o755)
    assert own_command(str(python)) == (str(beside),)


def test_an_entry_says_where_harbor_keeps_its_things(tmp_path: Path) -> None:
    """Only what is set, with absolute paths, and nothing that is secret."""
    plain = Settings(home=Path("~/.harbor").expanduser())
    assert program_entry(plain, LINEAR, ["/h"]).env == {}
    settings = Settings(
        home=tmp_path,
        environ={
            "HARBOR_VAULT": "keyfile",
            "HARBOR_VAULT_KEY_FILE": "key",
            "HARBOR_TOKEN_LINEAR": "secret",
            "HARBOR_LINEAR_CLIENT_SECRET": "secret",
        },
    )
    entry = program_entry(settings, LINEAR, ["/py", "-m", "harbor_oauth"])
    assert (entry.command, entry.args) == ("/py", ("-m", "harbor_oauth", "bridge", "linear"))
    assert entry.env == {
        "HARBOR_HOME": str(tmp_path),
        "HARBOR_VAULT": "keyfile",
        "HARBOR_VAULT_KEY_FILE": str(Path("key").absolute()),
    }
    assert program_entry(settings, FILES, ["/h"]).args == ("run", "files")


def test_entries_and_disconnect_all(tmp_path: Path) -> None:
    """Harbor's entries in every host are found and removed; a broken file is left and said."""
    environ = {"HOME": str(tmp_path)}
    settings = Settings(home=tmp_path / "h")
    for name in ("claude-code", "codex"):
        made = program_entry(settings, LINEAR, ["/gone/harbor"])
        apply(plan(host(name), [made], environ=environ, platform="linux"))
    code, codex = tmp_path / ".claude.json", tmp_path / ".codex" / "config.toml"
    assert list(entries(environ, "linux")) == [
        OwnEntry("claude-code", "linear", Path("/gone/harbor"), "linear", code),
        OwnEntry("codex", "linear", Path("/gone/harbor"), "linear", codex),
    ]
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".cursor" / "mcp.json").write_text("{oops")
    before = code.read_text()
    said = disconnect_all(environ, "linux", dry_run=True)
    assert said[0] == f"Would remove linear from Claude Code ({code})."
    assert code.read_text() == before
    said = disconnect_all(environ, "linux")
    assert said[:2] == [
        f"Removed linear from Claude Code ({code}).",
        f"Removed linear from Codex ({codex}).",
    ]
    assert said[2].startswith("Cursor is left as it is: ")
    assert list(entries(environ, "linux")) == []
    assert json.loads(code.read_text()) == {"mcpServers": {}}


def test_remote_servers_have_no_tokens(tmp_path: Path) -> None:
    """No secret comes out of a host's file: an entry that may have one is left out."""
    environ = {"HOME": str(tmp_path)}
    (tmp_path / ".claude.json").write_bytes((SAMPLES / "claude-code.json").read_bytes())
    (docs,) = remote_servers(host("claude-code"), environ, "linux")
    assert (docs.name, docs.url) == ("docs", "")
    assert "'apiKey' may be a secret" in docs.refused
    assert "sk-docs" not in repr(docs)
    assert "docs-token" not in repr(docs)
    desktop = tmp_path / ".config" / "Claude"
    desktop.mkdir(parents=True)
    sample = (SAMPLES / "claude-desktop.json").read_bytes()
    (desktop / "claude_desktop_config.json").write_bytes(sample)
    (far,) = remote_servers(host("claude-desktop"), environ, "linux")
    assert (far.name, far.url) == ("far", "")
    assert "'Authorization' may be a secret" in far.refused
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".cursor" / "mcp.json").write_text(
        json.dumps(
            {
                "mcpServers": {
                    "user": {"url": "https://ada:pw@h.example:8443/mcp#x"},
                    "odd": {"url": "https://[oops"},
                    "old": {"url": "ftp://h.example"},
                    "env": {"url": "${env:URL}"},
                    "own": {"url": "http://127.0.0.1:3100/x", "headers": {"X-Harbor-Key": "k"}},
                    "no": 1,
                }
            }
        )
    )
    found = {each.name: each for each in remote_servers(host("cursor"), environ, "linux")}
    assert set(found) == {"user", "odd", "old", "env"}
    assert all(each.refused and not each.url for each in found.values())
    assert "pw" not in repr(found)


@pytest.mark.parametrize(
    ("entry", "server"),
    [
        ({"command": "/x/harbor", "args": ["bridge", "linear"]}, "linear"),
        ({"command": r"C:\x\Harbor.exe", "args": ["run", "files"]}, "files"),
        ({"command": "/py", "args": ["-P", "-m", "harbor_oauth", "bridge", "a"]}, "a"),
        ({"url": "http://127.0.0.1:1/a", "headers": {"X-Harbor-Key": "k"}}, "a"),
        ({"command": "/x/harbor", "args": ["--verbose", "bridge", "linear"]}, None),
        ({"command": "/x/harbor", "args": ["token", "linear"]}, None),
        ({"command": "/x/harbour", "args": ["bridge", "linear"]}, None),
        ({"command": "/py", "args": ["-m", "harbor_oauth_slack", "bridge", "a"]}, None),
        ({"command": "/x/harbor", "args": "bridge linear"}, None),
        ({"url": "http://127.0.0.1:1/a", "headers": {"Authorization": "k"}}, None),
        ("harbor", None),
    ],
)
def test_own_entries_are_told_from_others(entry: object, server: str | None) -> None:
    """By the words that start Harbor, or the gateway's header."""
    assert host("cursor").served(entry) == server

"""Writing docked servers into config.toml."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest

from harbor_oauth.errors import ConfigurationError, ServerNotFoundError
from harbor_oauth.fleet.config import add_server, check_writable, remove_server
from harbor_oauth.settings import ServerEntry, Settings, load_settings

HAND_WRITTEN = """\
# mine
version = 1

[harbor]
vault = "keyfile"  # on the stick
unknown = [1,
  2]

[servers.files]  # the one I use
command = "npx"
args = ["-y", "server"]
timeout = 30
"""

ENTRY = ServerEntry(
    name="wiki",
    url="https://wiki.example/mcp",
    grant="wiki",
    headers={"X-Api-Key": "vault:wiki-key"},
    env={"MODE": "a 'quoted' \"value\""},
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def settings(home: Path, text: str | None = None) -> Settings:
    if text is not None:
        home.mkdir(mode=0o700, exist_ok=True)
        (home / "config.toml").write_bytes(text.encode())
    return load_settings({}, home=home)


def test_a_first_server_makes_a_private_file_with_a_version(home: Path) -> None:
    """The file has version 1 and mode 0600, in a directory of mode 0700."""
    add_server(settings(home), ENTRY)
    path = home / "config.toml"
    assert tomllib.loads(path.read_text())["version"] == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert settings(home).servers == {"wiki": ENTRY}


def test_what_was_written_by_hand_stays(home: Path) -> None:
    """Comments, order, unknown keys and layout survive an addition and a removal."""
    add_server(settings(home, HAND_WRITTEN), ENTRY)
    assert (home / "config.toml").read_text().startswith(HAND_WRITTEN)
    remove_server(settings(home), "wiki")
    assert (home / "config.toml").read_text().rstrip() == HAND_WRITTEN.rstrip()


def test_unknown_keys_of_a_server_stay_when_it_is_written_again(home: Path) -> None:
    """Only the members this version knows are replaced."""
    before = settings(home, HAND_WRITTEN)
    add_server(before, ServerEntry(name="files", command="uvx", grant="files"))
    written = tomllib.loads((home / "config.toml").read_text())["servers"]["files"]
    assert written == {"command": "uvx", "grant": "files", "timeout": 30}
    assert "# the one I use" in (home / "config.toml").read_text()


def test_line_ends_stay(home: Path) -> None:
    """A file with CRLF keeps it where nothing was added."""
    add_server(settings(home, HAND_WRITTEN.replace("\n", "\r\n")), ENTRY)
    assert (
        (home / "config.toml").read_bytes().startswith(HAND_WRITTEN.replace("\n", "\r\n").encode())
    )


@pytest.mark.parametrize(
    "text",
    [
        'servers = {a = {url = "https://a.example/mcp"}}\n',
        'servers.a.url = "https://a.example/mcp"\n',
        '[servers]\na = {url = "https://a.example/mcp"}\n',
        '[servers]\na.url = "https://a.example/mcp"\n',
        '[servers.a]\nurl = "https://a.example/mcp"\n[harbor]\n[servers.b]\ncommand = "b"\n',
    ],
)
def test_other_layouts_are_extended_or_refused_never_damaged(home: Path, text: str) -> None:
    """However the servers are spelled, each one means the same afterwards, or nothing changed."""
    before = settings(home, text)
    try:
        add_server(before, ENTRY)
    except ConfigurationError:
        assert (home / "config.toml").read_text() == text
    else:
        assert settings(home).servers == {**before.servers, "wiki": ENTRY}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("version = 2\n", "version 2"),
        ("version = 1\n[servers.x\n", "not valid TOML"),
        ('[servers.x]\nurl = "https://a.example"\ncommand = "b"\n', "either `url` or `command`"),
        ("servers = 3\n", "not a table"),
    ],
)
def test_a_file_that_is_broken_or_newer_is_not_written(home: Path, text: str, reason: str) -> None:
    """The refusal names the reason, and every byte stays."""
    good = settings(home, "version = 1\n")
    (home / "config.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=reason):
        add_server(good, ENTRY)
    with pytest.raises(ConfigurationError, match=reason):
        remove_server(good, "x")
    with pytest.raises(ConfigurationError, match=reason):
        check_writable(good)
    assert (home / "config.toml").read_text() == text


def test_a_server_that_changed_meanwhile_is_not_overwritten(home: Path) -> None:
    """What was decided on older settings does not count against newer ones."""
    older = settings(home, HAND_WRITTEN)
    add_server(older, ENTRY)
    with pytest.raises(ConfigurationError, match="changed by another program"):
        add_server(older, ServerEntry(name="wiki", url="https://evil.example/mcp"))
    assert settings(home).servers["wiki"] == ENTRY


def test_two_that_add_different_servers_both_stay(home: Path) -> None:
    """An older reading of the file does not undo what came after it."""
    older = settings(home, HAND_WRITTEN)
    add_server(older, ENTRY)
    add_server(older, ServerEntry(name="maps", command="maps"))
    assert set(settings(home).servers) == {"files", "wiki", "maps"}


def test_removing_what_is_not_there_is_an_error(home: Path) -> None:
    """The error names the server."""
    with pytest.raises(ServerNotFoundError, match="'nope'"):
        remove_server(settings(home, HAND_WRITTEN), "nope")


def test_asking_whether_it_can_be_written_writes_nothing(home: Path) -> None:
    """The file is not made, or not touched."""
    check_writable(settings(home))
    assert not (home / "config.toml").exists()
    check_writable(settings(home, HAND_WRITTEN))
    assert (home / "config.toml").read_text() == HAND_WRITTEN


def test_a_link_in_place_of_the_file_is_refused(home: Path, tmp_path: Path) -> None:
    """Nothing is written through it."""
    target = tmp_path / "elsewhere"
    target.write_text("version = 1\n")
    home.mkdir(mode=0o700)
    (home / "config.toml").symlink_to(target)
    with pytest.raises(ConfigurationError, match="symbolic link"):
        add_server(settings(home), ENTRY)
    assert target.read_text() == "version = 1\n"


def test_a_directory_open_to_others_is_refused(home: Path) -> None:
    """The text says what to do about it."""
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    with pytest.raises(ConfigurationError, match="chmod 700"):
        add_server(settings(home), ENTRY)

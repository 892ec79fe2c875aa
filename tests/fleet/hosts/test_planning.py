"""Harbor's entries in files as their hosts' documentation shows them."""

from __future__ import annotations

import json
import re
import tomllib
from functools import partial
from pathlib import Path

import pytest

from harbor_oauth.errors import ConfigurationError, ServerNotFoundError
from harbor_oauth.fleet.hosts import (
    HOSTS,
    GatewayEntry,
    Host,
    ProgramEntry,
    apply,
    host,
    plan,
    plan_removal,
)
from harbor_oauth.secret import Secret

SAMPLES = Path(__file__).with_name("samples")
LINEAR = ProgramEntry("linear", "/opt/harbor/bin/harbor", ("bridge", "linear"))
SLACK = ProgramEntry(
    "slack",
    "/usr/bin/python3",
    ("-P", "-m", "harbor_oauth", "bridge", "slack"),
    {"HARBOR_HOME": "/srv/harbor home", "HARBOR_VAULT": "keyfile"},
)
KEY = "hgw_" + "k" * 43
GATEWAY = GatewayEntry("linear", "http://127.0.0.1:3100/linear", Secret(KEY))

hosts = pytest.mark.parametrize("known", HOSTS, ids=lambda known: known.name)


def sample(known: Host) -> str:
    return next(SAMPLES.glob(f"{known.name}.*")).read_bytes().decode()


def meaning(known: Host, text: str) -> dict[str, object]:
    value = known.language.parse(text)
    assert isinstance(value, dict)
    return value


def comments(text: str) -> list[str]:
    return re.findall(r"(?://|#|/\*) .*", text)


@hosts
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_connect_and_disconnect_give_the_file_back(known: Host, ends: str, tmp_path: Path) -> None:
    """Two entries come, everything else keeps its meaning and its comments; then byte for byte."""
    path = tmp_path / "file"
    before = sample(known).replace("\n", ends)
    path.write_bytes(before.encode())

    apply(plan(known, [LINEAR, SLACK], path=path))
    text = path.read_bytes().decode()
    expected = meaning(known, before)
    section = expected[known.section]
    assert isinstance(section, dict)
    section |= {"linear": known.shown(LINEAR), "slack": known.shown(SLACK)}
    assert meaning(known, text) == expected
    assert comments(text) == comments(before)
    assert ("\r" in text) == (ends == "\r\n")
    assert not re.search(r"(?<!\r)\n", text) or ends == "\n"

    assert plan(known, [LINEAR, SLACK], path=path).empty
    apply(plan_removal(known, path=path))
    assert path.read_bytes().decode() == before


@hosts
@pytest.mark.parametrize("text", [None, "", "\n"])
def test_a_file_that_is_not_there_is_made(known: Host, text: str | None, tmp_path: Path) -> None:
    """No file and an empty one get the entry alone, and lose it again."""
    path = tmp_path / "new" / "file"
    if text is not None:
        path.parent.mkdir()
        path.write_text(text)
    apply(plan(known, [LINEAR], path=path))
    assert meaning(known, path.read_text()) == {known.section: {"linear": known.shown(LINEAR)}}
    apply(plan_removal(known, ["linear"], path=path))
    rest = path.read_text()
    assert not rest.strip() or meaning(known, rest) == {known.section: {}}


@hosts
def test_entries_are_mended_not_doubled(known: Host, tmp_path: Path) -> None:
    """A new path comes into the old entry; what a person set there stays, renamed or not."""
    path = tmp_path / "file"
    old = ProgramEntry("linear", "/old/harbor", ("bridge", "linear"), {"HARBOR_HOME": "/old"})
    shown = {**known.shown(old), "timeout": 9}
    shown["env"] = {"LANG": "C", **shown["env"]}
    path.write_text(known.language.put("", (known.section, "work"), shown))

    change = plan(known, [LINEAR], path=path)
    assert change.entries == {"work": "linear"}
    apply(change)
    assert meaning(known, path.read_text())[known.section] == {
        "work": {**known.shown(LINEAR), "timeout": 9, "env": {"LANG": "C"}}
    }
    apply(plan_removal(known, ["linear"], path=path))
    assert "work" not in path.read_text()


def test_comments_in_an_entry_survive_its_mending(tmp_path: Path) -> None:
    """Only the members that differ are written."""
    path = tmp_path / "file"
    before = """{"servers": {
  "linear": {
    "command": "/old/harbor", // where it is
    "type": "stdio",
    "args": ["bridge", "linear"], // as ever
    "dev": 1
  }
}}
"""
    path.write_text(before)
    apply(plan(host("vscode"), [LINEAR], path=path))
    assert path.read_text() == before.replace("/old/harbor", "/opt/harbor/bin/harbor")


@hosts
def test_an_entry_of_another_is_left_alone(known: Host, tmp_path: Path) -> None:
    """It is refused by name, and replaced only when that is asked for."""
    path = tmp_path / "file"
    before = known.language.put("", (known.section, "linear"), {"url": "https://mcp.example/mcp"})
    path.write_text(before)
    with pytest.raises(ConfigurationError, match="'linear' that is not Harbor's") as raised:
        plan(known, [LINEAR], path=path)
    assert "--replace" in raised.value.next_step
    with pytest.raises(ServerNotFoundError, match=r"no entry of Harbor's for 'linear'"):
        plan_removal(known, ["linear"], path=path)
    assert path.read_text() == before
    apply(plan(known, [LINEAR], path=path, replace=True))
    assert meaning(known, path.read_text()) == {known.section: {"linear": known.shown(LINEAR)}}


@pytest.mark.parametrize("name", ["claude-code", "codex", "vscode", "cursor"])
def test_an_entry_for_the_gateway(name: str, tmp_path: Path) -> None:
    """It has the URL and the key, takes the place of the program, and gives it back."""
    known, path = host(name), tmp_path / "file"
    apply(plan(known, [LINEAR], path=path))
    path.chmod(0o644)
    change = plan(known, [GATEWAY], path=path)
    assert KEY not in change.diff
    assert KEY not in repr(change)
    apply(change)
    assert meaning(known, path.read_text())[known.section] == {
        "linear": {
            **dict(known.remote or {}),
            "url": GATEWAY.url,
            known.headers: {"X-Harbor-Key": KEY},
        }
    }
    assert path.stat().st_mode & 0o777 == 0o600
    apply(plan(known, [LINEAR], path=path))
    assert KEY not in path.read_text()
    assert meaning(known, path.read_text())[known.section] == {"linear": known.shown(LINEAR)}


def test_a_host_that_only_starts_programs() -> None:
    """Claude Desktop does not connect to URLs in its file, so none is written."""
    with pytest.raises(ConfigurationError, match="starts programs only"):
        host("claude-desktop").shown(GATEWAY)


BROKEN = [
    ("claude-code", '{\n  "a": 1,\n  oops\n}\n', "line 3, column 3"),
    ("claude-desktop", '{\n  "a": 1 // no comments here\n}\n', "line 2, column 10"),
    ("claude-code", '{"mcpServers": {},}', "line 1, column 1"),
    ("claude-code", '{"mcpServers": []}', "`mcpServers` is no table"),
    ("cursor", "[]", "it is no table"),
    ("vscode", '{\n  // fine\n  "servers": {"a" 1}\n}', "line 3, column 19"),
    ("vscode", "{ /* no end", "line 1"),
    ("cursor", "[" * 20_000, "nested too deeply"),
    ("codex", "a = 1\nb = \n", "line 2, column 5"),
    ("codex", 'mcp_servers = "none"\n', "`mcp_servers` is no table"),
]


@pytest.mark.parametrize(("name", "text", "place"), BROKEN)
def test_a_broken_file_is_refused_with_its_line(
    name: str, text: str, place: str, tmp_path: Path
) -> None:
    """The message says where, the file stays, and nothing of it is repeated."""
    path = tmp_path / "file"
    path.write_text(text)
    for change in (partial(plan, host(name), [LINEAR]), partial(plan_removal, host(name))):
        with pytest.raises(ConfigurationError, match=re.escape(place)) as raised:
            change(path=path)
        assert str(path) in raised.value.message
        assert "nothing was changed" in raised.value.next_step
        assert raised.value.__cause__ is None
        assert raised.value.__context__ is None
    assert path.read_text() == text


@pytest.mark.parametrize(
    "text",
    [
        'mcp_servers = { docs = { command = "npx" } }\n',
        'mcp_servers.linear = { command = "/old/harbor", args = ["bridge", "linear"] }\n',
        "[mcp_servers]\nlinear.command = 'harbor'\nlinear.args = ['bridge', 'linear']\n",
    ],
)
def test_toml_that_cannot_be_edited_is_refused(text: str, tmp_path: Path) -> None:
    """A layout that an edit would change the meaning of is told from one that it would not."""
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="cannot be edited"):
        plan(host("codex"), [LINEAR], path=path)
    assert path.read_text() == text


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    """A directory, and bytes that are no text, with their line."""
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        plan(host("cursor"), [LINEAR], path=tmp_path)
    (tmp_path / "file").write_bytes(b'{\n"a": "\xff"}')
    with pytest.raises(ConfigurationError, match="line 2 is not UTF-8"):
        plan(host("cursor"), [LINEAR], path=tmp_path / "file")


def test_a_file_that_changed_since_is_not_written(tmp_path: Path) -> None:
    """What another program wrote between plan and apply is kept."""
    path = tmp_path / "file"
    path.write_text("{}")
    change = plan(host("cursor"), [LINEAR], path=path)
    path.write_text('{"new": 1}')
    with pytest.raises(ConfigurationError, match="changed by another program"):
        apply(change)
    assert path.read_text() == '{"new": 1}'


def test_links_modes_and_marks_are_kept(tmp_path: Path) -> None:
    """A link stays one, a mode stays, and so does a byte order mark."""
    real, link = tmp_path / "dotfiles" / "mcp.json", tmp_path / "mcp.json"
    real.parent.mkdir()
    real.write_bytes(b"\xef\xbb\xbf{}\n")
    real.chmod(0o640)
    link.symlink_to(real)
    apply(plan(host("cursor"), [LINEAR], path=link))
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert real.read_bytes().startswith(b"\xef\xbb\xbf{\n")
    assert json.loads(real.read_text(encoding="utf-8-sig"))["mcpServers"]["linear"]
    assert [path.name for path in real.parent.iterdir()] == ["mcp.json"]


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """The reason is told, and nothing is left behind."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        apply(plan(host("cursor"), [LINEAR], path=Path("/proc/none/mcp.json")))


@hosts
def test_a_diff_shows_no_secret_of_others(known: Host, tmp_path: Path) -> None:
    """The entries of others are in sight of ours; their values are blanked out, ours are not."""
    path = tmp_path / "file"
    path.write_text(
        known.language.put(
            sample(known), (known.section, "near"), {"command": "x", "env": {"T": "tok-0123456789"}}
        )
    )
    diff = plan(known, [SLACK], path=path).diff
    assert diff.startswith(f"--- {path}\n+++ {path}\n@@ ")
    assert "tok-0123456789" not in diff
    assert "-token-" not in diff
    assert "/usr/bin/python3" in diff
    assert "/srv/harbor home" in diff
    plain = plan(known, [SLACK], path=tmp_path / "none").diff
    assert plain.startswith(f"--- /dev/null\n+++ {tmp_path / 'none'}\n")


def test_codex_takes_what_was_written(tmp_path: Path) -> None:
    """Values with quotes and backslashes come back from TOML as they went in."""
    path = tmp_path / "config.toml"
    odd = ProgramEntry("a", r"C:\Program Files\h\"x", ("bridge", "a"), {"HARBOR_HOME": r"C:\new"})
    apply(plan(host("codex"), [odd], path=path))
    assert tomllib.loads(path.read_text())["mcp_servers"]["a"] == host("codex").shown(odd)

"""`harbor dock --from HOST`."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.testing import McpServer

Cli = Callable[..., Any]


@pytest.fixture
def cursor(
    tmp_path: Path, make_harbor: Callable[..., Harbor], mcp: McpServer
) -> Callable[[str], Harbor]:
    """Write Cursor's file with one server that there is and one that there is not."""

    def write(gone: str) -> Harbor:
        servers = {
            "wiki": {"url": f"{mcp.url}", "timeout": 60},
            "keyed": {"url": f"{mcp.url}?project=a&key=cnry-secret"},
            "headed": {"url": mcp.url, "headers": {"Authorization": "cnry", "X-Read-Only": "1"}},
            "gone": {"url": gone},
            "local": {"command": "true"},
        }
        (tmp_path / ".cursor").mkdir()
        (tmp_path / ".cursor" / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
        key = str(tmp_path / "home" / "vault.key")
        environ = {
            "HOME": str(tmp_path),
            "HARBOR_VAULT": "keyfile",
            "HARBOR_VAULT_KEY_FILE": key,
        }
        return make_harbor(environ=environ)

    return write


def test_all_of_a_host_s_servers(cli: Cli, cursor: Callable[[str], Harbor]) -> None:
    """One that does not answer is told, and the others are docked; no secret is taken over."""
    with socket.socket() as silent:  # bound, and listening to nobody
        silent.bind(("127.0.0.1", 0))
        harbor = cursor(f"http://127.0.0.1:{silent.getsockname()[1]}/mcp")
        _all_but_one(cli, harbor)


def _all_but_one(cli: Cli, harbor: Harbor) -> None:
    ran = cli("dock", "--from", "cursor", "--yes", with_=harbor)
    assert ran.out.splitlines() == ["Docked wiki."]
    assert ran.code == 1
    assert "keyed is left out: its parameter 'key' may be a secret" in ran.err
    assert "harbor chest set keyed-header" in ran.err
    assert "/mcp?project=a' -H 'HEADER: vault:keyed-header'" in ran.err
    assert "headed is left out: its header 'Authorization' may be a secret" in ran.err
    assert "-H 'X-Read-Only: 1' -H 'Authorization: Bearer vault:headed-authorization'" in ran.err
    assert "gone: " in ran.err
    assert "harbor connect cursor wiki --replace" in ran.err
    assert "cnry" not in ran.out + ran.err
    assert list(harbor.settings.servers) == ["wiki"]
    again = cli("dock", "--from", "cursor", "--yes", with_=harbor)
    assert "Docked" not in again.out


def test_without_a_terminal_nothing_is_docked_unasked(
    cli: Cli, cursor: Callable[[str], Harbor]
) -> None:
    """The lines to type are told instead."""
    harbor = cursor("https://gone.example/mcp")
    ran = cli("dock", "--from", "cursor", with_=harbor)
    assert ran.out == ""
    assert "harbor dock --name gone --url https://gone.example/mcp" in ran.err
    assert list(harbor.settings.servers) == []


def test_a_person_is_asked_for_each(
    cli: Cli,
    cursor: Callable[[str], Harbor],
    answers: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No means no."""
    harbor = cursor("https://gone.example/mcp")
    monkeypatch.setattr("harbor_oauth.cli.from_host.interactive", lambda: True)
    asked = answers("y", "n")
    ran = cli("dock", "--from", "cursor", with_=harbor)
    assert ran.out.splitlines() == ["Docked wiki."]
    assert [question.split()[1] for question in asked] == ["wiki", "gone"]


def test_a_host_without_a_file(
    cli: Cli, make_harbor: Callable[..., Harbor], tmp_path: Path
) -> None:
    """Says that there is none of them, and changes nothing."""
    ran = cli(
        "dock",
        "--from",
        "cursor",
        with_=make_harbor(environ={"HOME": str(tmp_path), "HARBOR_VAULT": "memory"}),
    )
    assert "Cursor has no remote server in its file." in ran.err


def test_a_host_that_nobody_knows(cli: Cli, harbor: Harbor) -> None:
    """The known ones are named."""
    ran = cli("dock", "--from", "emacs", with_=harbor)
    assert ran.code == 1
    assert "claude-code" in ran.err

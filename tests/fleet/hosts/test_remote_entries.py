"""What is taken over from a host's file means here what it means there, or it is left out."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.fleet.docking import dock_url
from harbor_oauth.fleet.hosts import HOSTS, ProgramEntry, RemoteServer, host, plan, remote_servers
from harbor_oauth.fleet.hosts.remote_entries import read_remote

CODEX, CURSOR = host("codex"), host("cursor")

# Each parameter and path that the vendors document for their servers' URLs.
DOCUMENTED = [
    "https://mcp.supabase.com/mcp?project_ref=abcdefghijklmnopqrst",
    "https://mcp.supabase.com/mcp?read_only=true",
    "https://mcp.supabase.com/mcp?features=database,docs",
    "https://mcp.supabase.com/mcp?project_ref=abc&read_only=true&features=account",
    "https://mcp.neon.tech/mcp?readonly=true",
    "https://mcp.neon.tech/mcp?projectId=rough-salad-01234567",
    "https://mcp.neon.tech/mcp?category=querying&category=schema",
    "https://mcp.neon.tech/mcp?category=neon_auth,docs&readonly=true",
    "https://mcp.cloudflare.com/mcp?codemode=false",
    "https://stack.mcp.cloudflare.com/mcp?libs=cloudflare,hono,vite",
    "https://mcp.atlassian.com/v2/mcp?tools=all",
    "https://mcp.vercel.com/TEAM/PROJECT",
    "https://mcp.sentry.dev/mcp/ORG/PROJECT",
    "https://mcp.linear.app/mcp/readonly",
    "https://mcp.stripe.com/",
    "https://mcp.notion.com/mcp",
    "https://mcp.slack.com/mcp",
    "https://mcp.figma.com/mcp",
    "https://drivemcp.googleapis.com/mcp/v1",
]
SECRET = [
    "api_key=1",
    "apiKey=1",
    "key=1",
    "access_token=1",
    "X-Api-Key=1",
    "token=1",
    "clientSecret=1",
    "sig=1",
    "code=1",
    "password=",
    "profile=sk-0123456789",
    "x=eyJhbGciOiJub25lIn0.e30.",
    "u=Aa0bcdefghijklmnopqrstuvwxyz",
    "h=" + "0a" * 20,
]


def read(members: Any, known: Any = CURSOR, name: str = "wiki") -> RemoteServer:
    found = read_remote(known, name, members)
    assert found is not None
    return found


@pytest.mark.parametrize("url", DOCUMENTED)
@pytest.mark.parametrize("known", HOSTS, ids=lambda known: known.name)
def test_a_documented_url_is_taken_over_whole(url: str, known: Any) -> None:
    """As an entry with a URL, and through mcp-remote; the access is the one it had."""
    remote = {"type": "http", "url": url}
    proxied = {"command": "npx", "args": ["-y", "mcp-remote@latest", url, "3334"]}
    assert [read(each, known).url for each in (remote, proxied)] == [url, url]


@pytest.mark.parametrize("url", DOCUMENTED)
def test_it_is_docked_whole(url: str, harbor: Harbor) -> None:
    """Nothing on the way to `config.toml` shortens it."""
    dock_url(harbor, "narrow", read({"url": url}).url, skip_auth=True)
    assert harbor.settings.servers["narrow"].url == url


@pytest.mark.parametrize("url", ["https://mcp.supabase.com/mcp?project_ref=abc&read_only=true"])
def test_a_provider_s_name_takes_its_server_narrowed(url: str, harbor: Harbor) -> None:
    """A query may narrow a provider's server; it does not make it another's."""
    dock_url(harbor, "supabase", url, skip_auth=True)
    assert harbor.settings.servers["supabase"].url == url


@pytest.mark.parametrize("query", SECRET)
def test_a_url_with_what_may_be_a_secret_is_left_out(query: str) -> None:
    """What narrows it stays in the command that is proposed, the secret does not."""
    found = read({"url": f"https://h.example/mcp?read_only=true&{query}"})
    assert (found.url, bool(found.refused)) == ("", True)
    name, _, value = query.partition("=")
    stored, dock = found.next_step.splitlines()
    assert stored.startswith("harbor chest set wiki-")
    words = shlex.split(dock)
    assert words[words.index("--url") + 1] == "https://h.example/mcp?read_only=true"
    assert len(value) < 8 or value not in repr(found)
    assert name in found.refused


@pytest.mark.parametrize(
    ("members", "reason", "step"),
    [
        ({"url": "https://h/mcp", "disabled": True}, "switched off", "--url https://h/mcp"),
        ({"url": "https://h/mcp", "enabled": False}, "switched off", "--url https://h/mcp"),
        ({"url": "https://h/mcp", "enabled_tools": ["a"]}, "'enabled_tools'", ""),
        ({"url": "https://h/mcp", "enabled_tools": []}, "'enabled_tools'", ""),
        ({"url": "https://h/mcp", "disabled_tools": ["a"]}, "'disabled_tools'", ""),
        ({"url": "https://h/mcp", "tools": ["a"]}, "'tools'", ""),
        ({"url": "https://h/mcp", "alwaysAllow": ["a"]}, "'alwaysAllow'", "--url https://h/mcp"),
        ({"url": "https://h/mcp", "scopes": ["a", "b"]}, "scopes", "--scope a --scope b"),
        ({"url": "https://h/mcp", "oauth": {"clientId": "x"}}, "'oauth'", "--url https://h/mcp"),
        (
            {"url": "https://h/mcp", "bearer_token_env_var": "X"},
            "names a secret",
            "-H 'Authorization: Bearer vault:wiki-authorization'",
        ),
        (
            {"url": "https://h/mcp", "env_http_headers": {"X-Team": "TEAM", "X-Api-Key": "K"}},
            "'X-Api-Key' may be a secret",
            "-H 'X-Team: VALUE' -H 'X-Api-Key: vault:wiki-x-api-key'",
        ),
        (
            {"url": "https://h/mcp", "env_http_headers": {"X-Team": "TEAM"}},
            "${TEAM}",
            "-H 'X-Team: VALUE'",
        ),
        ({"url": "https://h/${PROJECT}/mcp"}, "${PROJECT}", "--url URL"),
        ({"url": "https://h/mcp?p=${env:P}"}, "${env:P}", "--url URL"),
        (
            {"url": "https://h/mcp", "headers": {"X-Team": "${input:team}"}},
            "${input:team}",
            "-H 'X-Team: VALUE'",
        ),
        (
            {"url": "https://h/mcp", "headers": {"X-Api-Key": "1", "X-Read-Only": "true"}},
            "'X-Api-Key' may be a secret",
            "-H 'X-Read-Only: true' -H 'X-Api-Key: vault:wiki-x-api-key'",
        ),
        ({"url": "https://h/mcp", "headers": {"X-A": "vault:b"}}, "names a secret", ""),
        ({"url": "https://u:p@h/mcp?a=b"}, "a user or a password", "--url 'https://h/mcp?a=b'"),
        ({"url": "https://h/mcp?a=b#c"}, "fragment", "--url 'https://h/mcp?a=b'"),
        (
            {"command": "npx", "args": ["mcp-remote", "https://h/mcp", "--ignore-tool", "x"]},
            "--ignore-tool",
            "",
        ),
        (
            {"command": "npx", "args": ["mcp-remote", "https://h/mcp", "--header", "X-Key: 1"]},
            "'X-Key' may be a secret",
            "vault:wiki-x-key",
        ),
    ],
)
def test_an_entry_with_rules_of_its_own_is_left_out(
    members: dict[str, Any], reason: str, step: str
) -> None:
    """With the reason, and a command that is not wider where there is one."""
    found = read(members, CODEX)
    assert found.url == ""
    assert reason in found.refused
    assert step in found.next_step


def test_headers_that_are_no_secret_are_taken_over() -> None:
    """They may be what keeps an access to reading."""
    found = read({"url": "https://h/mcp", "headers": {"X-Read-Only": "true"}})
    assert (found.url, found.headers) == ("https://h/mcp", {"X-Read-Only": "true"})


def test_filters_that_filter_nothing_are_none() -> None:
    """Nothing is lost with them."""
    members = {"url": "https://h/mcp", "disabled_tools": [], "enabled": True, "timeout": 9}
    assert read(members, CODEX).refused == ""


@pytest.mark.parametrize(
    ("entry", "name"),
    [("Neon", "neon"), ("My Wiki_2", "my-wiki-2"), ("Café", "cafe"), ("日本", "")],
)
def test_a_name_is_taken_over_in_the_letters_of_a_server_s(entry: str, name: str) -> None:
    """Where it has none of them, the command asks for one."""
    found = read({"url": "https://h/mcp"}, name=entry)
    assert (found.name, found.entry) == (name, entry)
    assert bool(found.refused) == (not name)
    assert name or "--name NAME" in found.next_step


def test_two_entries_that_become_one_name(tmp_path: Path) -> None:
    """The first is taken over; the second is left out and not merged into it."""
    (tmp_path / ".cursor").mkdir()
    servers = {"wiki": {"url": "https://a/mcp"}, "Wiki": {"url": "https://b/mcp"}}
    (tmp_path / ".cursor" / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    first, second = remote_servers(CURSOR, {"HOME": str(tmp_path)}, "linux")
    assert (first.url, second.url) == ("https://a/mcp", "")
    assert "another entry" in second.refused


def test_taking_the_place_of_an_entry_keeps_its_switches(tmp_path: Path) -> None:
    """One that is off stays off, and one that is kept to some tools stays so."""
    path = tmp_path / "mcp.json"
    rules = {"disabled": True, "alwaysAllow": ["a"], "disabled_tools": ["b"]}
    theirs = {"url": "https://h/mcp", "headers": {"Authorization": "x"}, **rules}
    path.write_text(json.dumps({"mcpServers": {"wiki": theirs}}))
    entry = ProgramEntry("wiki", "/bin/harbor-oauth", ("bridge", "wiki"))
    written = json.loads(plan(CURSOR, [entry], path=path, replace=True).after)
    made = written["mcpServers"]["wiki"]
    assert {key: made[key] for key in rules} == rules
    assert set(made) == {"type", "command", "args", *rules}


def test_docking_again_does_not_widen(harbor: Harbor) -> None:
    """A server that is docked narrowed is not replaced by a wider one of its name."""
    url = "https://h.example/mcp?read_only=true"
    narrow = dock_url(harbor, "narrow", url, skip_auth=True).entry
    with pytest.raises(Exception, match="docked already, and differs"):
        dock_url(harbor, "narrow", "https://h.example/mcp", skip_auth=True)
    assert harbor.settings.servers["narrow"] == attrs.evolve(narrow, url=url)

"""The twelve providers of this tree, side by side; each one's own facts are in its own tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harbor_oauth.providers import OAuthProvider
from harbor_oauth.providers.names import SHIPPED_PROVIDERS
from harbor_oauth.registry import DISTRIBUTION_PREFIX, Registry
from harbor_oauth.testing._provider_answers import load_answers

ROOT = Path(__file__).parent.parent
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
NAMES = [folder.name.removeprefix(DISTRIBUTION_PREFIX) for folder in PLUGINS]

# As documented, word for word: provider, servers, flow.
TABLE = """
| Slack | Slack | OAuth 2.0 |
| Atlassian | Atlassian (Jira, Confluence) | OAuth 2.0 + PKCE |
| Linear | Linear | OAuth 2.0 + PKCE |
| Notion | Notion | OAuth 2.0 |
| Sentry | Sentry | OAuth 2.0 |
| Figma | Figma | OAuth 2.0 + PKCE |
| Stripe | Stripe | OAuth 2.0 |
| Vercel | Vercel | OAuth 2.0 |
| Supabase | Supabase | OAuth 2.0 + PKCE |
| Cloudflare | Cloudflare | OAuth 2.0 + PKCE |
| Neon | Neon | OAuth 2.0 + PKCE |
| Google | Google Workspace | OAuth 2.0 + PKCE |
"""
API_FIRST = {"figma", "google"}
A_DATE = re.compile(r"\b2026-\d\d-\d\d\b")


def provider(name: str) -> OAuthProvider:
    found = Registry().provider(name)
    assert isinstance(found, OAuthProvider)
    return found


def folder(name: str) -> Path:
    return ROOT / "plugins" / f"{DISTRIBUTION_PREFIX}{name}"


def test_there_are_twelve() -> None:
    """The names that are kept for the project's own plugins, each with its plugin."""
    assert sorted(NAMES) == sorted(SHIPPED_PROVIDERS)
    assert len(NAMES) == 12


def test_the_documented_table() -> None:
    """Provider, servers and flow, literally."""
    rows = {
        f"| {each.display_name} | {each.servers_label} | {each.flow.value} |"
        for each in map(provider, NAMES)
    }
    assert rows == set(TABLE.split("\n")) - {""}


@pytest.mark.parametrize("name", NAMES)
def test_the_entry_point(name: str) -> None:
    """One installed distribution offers it, the one that its name is reserved for."""
    claims = [each for each in Registry().installed() if each.name == name]
    assert [each.distribution for each in claims] == [f"{DISTRIBUTION_PREFIX}{name}"]
    module = f"harbor_oauth_{name}"
    assert claims[0].entry_point.value == f"{module}:PROVIDER"
    assert provider(name) is sys.modules[module].__dict__["PROVIDER"]


@pytest.mark.parametrize("name", NAMES)
def test_the_default_resource(name: str) -> None:
    """`mcp` where the vendor serves everybody's MCP clients best, `api` for two; both are there."""
    names = [each.name for each in provider(name).resources]
    assert names[0] == ("api" if name in API_FIRST else "mcp")
    assert {"mcp", "api"} <= set(names)


@pytest.mark.parametrize("name", NAMES)
def test_the_default_server(name: str) -> None:
    """`harbor dock NAME` has a server, of the default resource or one that takes its token."""
    native = provider(name).native_servers[0]
    assert native.name == name
    assert native.url or native.command


@pytest.mark.parametrize("name", NAMES)
def test_the_kit_is_run(name: str) -> None:
    """Its tests hold it to `ProviderConformance`, with answers of each kind on record."""
    tests = [path.read_text(encoding="utf-8") for path in folder(name).glob("tests/test_*.py")]
    held = any("(ProviderConformance):" in text for text in tests)
    assert held, f"no test class in {folder(name)}/tests is a ProviderConformance"
    kinds = {
        each.kind for each in load_answers(folder(name) / "tests" / "responses", provider(name))
    }
    assert {"token", "refresh", "error"} <= kinds


@pytest.mark.parametrize("name", NAMES)
def test_the_readme(name: str) -> None:
    """How to register, and dated facts; short enough to be read; what it tells to type is there."""
    text = (folder(name) / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {DISTRIBUTION_PREFIX}{name}\n")
    assert len(text.splitlines()) < 90
    assert A_DATE.search(text), "no date"
    assert f"harbor dock {name}" in text
    for resource in provider(name).resources:
        if resource.registration_url is not None and resource.name in {"api", "mcp"}:
            assert f"oauth:{name}" in text, "no word of how to store a client"


@pytest.mark.parametrize("name", NAMES)
def test_no_client_of_anybody_is_shipped(name: str) -> None:
    """Nothing in the code looks like a client id or a secret: those are brought by others."""
    (module,) = folder(name).glob("harbor_oauth_*/__init__.py")
    text = module.read_text(encoding="utf-8")
    assert not re.search(r"client_(id|secret)\s*=\s*[\"']", text)
    assert not re.search(r"\.apps\.googleusercontent\.com|\b(oac|cl|oacli|ca)_[A-Za-z0-9]{8}", text)


def test_the_page_about_the_requests_is_current(tmp_path: Path) -> None:
    """docs/providers/README.md is what scripts/provider_table.py writes, so every change shows."""
    page = tmp_path / "README.md"
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "provider_table.py"), str(page)],
        env={**os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    current = ROOT / "docs" / "providers" / "README.md"
    assert page.read_text(encoding="utf-8") == current.read_text(encoding="utf-8")

"""Where a stored secret may be sent."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import ConfigurationError
from harbor_oauth.fleet.approvals import approve, check_approved
from harbor_oauth.fleet.docking import dock_url
from harbor_oauth.fleet.undocking import undock
from harbor_oauth.settings import ServerEntry
from harbor_oauth.testing import McpServer

ENTRY = ServerEntry(
    name="acme",
    url="https://api.acme.example/mcp",
    headers={"X-Api-Key": "vault:acme-key", "X-Team": "blue"},
)


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://evil.example/mcp"},
        {"url": "https://api.acme.example:8443/mcp"},
        {"headers": {"X-Other": "vault:acme-key"}},
        {"headers": {"X-Api-Key": "vault:other-key"}},
        {"headers": {"X-Api-Key": "vault:acme-key", "X-More": "vault:other-key"}},
        {"name": "other"},
    ],
)
def test_what_changed_since_is_refused(harbor: Harbor, change: dict[str, object]) -> None:
    """Another origin, another header or another secret needs a person's word."""
    approve(harbor, ENTRY)
    check_approved(harbor, ENTRY)
    with pytest.raises(ConfigurationError, match="nothing was sent") as refused:
        check_approved(harbor, attrs.evolve(ENTRY, **change))  # type: ignore[arg-type]
    assert "harbor dock --name" in refused.value.next_step


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://API.acme.example/v2"},
        {"headers": {"x-api-key": "vault:acme-key", "X-Team": "green"}},
        {"enabled": False},
    ],
)
def test_what_does_not_matter_may_change(harbor: Harbor, change: dict[str, object]) -> None:
    """A path of the same origin, a literal header, a spelling."""
    approve(harbor, ENTRY)
    check_approved(harbor, attrs.evolve(ENTRY, **change))  # type: ignore[arg-type]
    assert len(harbor.vault.names("approval:")) == 1


def test_a_server_without_stored_secrets_needs_none(harbor: Harbor) -> None:
    """A grant's own record holds its origins."""
    plain = attrs.evolve(ENTRY, headers={"Authorization": "Bearer vault:oauth:acme:access_token"})
    approve(harbor, plain)
    check_approved(harbor, plain)
    assert harbor.vault.names("approval:") == ()


def test_docking_agrees_and_undocking_forgets(
    make_harbor: Callable[..., Harbor], mcp: McpServer
) -> None:
    """Docking the same again agrees to what somebody wrote into the file by hand."""
    harbor = make_harbor()
    harbor.vault.set("acme-key", "canary")
    headers = {"X-Api-Key": "vault:acme-key"}
    entry = dock_url(harbor, "acme", mcp.url, headers=headers).entry
    check_approved(harbor, entry)
    undock(harbor, "acme")
    with pytest.raises(ConfigurationError):
        check_approved(harbor, entry)
    assert harbor.vault.keys() == ("acme-key",)

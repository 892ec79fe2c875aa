"""Providers as data, and the protocol they satisfy."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from harbor_oauth.errors import ConfigurationError, InvalidNameError
from harbor_oauth.providers import (
    AccountLookup,
    NativeServer,
    OAuthProvider,
    Provider,
    Quirks,
    RedirectRule,
    Registration,
    Resource,
    Revocation,
)

MCP = Resource("mcp", ("https://mcp.example.com/mcp",), ("https://mcp.example.com",))
API = Resource("api", (), ("https://api.example.com",))
ACME = OAuthProvider(name="acme", display_name="Acme", resources=(MCP, API))


def test_a_resource_is_found_by_name() -> None:
    """The first one is the default."""
    assert ACME.resource() is MCP
    assert ACME.resource("mcp") is MCP
    assert ACME.resource("api") is API


@pytest.mark.parametrize("name", ["", "MCP", "other"])
def test_an_unknown_resource_names_the_known_ones(name: str) -> None:
    """An empty name is not the default."""
    with pytest.raises(ConfigurationError) as caught:
        ACME.resource(name)
    assert repr(name) in str(caught.value)
    assert "Known: acme/mcp, acme/api." in str(caught.value)


def test_a_resource_may_have_no_server() -> None:
    """The URL is that of the first one."""
    assert MCP.url == "https://mcp.example.com/mcp"
    assert API.url is None


@pytest.mark.parametrize("resources", [(), (MCP, API, MCP)])
def test_resources_have_different_names(resources: tuple[Resource, ...]) -> None:
    """At least one, and none twice."""
    with pytest.raises(ConfigurationError, match="'acme' needs resources"):
        attrs.evolve(ACME, resources=resources)


@pytest.mark.parametrize("name", ["", "Acme", "ac me", "a/b", "a@b", "-a", "a" * 65, "\u0430cme"])
def test_a_name_fits_into_a_grant_name(name: str) -> None:
    """The provider's, and each resource's."""
    with pytest.raises(InvalidNameError):
        attrs.evolve(ACME, name=name)
    with pytest.raises(InvalidNameError):
        attrs.evolve(ACME, resources=(MCP, attrs.evolve(API, name=name)))


def test_the_label_is_the_display_name_unless_given() -> None:
    """A table needs something to show."""
    assert ACME.servers_label == "Acme"
    assert attrs.evolve(ACME, servers_label="Boards").servers_label == "Boards"


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (ACME, "name"),
        (MCP, "allowed_origins"),
        (NativeServer("acme", "mcp"), "url"),
        (RedirectRule(), "host"),
        (Revocation(), "possible"),
        (Quirks(), "token_response"),
        (AccountLookup(lambda _: MCP, lambda _: None), "request"),  # type: ignore[arg-type,return-value]  # never called
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_everything_is_frozen(value: object, field: str) -> None:
    """A plugin that was loaded stays what it is."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, field, None)


def test_mappings_are_frozen_copies() -> None:
    """What the plugin does to its own dictionary afterwards has no effect."""
    own = {"a": "b"}
    frozen: list[Any] = [
        attrs.evolve(MCP, authorization_parameters=own).authorization_parameters,
        attrs.evolve(MCP, token_parameters=own).token_parameters,
        NativeServer("x", "mcp", headers=own).headers,
        NativeServer("x", "mcp", env=own).env,
    ]
    own["a"] = "changed"
    for mapping in frozen:
        assert dict(mapping) == {"a": "b"}
        with pytest.raises(TypeError):
            mapping["a"] = "c"


def test_the_defaults_are_the_safe_ones() -> None:
    """A free loopback port by literal, spaces between scopes, own papers first."""
    assert (MCP.redirect.host, MCP.redirect.ports, MCP.redirect.paste) == ("127.0.0.1", (0,), False)
    assert (MCP.scope_separator, MCP.token_encoding, MCP.scopes) == (" ", "form", None)
    assert MCP.registration == (
        Registration.OWN_PAPERS,
        Registration.METADATA_DOCUMENT,
        Registration.DYNAMIC,
    )


class Plain:
    """A provider that knows nothing of this library."""

    name = "plain"
    display_name = "Plain"
    servers_label = "Plain"
    native_servers: tuple[NativeServer, ...] = ()
    resources = (MCP,)

    def resource(self, name: str | None = None) -> Resource:
        return MCP


def test_any_class_with_the_members_is_a_provider() -> None:
    """For the type checker, and when asked at run time."""
    plain: Provider = Plain()
    data: Provider = ACME
    assert isinstance(plain, Provider)
    assert isinstance(data, Provider)


@pytest.mark.parametrize(
    "missing", ["name", "display_name", "servers_label", "native_servers", "resources", "resource"]
)
def test_a_class_that_lacks_a_member_is_none(missing: str) -> None:
    """Each of them is needed."""
    members = {name: value for name, value in vars(Plain).items() if name != missing}
    assert not isinstance(type("Lacking", (), members)(), Provider)

"""`rewritten` and `on_free_ports`: a provider, but for what a test has to have otherwise."""

from __future__ import annotations

import attrs
from harbor_oauth_linear import PROVIDER

from harbor_oauth.providers import Secret
from harbor_oauth.testing import AuthorizationServer, McpServer, on_free_ports, rewritten


def test_only_origins_change(mcp: McpServer, issuer: AuthorizationServer) -> None:
    """Every URL is on loopback with the vendor's path; every other fact is the vendor's."""
    provider = rewritten(PROVIDER, mcp)
    api, before = provider.resource("api"), PROVIDER.resource("api")
    assert api.servers == (f"{issuer.origin}/graphql",)
    assert api.allowed_origins == (issuer.origin,)
    assert api.metadata is not None
    assert api.metadata.token_endpoint == f"{issuer.origin}/oauth/token"
    assert api.metadata.revocation_endpoint is None
    assert provider.native_servers[1].url == f"{mcp.origin}/mcp/readonly"
    changed = ("servers", "allowed_origins", "issuer", "metadata", "account", "revocation")
    same = {name: getattr(before, name) for name in changed}
    assert attrs.evolve(api, **same) == before


def test_the_requests_a_plugin_builds_are_moved_too(
    mcp: McpServer, issuer: AuthorizationServer
) -> None:
    """Account look-up and revocation go to the double, with the vendor's method and body."""
    api, before = rewritten(PROVIDER, mcp).resource("api"), PROVIDER.resource("api")
    assert api.account is not None
    assert before.account is not None
    request, original = (each.request(Secret("t")) for each in (api.account, before.account))
    assert request.url == f"{issuer.origin}/graphql"
    assert attrs.evolve(request, url=original.url) == original
    assert api.revocation.request is not None
    revoking = api.revocation.request(Secret("t"), "access_token", "client")
    assert revoking.url == f"{issuer.origin}/oauth/revoke"


def test_nothing_of_the_vendor_s_is_left(mcp: McpServer) -> None:
    """No URL that a request could go to names the vendor."""
    for resource in rewritten(PROVIDER, mcp).resources:
        reached = (resource.servers, resource.allowed_origins, resource.issuer, resource.metadata)
        assert "linear.app" not in str((reached, resource.resource))


def test_free_ports_for_fixed_ones() -> None:
    """As many as there were, none of them the vendor's; any port stays any port."""
    moved, api = on_free_ports(PROVIDER), PROVIDER.resource("api")
    ports = moved.resource("api").redirect.ports
    assert len(set(ports)) == len(api.redirect.ports) == 2
    assert 0 not in ports
    assert attrs.evolve(moved.resource("api"), redirect=api.redirect) == api
    assert moved.resource("mcp") == PROVIDER.resource("mcp")

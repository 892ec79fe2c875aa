"""A grant in memory."""

from __future__ import annotations

import pytest

from harbor_oauth.secret import Secret
from harbor_oauth.tokens.held import hold
from harbor_oauth.vault import GrantKey, GrantRecord


@pytest.mark.parametrize(
    ("token_type", "authorization"), [("Bearer", "Bearer cnry"), ("dpop", "DPoP cnry")]
)
def test_the_token_keeps_its_type(token_type: str, authorization: str) -> None:
    """What the grant is bound to decides how its token is sent (RFC 9449 §7.1)."""
    record = GrantRecord(
        provider="practice",
        resource_name="mcp",
        account_label="default",
        issuer="https://as.example",
        token_endpoint="https://as.example/token",
        client_id="id",
        token_endpoint_auth_method="none",
        redirect_uri="http://127.0.0.1/callback",
        access_token=Secret("cnry"),
        obtained_at=1000.0,
        expires_at=1060.0,
        granted_scopes=("read",),
        token_type=token_type,
    )
    key = GrantKey("practice", "mcp", "default")
    held = hold(key, record, 1, wall=1000.0, monotonic=5.0, jitter=0.0)
    assert held.token.token_type == token_type
    assert held.token.authorization == authorization
    assert (held.token.expires_at, held.token.scopes) == (1060.0, ("read",))
    assert held.token.grant == str(key)

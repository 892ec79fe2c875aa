"""Neon: the hosted MCP server, and the API for partners with a client of their own.

Facts and their sources are in this distribution's README.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from harbor_oauth.providers import (
    AccountLookup,
    HttpRequest,
    HttpResponse,
    NativeServer,
    OAuthProvider,
    Quirks,
    Registration,
    Resource,
    Secret,
    ServerMetadata,
)

__all__ = ["PROVIDER"]

_MCP: Final = "https://mcp.neon.tech"
_API: Final = "https://console.neon.tech"
_OAUTH2: Final = "https://oauth2.neon.tech"
_HOUR: Final = 60 * 60
_MONTH: Final = 30 * 24 * _HOUR

# Without both there is no refresh token.
_OFFLINE: Final = ("offline", "offline_access")


def _projects(*actions: str) -> tuple[str, ...]:
    return tuple(f"urn:neoncloud:projects:{action}" for action in actions)


def _who_am_i(access_token: Secret) -> HttpRequest:
    headers = {"Authorization": f"Bearer {access_token.reveal()}", "Accept": "application/json"}
    return HttpRequest("GET", f"{_API}/api/v2/users/me", headers)


def _account(response: HttpResponse) -> str | None:
    email = json.loads(response.body)["email"]
    return email if isinstance(email, str) else None


def _token_response(members: Mapping[str, object]) -> Mapping[str, object]:
    """Give the error of a dead refresh token the name of RFC 6749 §5.2."""
    if members.get("error") == "token_inactive":
        return {**members, "error": "invalid_grant"}
    return members


PROVIDER: Final = OAuthProvider(
    name="neon",
    display_name="Neon",
    documentation="https://neon.com/docs/guides/oauth-integration",
    environment=("NEON_API_KEY",),
    native_servers=(
        NativeServer(name="neon", resource="mcp", url=f"{_MCP}/mcp"),
        NativeServer(name="neon-readonly", resource="mcp", url=f"{_MCP}/mcp?readonly=true"),
    ),
    resources=(
        Resource(
            name="mcp",
            servers=(f"{_MCP}/mcp",),
            allowed_origins=(_MCP,),
            issuer=_MCP,
            resource=f"{_MCP}/mcp",
            metadata=ServerMetadata(
                issuer=_MCP,
                authorization_endpoint=f"{_MCP}/api/authorize",
                token_endpoint=f"{_MCP}/api/token",
                registration_endpoint=f"{_MCP}/api/register",
                revocation_endpoint=f"{_MCP}/api/revoke",
                code_challenge_methods_supported=("S256",),
                token_endpoint_auth_methods_supported=(
                    *("none", "client_secret_post", "client_secret_basic"),
                ),
            ),
            scopes=("read", "write"),
            read_only_scopes=("read",),
            registration=(Registration.METADATA_DOCUMENT, Registration.DYNAMIC),
            token_life=_HOUR,
            refresh_token_life=_MONTH,
            rotates=True,
        ),
        Resource(
            name="api",
            servers=(f"{_API}/api/v2",),
            allowed_origins=(_API,),
            issuer=f"{_OAUTH2}/",  # with the slash, as its metadata spells it
            discover=False,
            metadata=ServerMetadata(
                issuer=f"{_OAUTH2}/",
                authorization_endpoint=f"{_OAUTH2}/oauth2/auth",
                token_endpoint=f"{_OAUTH2}/oauth2/token",
                revocation_endpoint=f"{_OAUTH2}/oauth2/revoke",
                code_challenge_methods_supported=("plain", "S256"),
                token_endpoint_auth_methods_supported=(
                    *("client_secret_post", "client_secret_basic", "private_key_jwt", "none"),
                ),
            ),
            scopes=(
                *_OFFLINE,
                *_projects("create", "read", "update", "delete"),
                "urn:neoncloud:orgs:read",
            ),
            read_only_scopes=(*_OFFLINE, *_projects("read"), "urn:neoncloud:orgs:read"),
            registration=(Registration.OWN_PAPERS,),
            token_life=_HOUR,
            refresh_token_life=_MONTH,
            rotates=True,
            account=AccountLookup(_who_am_i, _account),
            registration_url="https://neon.com/partners",
            registration_steps=(
                "Give http://127.0.0.1/callback as a callback URL; Harbor uses any port there.",
            ),
            reviewed_only=(
                "Neon gives clients for its API to commercial partners only. Sign in to neon/mcp "
                "instead, which needs none; or, with a client of yours, run: "
                "harbor chest set oauth:neon:client_id CLIENT_ID"
            ),
            quirks=Quirks(token_response=_token_response),
        ),
    ),
)

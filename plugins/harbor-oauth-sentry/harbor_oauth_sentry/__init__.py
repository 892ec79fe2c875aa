"""Sentry: the hosted MCP server, and the API with an OAuth application of one's own.

Facts and their sources are in this distribution's README.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from harbor_oauth.providers import (
    AccountLookup,
    Flow,
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

_MCP: Final = "https://mcp.sentry.dev"
_SENTRY: Final = "https://sentry.io"
_MANAGE: Final = f"{_SENTRY}/settings/account/authorizations/"
_DAYS: Final = 24 * 60 * 60
_READ: Final = ("org:read", "project:read", "team:read", "member:read", "event:read")


def _account_id(members: Mapping[str, object]) -> str | None:
    user = members.get("user")
    value = user.get("id") if isinstance(user, Mapping) else None
    return value if isinstance(value, str) else None


def _who_am_i(access_token: Secret) -> HttpRequest:
    headers = {"Authorization": f"Bearer {access_token.reveal()}", "Accept": "application/json"}
    return HttpRequest("GET", f"{_SENTRY}/api/0/auth/", headers)


def _account(response: HttpResponse) -> str | None:
    """Read the mail address; the name may be null."""
    return str(json.loads(response.body)["email"])


PROVIDER: Final = OAuthProvider(
    name="sentry",
    display_name="Sentry",
    documentation="https://docs.sentry.io/api/auth/",
    environment=("SENTRY_ACCESS_TOKEN", "SENTRY_AUTH_TOKEN"),
    flow=Flow.CODE,
    native_servers=(NativeServer(name="sentry", resource="mcp", url=f"{_MCP}/mcp"),),
    resources=(
        Resource(
            name="mcp",
            servers=(f"{_MCP}/mcp",),
            allowed_origins=(_MCP,),
            issuer=_MCP,
            metadata=ServerMetadata(
                issuer=_MCP,
                authorization_endpoint=f"{_MCP}/oauth/authorize",
                token_endpoint=f"{_MCP}/oauth/token",
                registration_endpoint=f"{_MCP}/oauth/register",
                revocation_endpoint=f"{_MCP}/oauth/token",
                code_challenge_methods_supported=("S256",),
                token_endpoint_auth_methods_supported=(
                    *("client_secret_basic", "client_secret_post", "none"),
                ),
                client_id_metadata_document_supported=True,
            ),
            resource=f"{_MCP}/mcp",
            scopes=("org:read", "project:write", "team:write", "event:write"),
            # Access follows the skills that are ticked on the consent page, not the scopes.
            read_only_advice=(
                "Sign in without --read-only, and leave only 'Inspect Issues & Events' ticked "
                "on Sentry's page: that alone decides."
            ),
            registration=(Registration.METADATA_DOCUMENT, Registration.DYNAMIC),
            refresh_token_life=30 * _DAYS,
            rotates=True,
            manage_url=_MANAGE,
        ),
        Resource(
            name="api",
            servers=(f"{_SENTRY}/api/0",),
            # Regions serve the API; who signs in does so at the main host.
            allowed_origins=(_SENTRY, "https://us.sentry.io", "https://de.sentry.io"),
            issuer=_SENTRY,
            discover=False,
            metadata=ServerMetadata(
                issuer=_SENTRY,
                # Without its slash a POST becomes a redirect.
                authorization_endpoint=f"{_SENTRY}/oauth/authorize/",
                token_endpoint=f"{_SENTRY}/oauth/token/",
                revocation_endpoint=f"{_SENTRY}/oauth/revoke/",
                device_authorization_endpoint=f"{_SENTRY}/oauth/device/code/",
                code_challenge_methods_supported=("S256",),
                token_endpoint_auth_methods_supported=("client_secret_basic", "client_secret_post"),
            ),
            scopes=_READ,
            read_only_scopes=_READ,
            registration=(Registration.OWN_PAPERS,),
            token_endpoint_auth_method="client_secret_post",  # noqa: S106 - a method's name
            token_life=30 * _DAYS,
            rotates=True,
            account=AccountLookup(_who_am_i, _account),
            manage_url=_MANAGE,
            registration_url=f"{_SENTRY}/settings/account/api/applications/",
            registration_steps=(
                "Create an application; a public one signs in through a device code.",
                "Enter the redirect URI http://127.0.0.1/callback, without a port.",
                "If it has a secret, store it: harbor chest set oauth:sentry:client_secret",
            ),
            quirks=Quirks(account=_account_id),
            flow=Flow.CODE,
        ),
    ),
)

"""Supabase: the hosted MCP server, and the Management API with an OAuth app of one's own.

Facts and their sources are in this distribution's README.
"""

from __future__ import annotations

import json
from typing import Final

from harbor_oauth.providers import (
    AccountLookup,
    Flow,
    HttpRequest,
    HttpResponse,
    IssuedToken,
    NativeServer,
    OAuthProvider,
    Quirks,
    RedirectRule,
    Registration,
    Resource,
    Revocation,
    Secret,
    ServerMetadata,
)

__all__ = ["PROVIDER"]

_API: Final = "https://api.supabase.com"
_MCP: Final = "https://mcp.supabase.com"
_APPS: Final = "https://supabase.com/dashboard/org/_/apps"
_METADATA: Final = ServerMetadata(
    issuer=_API,
    authorization_endpoint=f"{_API}/v1/oauth/authorize",
    token_endpoint=f"{_API}/v1/oauth/token",
    registration_endpoint=f"{_API}/platform/oauth/apps/register",
    code_challenge_methods_supported=("S256",),
    token_endpoint_auth_methods_supported=("client_secret_basic", "client_secret_post"),
)
_READING: Final = (
    *("organizations:read", "projects:read", "database:read", "analytics:read", "secrets:read"),
    *("edge_functions:read", "environment:read", "storage:read"),
)
_WRITING: Final = (
    *("projects:write", "database:write", "edge_functions:write"),
    *("environment:write", "storage:write"),
)


def _organizations(access_token: Secret) -> HttpRequest:
    headers = {"Authorization": f"Bearer {access_token.reveal()}", "Accept": "application/json"}
    return HttpRequest("GET", f"{_API}/v1/organizations", headers)


def _account(response: HttpResponse) -> str | None:
    """Read ``NAME (SLUG)`` of the one organization that a grant is bound to."""
    organization = json.loads(response.body)[0]
    return f"{organization['name']} ({organization['slug']})"


def _revocation(issued: IssuedToken) -> HttpRequest | None:
    """Build Supabase's own request: JSON, with the refresh token and the client's secret.

    It ends the whole authorization, the access token with it.
    """
    if issued.kind != "refresh_token" or issued.client_secret is None:
        return None
    body = {
        "client_id": issued.client_id,
        "client_secret": issued.client_secret.reveal(),
        "refresh_token": issued.token.reveal(),
    }
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    return HttpRequest("POST", f"{_API}/v1/oauth/revoke", headers, json.dumps(body).encode())


def _token_error(response: HttpResponse) -> str | None:
    """Name what ``{"message": …}`` means, Supabase's errors without a code."""
    try:
        members = json.loads(response.body)
    except (ValueError, RecursionError):
        return None
    message = members.get("message") if isinstance(members, dict) else None
    if not isinstance(message, str) or response.status not in {400, 401}:
        return None
    return "invalid_client" if message == "Unrecognized client_id" else "invalid_grant"


_QUIRKS: Final = Quirks(token_error=_token_error)

PROVIDER: Final = OAuthProvider(
    name="supabase",
    display_name="Supabase",
    documentation="https://supabase.com/docs/guides/integrations/build-a-supabase-oauth-integration",
    environment=("SUPABASE_ACCESS_TOKEN",),
    flow=Flow.CODE_PKCE,
    native_servers=(
        NativeServer(name="supabase", resource="mcp", url=f"{_MCP}/mcp"),
        NativeServer(name="supabase-readonly", resource="mcp", url=f"{_MCP}/mcp?read_only=true"),
    ),
    resources=(
        Resource(
            name="mcp",
            servers=(f"{_MCP}/mcp", f"{_MCP}/mcp?read_only=true"),
            allowed_origins=(_MCP,),
            issuer=_API,
            metadata=_METADATA,
            resource=f"{_MCP}/mcp",
            # What a registered client may ask for; the server's metadata lists
            # more, and refuses all when asked for one of those.
            scopes=_READING + _WRITING,
            # `secrets:read` hands out keys that may do everything.
            read_only_scopes=tuple(scope for scope in _READING if scope != "secrets:read"),
            redirect=RedirectRule(host="localhost"),
            registration=(Registration.METADATA_DOCUMENT, Registration.DYNAMIC),
            revocation=Revocation(own_api=_revocation),
            manage_url=_APPS,
            quirks=_QUIRKS,
        ),
        Resource(
            name="api",
            servers=(f"{_API}/v1",),
            allowed_origins=(_API,),
            issuer=_API,
            discover=False,
            metadata=_METADATA,
            scopes=(),  # fixed on the app; Supabase deprecates the parameter
            redirect=RedirectRule(host="localhost", ports=(33418, 33419)),
            registration=(Registration.OWN_PAPERS,),
            token_endpoint_auth_method="client_secret_basic",  # noqa: S106 - a method's name
            secret_required=True,
            account=AccountLookup(_organizations, _account),
            revocation=Revocation(own_api=_revocation),
            manage_url=_APPS,
            registration_url=_APPS,
            registration_steps=(
                "Choose Add application.",
                "Enter the authorization callback URL http://localhost:33418/callback.",
                "Enter http://localhost:33419/callback as a second one.",
                "Set the permissions your programs need; Organizations: Read shows who signed in.",
            ),
            quirks=_QUIRKS,
        ),
    ),
)

"""Cloudflare: a family of MCP servers, and the API with an OAuth client of one's own.

Facts and their sources are in this distribution's README.
"""

from __future__ import annotations

import json
from typing import Final

from harbor_oauth.providers import (
    AccountLookup,
    HttpRequest,
    HttpResponse,
    NativeServer,
    OAuthProvider,
    RedirectRule,
    Registration,
    Resource,
    Secret,
    ServerMetadata,
)

__all__ = ["PROVIDER"]

_API: Final = "https://api.cloudflare.com"
_DASH: Final = "https://dash.cloudflare.com"
_CONSENTS: Final = f"{_DASH}/profile/access-management/authorization"

# The products' servers, by the name of their resource.
_PRODUCTS: Final = {
    **{
        name: f"{name}.mcp.cloudflare.com"
        for name in (
            *("bindings", "builds", "observability", "containers", "browser", "logs"),
            *("ai-gateway", "autorag", "auditlogs", "dex", "casb", "radar"),
        )
    },
    "dns": "dns-analytics.mcp.cloudflare.com",
}


def _mcp(name: str, host: str, path: str = "") -> Resource:
    """Return one server's resource: each host is an authorization server of its own."""
    origin = f"https://{host}"
    return Resource(
        name=name,
        servers=(f"{origin}/mcp",),
        allowed_origins=(origin,),
        issuer=origin,
        resource=f"{origin}/mcp",
        metadata=ServerMetadata(
            issuer=origin,
            authorization_endpoint=f"{origin}{path}/authorize",
            token_endpoint=f"{origin}/token",
            registration_endpoint=f"{origin}/register",
            revocation_endpoint=f"{origin}/token",
            code_challenge_methods_supported=("plain", "S256"),
            token_endpoint_auth_methods_supported=(
                *("client_secret_basic", "client_secret_post", "none"),
            ),
        ),
        registration=(Registration.METADATA_DOCUMENT, Registration.DYNAMIC),
        token_life=60 * 60,
        refresh_token_life=30 * 24 * 60 * 60,
        rotates=True,
        grants_at_once=1,
        manage_url=_CONSENTS,
    )


def _who_am_i(access_token: Secret) -> HttpRequest:
    headers = {"Authorization": f"Bearer {access_token.reveal()}", "Accept": "application/json"}
    return HttpRequest("GET", f"{_API}/client/v4/user", headers)


def _account(response: HttpResponse) -> str | None:
    """Read the mail address; OpenID Connect's userinfo holds nothing but `sub` here."""
    email = json.loads(response.body)["result"]["email"]
    return email if isinstance(email, str) else None


PROVIDER: Final = OAuthProvider(
    name="cloudflare",
    display_name="Cloudflare",
    documentation="https://developers.cloudflare.com/fundamentals/oauth/",
    environment=("CLOUDFLARE_API_TOKEN",),
    native_servers=(
        NativeServer(name="cloudflare", resource="mcp", url="https://mcp.cloudflare.com/mcp"),
        *(
            NativeServer(name=f"cloudflare-{name}", resource=name, url=f"https://{host}/mcp")
            for name, host in _PRODUCTS.items()
        ),
    ),
    resources=(
        _mcp("mcp", "mcp.cloudflare.com"),
        Resource(
            name="api",
            servers=(f"{_API}/client/v4",),
            allowed_origins=(_API,),
            issuer=_DASH,
            discover=False,
            metadata=ServerMetadata(
                issuer=_DASH,
                authorization_endpoint=f"{_DASH}/oauth2/auth",
                token_endpoint=f"{_DASH}/oauth2/token",
                revocation_endpoint=f"{_DASH}/oauth2/revoke",
                code_challenge_methods_supported=("plain", "S256"),
                token_endpoint_auth_methods_supported=(
                    *("client_secret_basic", "client_secret_post", "none"),
                ),
            ),
            # A client is refused what it was not registered for, and no other
            # scope is sure to be among that.
            scopes=("user-details.read",),
            read_only_scopes=("user-details.read",),
            redirect=RedirectRule(host="localhost", ports=(33418, 33419)),
            registration=(Registration.OWN_PAPERS,),
            token_life=16 * 60 * 60,
            rotates=True,
            account=AccountLookup(_who_am_i, _account),
            manage_url=_CONSENTS,
            registration_url=f"{_DASH}/?to=/:account/oauth-clients",
            registration_steps=(
                "Choose the grant types authorization_code and refresh_token.",
                "Choose the token authentication method none; with PKCE no secret is needed.",
                "Enter the redirect URL http://localhost:33418/callback.",
                "Enter http://localhost:33419/callback as a second one.",
                "Select the scope User Details Read, and those you will ask for with --scope.",
            ),
        ),
        *(_mcp(name, host, "/oauth") for name, host in _PRODUCTS.items()),
    ),
)

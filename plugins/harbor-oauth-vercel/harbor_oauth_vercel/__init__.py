"""Vercel: the hosted MCP server, and the REST API with a Vercel App of one's own.

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
    NativeServer,
    OAuthProvider,
    RedirectRule,
    Registration,
    Resource,
    Secret,
    ServerMetadata,
)

__all__ = ["PROVIDER"]

_ISSUER: Final = "https://vercel.com"
_API: Final = "https://api.vercel.com"
_OAUTH: Final = f"{_API}/login/oauth"
_MCP: Final = "https://mcp.vercel.com"
_HOSTS: Final = ("vercel.com", "api.vercel.com")
# An App lists its callback URLs; whether their port may differ is not documented.
_REDIRECT: Final = RedirectRule(host="localhost", ports=(33418, 33419))
_SCOPES: Final = ("openid", "email", "profile", "offline_access")


def _who_am_i(access_token: Secret) -> HttpRequest:
    headers = {"Authorization": f"Bearer {access_token.reveal()}", "Accept": "application/json"}
    return HttpRequest("GET", f"{_OAUTH}/userinfo", headers)


def _account(response: HttpResponse) -> str | None:
    """Read the mail address; without the scope for it, what else names the person."""
    claims = json.loads(response.body)
    return str(claims.get("email") or claims.get("preferred_username") or claims["sub"])


PROVIDER: Final = OAuthProvider(
    name="vercel",
    display_name="Vercel",
    documentation="https://vercel.com/docs/sign-in-with-vercel",
    environment=("VERCEL_TOKEN",),
    flow=Flow.CODE,
    native_servers=(NativeServer(name="vercel", resource="mcp", url=_MCP),),
    resources=(
        Resource(
            name="mcp",
            servers=(_MCP,),
            allowed_origins=(_MCP,),
            issuer=_ISSUER,
            # As mcp.vercel.com spells it; the issuer's own document names the
            # same endpoints at api.vercel.com.
            metadata=ServerMetadata(
                issuer=_ISSUER,
                authorization_endpoint=f"{_ISSUER}/oauth/authorize",
                token_endpoint=f"{_ISSUER}/api/login/oauth/token",
                registration_endpoint=f"{_ISSUER}/api/login/oauth/register",
                revocation_endpoint=f"{_OAUTH}/token/revoke",
                scopes_supported=_SCOPES,
                code_challenge_methods_supported=("S256",),
                token_endpoint_auth_methods_supported=("none",),
            ),
            issuer_hosts=_HOSTS,
            # The resource's own metadata names `openid` only, which gives no refresh token.
            scopes=("openid", "offline_access"),
            redirect=_REDIRECT,
            registration=(
                Registration.OWN_PAPERS,
                Registration.METADATA_DOCUMENT,
                Registration.DYNAMIC,
            ),
            token_life=60 * 60,
            refresh_token_life=30 * 24 * 60 * 60,
            rotates=True,
            reviewed_only=(
                "Vercel says that only MCP clients it has reviewed may connect: ask Vercel for a "
                "review and store the client you are given with "
                "harbor chest set oauth:vercel/mcp:client_id, or use vercel/api with an app of "
                "your own."
            ),
        ),
        Resource(
            name="api",
            servers=(_API,),
            allowed_origins=(_API,),
            issuer=_ISSUER,
            discover=False,
            metadata=ServerMetadata(
                issuer=_ISSUER,
                authorization_endpoint=f"{_ISSUER}/oauth/authorize",
                token_endpoint=f"{_OAUTH}/token",
                revocation_endpoint=f"{_OAUTH}/token/revoke",
                introspection_endpoint=f"{_OAUTH}/token/introspect",
                device_authorization_endpoint=f"{_OAUTH}/device-authorization",
                scopes_supported=_SCOPES,
                code_challenge_methods_supported=("S256",),
                token_endpoint_auth_methods_supported=(
                    *("client_secret_basic", "client_secret_post"),
                    "none",
                ),
                revocation_endpoint_auth_methods_supported=("client_secret_basic",),
            ),
            scopes=_SCOPES,
            redirect=_REDIRECT,
            registration=(Registration.OWN_PAPERS,),
            token_life=60 * 60,
            refresh_token_life=30 * 24 * 60 * 60,
            rotates=True,
            account=AccountLookup(_who_am_i, _account),
            registration_url="https://vercel.com/d?to=%2F%5Bteam%5D%2F%7E%2Fsettings",
            registration_steps=(
                "In the team's settings choose Apps, then Create.",
                "Add the authorization callback URL http://localhost:33418/callback.",
                "Add http://localhost:33419/callback as a second one.",
                "Enable the client authentication method none, or generate a client secret.",
                "Enable the scopes openid, email, profile and offline_access.",
                "Enable the permissions your programs need.",
            ),
            flow=Flow.CODE,
        ),
    ),
)

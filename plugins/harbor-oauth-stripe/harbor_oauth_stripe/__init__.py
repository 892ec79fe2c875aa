"""Stripe: the hosted MCP server, and Connect with a platform of one's own.

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
    RedirectRule,
    Registration,
    Resource,
    Revocation,
    Secret,
    ServerMetadata,
)

__all__ = ["PROVIDER"]

_MCP: Final = "https://mcp.stripe.com"
_ACCESS: Final = "https://access.stripe.com/mcp"
_CONNECT: Final = "https://connect.stripe.com"
_API: Final = "https://api.stripe.com"


def _who_am_i(access_token: Secret) -> HttpRequest:
    headers = {"Authorization": f"Bearer {access_token.reveal()}", "Accept": "application/json"}
    return HttpRequest("GET", f"{_API}/v1/account", headers)


def _account(response: HttpResponse) -> str | None:
    """Read ``NAME (acct_…)``; an account need not have a name."""
    account = json.loads(response.body)
    name = (account.get("business_profile") or {}).get("name")
    return f"{name} ({account['id']})" if name else str(account["id"])


def _account_id(answer: Mapping[str, object]) -> str | None:
    value = answer.get("stripe_user_id")
    return value if isinstance(value, str) else None


PROVIDER: Final = OAuthProvider(
    name="stripe",
    display_name="Stripe",
    documentation="https://docs.stripe.com/mcp",
    environment=("STRIPE_API_KEY", "STRIPE_SECRET_KEY"),
    flow=Flow.CODE,
    native_servers=(NativeServer(name="stripe", resource="mcp", url=_MCP),),
    resources=(
        Resource(
            name="mcp",
            servers=(_MCP,),
            allowed_origins=(_MCP,),
            issuer=_ACCESS,
            metadata=ServerMetadata(
                issuer=_ACCESS,
                authorization_endpoint=f"{_ACCESS}/oauth2/authorize",
                token_endpoint=f"{_ACCESS}/oauth2/token",
                registration_endpoint=f"{_ACCESS}/oauth2/register",
                revocation_endpoint=f"{_ACCESS}/oauth2/revoke",
                scopes_supported=("mcp",),
                code_challenge_methods_supported=("S256",),
                token_endpoint_auth_methods_supported=("none",),
            ),
            resource=_MCP,
            scopes=("mcp",),
            registration=(Registration.METADATA_DOCUMENT, Registration.DYNAMIC),
            token_life=60 * 60,
            rotates=True,
            manage_url="https://dashboard.stripe.com/settings/user",
        ),
        Resource(
            name="api",
            servers=(f"{_API}/v1",),
            allowed_origins=(_API,),
            issuer=_CONNECT,
            discover=False,
            metadata=ServerMetadata(
                issuer=_CONNECT,
                authorization_endpoint=f"{_CONNECT}/oauth/authorize",
                token_endpoint=f"{_CONNECT}/oauth/token",
                # Stripe does not document PKCE here; a server that does not know
                # it has to ignore its parameters (RFC 6749 §3.1, §3.2).
                code_challenge_methods_supported=("S256",),
                token_endpoint_auth_methods_supported=("client_secret_post",),
            ),
            scopes=("read_only",),
            read_only_scopes=("read_only",),
            # Live mode wants https. Nothing answers at this URL: the code stays
            # in the address bar of the person's browser, to be pasted.
            redirect=RedirectRule(paste=True, paste_uri="https://localhost/callback"),
            registration=(Registration.OWN_PAPERS,),
            token_endpoint_auth_method="client_secret_post",  # noqa: S106 - a method's name
            secret_required=True,
            account=AccountLookup(_who_am_i, _account),
            # Stripe's deauthorize ends a whole account's tie to the platform,
            # for every user of that platform: no way to end one sign-in.
            revocation=Revocation(possible=False),
            manage_url="https://dashboard.stripe.com/connect/accounts/overview",
            registration_url="https://dashboard.stripe.com/settings/connect/onboarding-options/oauth",
            registration_steps=(
                "Your Stripe account has to be a Connect platform; switch on OAuth for it.",
                "Add the redirect URI https://localhost/callback.",
                "The client id begins with ca_ and differs between test and live mode.",
                "The client secret is that mode's key from https://dashboard.stripe.com/apikeys.",
            ),
            quirks=Quirks(account=_account_id),
            flow=Flow.CODE,
        ),
    ),
)

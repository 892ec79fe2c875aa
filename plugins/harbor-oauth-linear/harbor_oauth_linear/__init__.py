"""Linear: the hosted MCP servers, and the GraphQL API with an app of one's own.

Facts and their sources are in this distribution's README.
"""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import urlencode

from harbor_oauth.providers import (
    AccountLookup,
    HttpRequest,
    HttpResponse,
    NativeServer,
    OAuthProvider,
    RedirectRule,
    Registration,
    Resource,
    Revocation,
    Secret,
    ServerMetadata,
)

__all__ = ["PROVIDER"]

_MCP: Final = "https://mcp.linear.app"
_API: Final = "https://api.linear.app"
_WHO_AM_I: Final = json.dumps({"query": "{ viewer { email name } organization { urlKey } }"})


def _who_am_i(access_token: Secret) -> HttpRequest:
    headers = {
        "Authorization": f"Bearer {access_token.reveal()}",
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    return HttpRequest("POST", f"{_API}/graphql", headers, _WHO_AM_I.encode())


def _account(response: HttpResponse) -> str | None:
    """Read ``EMAIL (WORKSPACE)``; a GraphQL answer may hold `errors` instead of `data`."""
    data = json.loads(response.body)["data"]
    return f"{data['viewer']['email']} ({data['organization']['urlKey']})"


def _revocation_request(token: Secret, kind: str, _: str) -> HttpRequest:
    """Name the token by its kind: the endpoint does not read RFC 7009's `token`."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    body = urlencode({kind: token.reveal()}).encode()
    return HttpRequest("POST", f"{_API}/oauth/revoke", headers, body)


PROVIDER: Final = OAuthProvider(
    name="linear",
    display_name="Linear",
    documentation="https://linear.app/developers/oauth-2-0-authentication",
    native_servers=(
        NativeServer(name="linear", resource="mcp", url=f"{_MCP}/mcp"),
        NativeServer(name="linear-readonly", resource="mcp", url=f"{_MCP}/mcp/readonly"),
    ),
    resources=(
        Resource(
            name="mcp",
            servers=(f"{_MCP}/mcp", f"{_MCP}/mcp/readonly"),
            allowed_origins=(_MCP,),
            issuer=_MCP,
            resource=f"{_MCP}/mcp",
            registration=(Registration.METADATA_DOCUMENT, Registration.DYNAMIC),
            manage_url="https://linear.app/settings/account/security",
        ),
        Resource(
            name="api",
            servers=(f"{_API}/graphql",),
            allowed_origins=(_API,),
            issuer="https://linear.app",
            discover=False,
            metadata=ServerMetadata(
                issuer="https://linear.app",
                authorization_endpoint="https://linear.app/oauth/authorize",
                token_endpoint=f"{_API}/oauth/token",
                code_challenge_methods_supported=("S256", "plain"),
            ),
            scopes=("read", "write"),
            read_only_scopes=("read",),
            scope_separator=",",
            redirect=RedirectRule(host="localhost", ports=(33418, 33419)),
            registration=(Registration.OWN_PAPERS,),
            token_endpoint_auth_method="client_secret_post",  # noqa: S106 - a method's name
            token_life=24 * 60 * 60,
            rotates=True,
            account=AccountLookup(_who_am_i, _account),
            # 400 says that the token is revoked already.
            revocation=Revocation(request=_revocation_request, accepted=(400,)),
            manage_url="https://linear.app/settings/account/security",
            registration_url="https://linear.app/settings/api/applications/new",
            registration_steps=(
                "Enter the callback URL http://localhost:33418/callback.",
                "Enter http://localhost:33419/callback as a second one.",
                "Switch on Public if other workspaces shall use it.",
            ),
        ),
    ),
)

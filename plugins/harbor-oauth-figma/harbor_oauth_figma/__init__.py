"""Figma: the REST API with an app of one's own, and the MCP server for reviewed clients.

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

_API: Final = "https://api.figma.com"
_MCP: Final = "https://mcp.figma.com"
_TOKEN: Final = f"{_API}/v1/oauth/token"
_SETTINGS: Final = "https://www.figma.com/settings"
# Figma compares redirect URLs as they were entered.
_REDIRECT: Final = RedirectRule(ports=(33418, 33419))
_REFUSED: Final = frozenset({400, 401, 403})


def _who_am_i(access_token: Secret) -> HttpRequest:
    headers = {"Authorization": f"Bearer {access_token.reveal()}", "Accept": "application/json"}
    return HttpRequest("GET", f"{_API}/v1/me", headers)


def _account(response: HttpResponse) -> str | None:
    """Read ``HANDLE (EMAIL)``: a handle alone is not unique."""
    me = json.loads(response.body)
    return f"{me['handle']} ({me['email']})"


def _account_id(answer: Mapping[str, object]) -> str | None:
    """Read the text; the number in `user_id` loses digits as a JSON double."""
    value = answer.get("user_id_string")
    return value if isinstance(value, str) else None


def _token_error(response: HttpResponse) -> str | None:
    """Name what ``{"status": 4xx, "err": …}`` means; a proxy's page means nothing.

    Figma documents no codes. Its refresh tokens do not end by use, so that a
    refusal calls for a person in any case.
    """
    try:
        members = json.loads(response.body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(members, dict) or response.status not in _REFUSED:
        return None
    spoken = members.get("err") or members.get("message")
    return "invalid_grant" if isinstance(spoken, str) else None


_QUIRKS: Final = Quirks(token_error=_token_error, account=_account_id)

PROVIDER: Final = OAuthProvider(
    name="figma",
    display_name="Figma",
    documentation="https://developers.figma.com/docs/rest-api/oauth-apps/",
    flow=Flow.CODE_PKCE,
    native_servers=(NativeServer(name="figma", resource="mcp", url=f"{_MCP}/mcp"),),
    resources=(
        Resource(
            name="api",
            servers=(f"{_API}/v1",),
            allowed_origins=(_API,),
            issuer=_API,
            discover=False,
            metadata=ServerMetadata(
                issuer=_API,
                authorization_endpoint="https://www.figma.com/oauth",
                token_endpoint=_TOKEN,
                code_challenge_methods_supported=("S256",),
                token_endpoint_auth_methods_supported=("client_secret_basic",),
            ),
            refresh_endpoint=f"{_API}/v1/oauth/refresh",
            scopes=("current_user:read", "file_content:read", "file_metadata:read"),
            read_only_scopes=("current_user:read", "file_content:read", "file_metadata:read"),
            redirect=_REDIRECT,
            registration=(Registration.OWN_PAPERS,),
            token_endpoint_auth_method="client_secret_basic",  # noqa: S106 - a method's name
            secret_required=True,
            token_life=90 * 24 * 60 * 60,
            rotates=False,
            grants_at_once=1,
            account=AccountLookup(_who_am_i, _account),
            revocation=Revocation(possible=False),
            manage_url=_SETTINGS,
            registration_url="https://www.figma.com/developers/apps",
            registration_steps=(
                "Create an app; a private one serves your own team or organization unreviewed.",
                "Add the redirect URL http://127.0.0.1:33418/callback.",
                "Add http://127.0.0.1:33419/callback as a second one.",
                "Choose the scopes current_user:read, file_content:read and file_metadata:read.",
            ),
            quirks=_QUIRKS,
        ),
        Resource(
            name="mcp",
            servers=(f"{_MCP}/mcp",),
            allowed_origins=(_MCP,),
            issuer=_API,
            metadata=ServerMetadata(
                issuer=_API,
                authorization_endpoint="https://www.figma.com/oauth/mcp",
                token_endpoint=_TOKEN,
                registration_endpoint=f"{_API}/v1/oauth/mcp/register",
                code_challenge_methods_supported=("S256",),
                token_endpoint_auth_methods_supported=("client_secret_basic", "client_secret_post"),
                authorization_response_iss_parameter_supported=True,
            ),
            scopes=("mcp:connect",),
            redirect=_REDIRECT,
            registration=(Registration.OWN_PAPERS, Registration.DYNAMIC),
            revocation=Revocation(possible=False),
            manage_url=_SETTINGS,
            registration_url="https://www.figma.com/mcp-catalog/",
            reviewed_only=(
                "Figma lets only the clients in its MCP catalog connect: apply at "
                "https://www.figma.com/mcp-catalog/ and store the client you are given with "
                "harbor chest set oauth:figma/mcp:client_id, or use figma/api with an app of "
                "your own."
            ),
            quirks=_QUIRKS,
        ),
    ),
)

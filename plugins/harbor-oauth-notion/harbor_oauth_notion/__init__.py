"""Notion: the hosted MCP server, and the API with a public connection of one's own.

Facts and their sources are in this distribution's README.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
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

_MCP: Final = "https://mcp.notion.com"
_API: Final = "https://api.notion.com"
_OAUTH: Final = f"{_API}/v1/oauth"
_VERSION: Final = {"Notion-Version": "2025-09-03"}


def _token_response(members: Mapping[str, object]) -> Mapping[str, object]:
    """Name an error that is told in the API's own style by its `code`."""
    if members.get("object") != "error" or members.get("error"):
        return members
    return {
        **members,
        "error": members.get("code"),
        "error_description": members.get("message"),
    }


def _account_id(members: Mapping[str, object]) -> str | None:
    """Read ``WORKSPACE/USER``, or the workspace alone where it owns the connection."""
    workspace, owner = members.get("workspace_id"), members.get("owner")
    user = owner.get("user") if isinstance(owner, Mapping) else None
    person = user.get("id") if isinstance(user, Mapping) else None
    if not isinstance(workspace, str):
        return None
    return f"{workspace}/{person}" if isinstance(person, str) else workspace


def _who_am_i(access_token: Secret) -> HttpRequest:
    headers = {
        "Authorization": f"Bearer {access_token.reveal()}",
        "Accept": "application/json",
        **_VERSION,
    }
    return HttpRequest("GET", f"{_API}/v1/users/me", headers)


def _account(response: HttpResponse) -> str | None:
    """Read ``PERSON (WORKSPACE)``: the token belongs to a bot, which has an owner."""
    bot = json.loads(response.body)["bot"]
    user = bot["owner"].get("user") or {}
    who = (user.get("person") or {}).get("email") or user.get("name")
    return f"{who} ({bot['workspace_name']})" if who else bot["workspace_name"]


def _revocation_request(issued: IssuedToken) -> HttpRequest | None:
    """Revoke access tokens, which is all the endpoint is documented for."""
    if issued.kind != "access_token" or issued.client_secret is None:
        return None
    pair = f"{issued.client_id}:{issued.client_secret.reveal()}"
    headers = {
        "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
        "Content-Type": "application/json",
        "Accept": "application/json",
        **_VERSION,
    }
    body = json.dumps({"token": issued.token.reveal()}).encode()
    return HttpRequest("POST", f"{_OAUTH}/revoke", headers, body)


PROVIDER: Final = OAuthProvider(
    name="notion",
    display_name="Notion",
    documentation="https://developers.notion.com/guides/get-started/authorization",
    environment=("NOTION_TOKEN",),
    flow=Flow.CODE,
    native_servers=(NativeServer(name="notion", resource="mcp", url=f"{_MCP}/mcp"),),
    resources=(
        Resource(
            name="mcp",
            servers=(f"{_MCP}/mcp",),
            allowed_origins=(_MCP,),
            issuer=_MCP,
            metadata=ServerMetadata(
                issuer=_MCP,
                authorization_endpoint=f"{_MCP}/authorize",
                token_endpoint=f"{_MCP}/token",
                registration_endpoint=f"{_MCP}/register",
                revocation_endpoint=f"{_MCP}/token",
                code_challenge_methods_supported=("S256",),
                token_endpoint_auth_methods_supported=(
                    *("client_secret_basic", "client_secret_post", "none"),
                ),
                client_id_metadata_document_supported=True,
            ),
            # The origin, as the server's own metadata spells it.
            resource=_MCP,
            registration=(Registration.METADATA_DOCUMENT, Registration.DYNAMIC),
            token_life=8 * 60 * 60,
            rotates=True,
        ),
        Resource(
            name="api",
            servers=(f"{_API}/v1",),
            allowed_origins=(_API,),
            issuer=_API,
            discover=False,
            metadata=ServerMetadata(
                issuer=_API,
                authorization_endpoint=f"{_OAUTH}/authorize",
                token_endpoint=f"{_OAUTH}/token",
                # Notion does not document PKCE; a server that does not know it
                # has to ignore its parameters (RFC 6749 §3.1, §3.2).
                code_challenge_methods_supported=("S256",),
                token_endpoint_auth_methods_supported=("client_secret_basic",),
            ),
            # There are none: capabilities are set at the connection, and the
            # person chooses the pages.
            scopes=(),
            authorization_parameters={"owner": "user"},
            token_encoding="json",  # noqa: S106 - an encoding
            token_headers=_VERSION,
            redirect=RedirectRule(host="localhost", ports=(33418, 33419)),
            registration=(Registration.OWN_PAPERS,),
            token_endpoint_auth_method="client_secret_basic",  # noqa: S106 - a method's name
            secret_required=True,
            rotates=True,
            account=AccountLookup(_who_am_i, _account),
            revocation=Revocation(own_api=_revocation_request),
            registration_url="https://www.notion.so/profile/integrations",
            registration_steps=(
                "Create a public connection.",
                "Under OAuth Domain & URIs enter the redirect URI http://localhost:33418/callback.",
                "Enter http://localhost:33419/callback as a second one.",
            ),
            quirks=Quirks(token_response=_token_response, account=_account_id),
            flow=Flow.CODE,
        ),
    ),
)

"""Atlassian: the Rovo MCP server, and the Jira and Confluence APIs with an app of one's own.

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

_MCP: Final = "https://mcp.atlassian.com"
_SERVER: Final = f"{_MCP}/v1/mcp/authv2"
_API: Final = "https://api.atlassian.com"
_AUTH: Final = "https://auth.atlassian.com"
_APPS: Final = "https://id.atlassian.com/manage-profile/apps"
_READ: Final = ("read:me", "offline_access", "read:jira-work", "read:jira-user")


def _token_response(members: Mapping[str, object]) -> Mapping[str, object]:
    """Read `unauthorized_client` as a dead refresh token, which is what it says here."""
    if members.get("error") != "unauthorized_client":
        return members
    return {**members, "error": "invalid_grant"}


def _who_am_i(access_token: Secret) -> HttpRequest:
    headers = {"Authorization": f"Bearer {access_token.reveal()}", "Accept": "application/json"}
    return HttpRequest("GET", f"{_API}/me", headers)


def _account(response: HttpResponse) -> str | None:
    """Read the mail address; who hides it from apps has a name at least."""
    me = json.loads(response.body)
    return str(me.get("email") or me["name"])


PROVIDER: Final = OAuthProvider(
    name="atlassian",
    display_name="Atlassian",
    servers_label="Atlassian (Jira, Confluence)",
    documentation="https://developer.atlassian.com/cloud/oauth/getting-started/",
    flow=Flow.CODE_PKCE,
    native_servers=(NativeServer(name="atlassian", resource="mcp", url=_SERVER),),
    resources=(
        Resource(
            name="mcp",
            servers=(_SERVER,),
            allowed_origins=(_MCP,),
            # The issuer has an opaque path, which is the vendor's to change.
            issuer_hosts=("auth.atlassian.com",),
            resource=_SERVER,
            # The scopes are those that the server's own metadata names.
            read_only_scopes=(
                *("read:jira-work", "read:page:confluence", "search:confluence"),
                *("read:me", "read:account", "offline_access"),
            ),
            registration=(Registration.METADATA_DOCUMENT, Registration.DYNAMIC),
            manage_url=_APPS,
        ),
        Resource(
            name="api",
            servers=(_API,),
            allowed_origins=(_API,),
            issuer=_AUTH,
            discover=False,
            metadata=ServerMetadata(
                issuer=_AUTH,
                authorization_endpoint=f"{_AUTH}/authorize",
                token_endpoint=f"{_AUTH}/oauth/token",
                code_challenge_methods_supported=("S256",),
                token_endpoint_auth_methods_supported=("client_secret_basic", "client_secret_post"),
            ),
            scopes=_READ,
            read_only_scopes=_READ,
            authorization_parameters={"audience": "api.atlassian.com", "prompt": "consent"},
            token_encoding="json",  # noqa: S106 - an encoding
            # One port: the form takes one callback URL, and compares it whole.
            redirect=RedirectRule(host="localhost", ports=(33418,)),
            registration=(Registration.OWN_PAPERS,),
            token_endpoint_auth_method="client_secret_post",  # noqa: S106 - a method's name
            secret_required=True,
            refresh_token_life=90 * 24 * 60 * 60,
            rotates=True,
            account=AccountLookup(_who_am_i, _account),
            # None is documented for these apps.
            revocation=Revocation(possible=False),
            manage_url=_APPS,
            registration_url="https://developer.atlassian.com/console/myapps/",
            registration_steps=(
                "Create an OAuth 2.0 integration.",
                "Under Permissions add the User identity API with read:me.",
                "Add the Jira API there with read:jira-work and read:jira-user.",
                "Under Authorization enter the callback URL http://localhost:33418/callback.",
                "Client id and secret are under Settings.",
            ),
            quirks=Quirks(token_response=_token_response),
        ),
    ),
)
